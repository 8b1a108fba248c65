"""The rights that each process needs on Redis, as data: one user for each process, with commands, keys and channels.

Guarantee: with only the rights of its user, a process does its work. The tests on Apache Kafka run each process so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from api.reads.public_status import PUBLIC_STATUS
from api.reads.slow_requests import SLOW_REQUESTS
from connectors.age_reports import AGES
from connectors.flow_health import ALIVE, death_totals_key, deaths_key, ready_key
from ops.operate.acls import BRANCHES, Process
from pipelines.monitoring.api_report import REPORTS
from pipelines.monitoring.board import MONITORED, VERIFIED
from schemas.replies import REPLY_CHANNEL_PREFIX

USER = "circle_{process}"
CONNECTING = ("ping", "client|setinfo", "select")
"""Commands that the client library sends by itself."""

_EVENTS, _INSTALLED = "circle:{*}:*", "circle:installed:*"
_LIFE_COMMANDS = ("expire", "hdel", "hexists", "hincrby", "hset", "ltrim", "rpush", "set")
_SCRIPTS = ("eval", "evalsha", "script|load", "time")
_CLAIMS = ("del", "get", "hdel", "hexists", "hget", "hincrby", "hkeys", "hlen", "hgetall", "hset")


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """One row. `reads` are patterns of keys that are only read, `writes` of keys that are read and written."""

    process: Process
    commands: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    why: str = ""


def _rows() -> Iterable[RedisAccess]:
    p = Process
    yield RedisAccess(
        p.API,
        ("get", "hgetall", "lrange", "mget"),
        reads=(_EVENTS, MONITORED, VERIFIED, deaths_key("*"), ready_key("*")),
        why="what is shown",
    )
    yield RedisAccess(
        p.API,
        (*_SCRIPTS, "pexpire", "set", "zadd", "zcard", "zpopmin", "zremrangebyscore", "zscore"),
        writes=("circle:limits:*", "circle:stream-tickets:*"),
        why="limits that all processes share; tickets for streams",
    )
    yield RedisAccess(
        p.API,
        ("publish", "subscribe", "unsubscribe"),
        channels=("circle:notified", "circle:projected", "circle:sessions", "circle:written",
                  f"{REPLY_CHANNEL_PREFIX}*"),
        why="replies and news",
    )  # fmt: skip
    yield RedisAccess(
        p.RESERVATIONS, (*_SCRIPTS, *_CLAIMS, "mget", "set"), writes=(_EVENTS, _INSTALLED), why="claims and counters"
    )
    yield RedisAccess(p.RESERVATIONS, ("publish",), channels=(f"{REPLY_CHANNEL_PREFIX}*",), why="replies")
    yield RedisAccess(p.PROJECTIONS, ("publish",), channels=("circle:projected",), why="how far it is")
    yield RedisAccess(p.NOTIFICATIONS, ("publish",), channels=("circle:notified",), why="who has news")
    yield RedisAccess(p.API, ("expire", "hset"), writes=(REPORTS,), why="what monitoring counts of its answers")
    yield RedisAccess(p.API, ("expire", "hgetall", "hset"), writes=(SLOW_REQUESTS,), why="its slowest requests")
    yield RedisAccess(p.API, ("get", "set"), writes=(PUBLIC_STATUS,), why="the public status, and since when")
    yield RedisAccess(
        p.MONITORING,
        ("get", "hgetall", "hkeys", "info", "lrange", "time"),
        reads=(VERIFIED, AGES, ALIVE, deaths_key("*"), ready_key("*")),
        why="how far `circle verify --follow` is, how processes live, how old records are",
    )
    yield RedisAccess(p.MONITORING, ("hdel",), writes=(REPORTS,), why="what the API answers")
    yield RedisAccess(p.MONITORING, ("set",), writes=(MONITORED,), why="what `/readyz` shows")
    yield RedisAccess(
        p.OPERATOR,
        (*_SCRIPTS, *_CLAIMS, "config|get", "hmget", "set"),
        writes=(_EVENTS, _INSTALLED, VERIFIED),
        why="locks, verify, replay redis, doctor",
    )
    yield RedisAccess(p.OPERATOR, ("get",), reads=(MONITORED,), why="top")
    for one in (p.RESERVATIONS, p.READ_SIDE, p.PROJECTIONS, p.NOTIFICATIONS, p.PAYMENTS, p.MONITORING):
        own = (AGES, ALIVE, deaths_key(one.value), death_totals_key(one.value), ready_key(one.value))
        yield RedisAccess(one, _LIFE_COMMANDS, writes=own, why="that it lives, how it died, how old its records are")


def _with_read_side(rows: Iterable[RedisAccess]) -> Iterable[RedisAccess]:
    """The rows, and the read side's: all rights of its branches, except what they write about their own lives."""
    for row in rows:
        yield row
        if row.process in BRANCHES and row.commands != _LIFE_COMMANDS:
            yield replace(row, process=Process.READ_SIDE)


ACCESS: tuple[RedisAccess, ...] = tuple(_with_read_side(_rows()))
PROCESSES: tuple[Process, ...] = tuple(dict.fromkeys(one.process for one in ACCESS))


def user_of(process: Process, user: str = USER) -> str:
    """The name of a process's user."""
    return user.format(process=process.value)


def rules(process: Process, user: str = USER) -> list[str]:
    """The arguments of `ACL SETUSER`. They take away all former rights of the user, and keep its passwords."""
    own = [one for one in ACCESS if one.process is process]
    commands = sorted({*CONNECTING, *(name for one in own for name in one.commands)})
    writes = sorted({key for one in own for key in one.writes})
    reads = sorted({key for one in own for key in one.reads})
    channels = sorted({name for one in own for name in one.channels})
    return [
        user_of(process, user),
        "on",
        "-@all",
        *(f"+{name}" for name in commands),
        "resetkeys",
        *(f"%R~{key}" for key in reads),
        *(f"~{key}" for key in writes),
        "resetchannels",
        *(f"&{name}" for name in channels),
    ]


def as_row(process: Process, user: str = USER) -> dict[str, object]:
    """A process's rules for programs."""
    return {"process": process.value, "user": user_of(process, user), "rules": rules(process, user)[1:]}
