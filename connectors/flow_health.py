"""Records in Redis how dataflow processes start and end. `/readyz` names a flow that keeps dying.

Guarantee: a flow counts as dying when its processes have died DEATHS_MIN times within WINDOW_S. This ends when one of
them has been ready for STEADY_S. Nothing else depends on these records: when Redis is away or empty, no flow counts as
dying. A killed process writes nothing; its successor with the same instance name records the death.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
import redis

from connectors import redis_clients
from connectors.logs import Log
from connectors.settings import Settings

DEATHS_MIN = 3  # one or two are a deployment, a rebalance, a broker that went away
WINDOW_S = 600.0  # longer than the longest pause between two starts, three times over
STEADY_S = 10.0  # a process that dies of a record dies sooner
DEATHS_KEPT = 10
KEPT_S = 86_400
TIMEOUT_S = 1.0
ALIVE = "circle:alive"

log = Log("lives")


class Death(msgspec.Struct, frozen=True):
    """One end without a requested stop. `kind` is the error's class."""

    at: float
    instance: str
    kind: str


class Dying(msgspec.Struct, frozen=True, kw_only=True):
    """A flow that keeps dying."""

    deaths: int
    last_error: str
    last_death_s_ago: float


class FlowHealth:
    """Records the life of this process. Never raises for Redis, never waits longer than TIMEOUT_S a call."""

    def __init__(self, settings: Settings, flow: str, clock: Callable[[], float] = time.time) -> None:
        self._flow, self._instance, self._clock = flow, settings.instance, clock
        self._client: redis.Redis = redis_clients.connect(
            settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def begin(self) -> None:
        """Record the start. A predecessor of the same name that recorded no end was killed."""

        def begin() -> None:
            if self._client.hexists(ALIVE, self._name):
                self._died("Killed")
            self._client.hset(ALIVE, self._name, "")
            self._client.expire(ALIVE, KEPT_S)

        self._tell(begin)

    def ready(self) -> None:
        """Record that the process is ready."""
        self._tell(lambda: self._client.set(ready_key(self._flow), repr(self._clock()), ex=KEPT_S))

    def ended(self, kind: str = "") -> None:
        """Record the end: by a requested stop, or by an error of this kind."""

        def end() -> None:
            self._client.hdel(ALIVE, self._name)
            if kind:
                self._died(kind)

        self._tell(end)

    @property
    def _name(self) -> str:
        return f"{self._flow}/{self._instance}"

    def _died(self, kind: str) -> None:
        key = deaths_key(self._flow)
        self._client.rpush(key, msgspec.json.encode(Death(self._clock(), self._instance, kind)))
        self._client.ltrim(key, -DEATHS_KEPT, -1)
        self._client.expire(key, KEPT_S)
        self._client.hincrby(death_totals_key(self._flow), kind, 1)

    def _tell(self, what: Callable[[], object]) -> None:
        try:
            what()
        except (redis.RedisError, OSError) as error:
            log.warning("life.not_told", flow=self._flow, error=f"{type(error).__name__}: {error}")


def deaths_key(flow: str) -> str:
    """The Redis key of a flow's last deaths, the latest last."""
    return f"circle:deaths:{flow}"


def death_totals_key(flow: str) -> str:
    """The Redis key of a flow's deaths since Redis began, by the error's class. They outlive the process that died."""
    return f"circle:deaths:{flow}:totals"


def ready_key(flow: str) -> str:
    """The Redis key of the time when a process of the flow last became ready."""
    return f"circle:ready:{flow}"


def recent_deaths(deaths: Sequence[bytes], ready_at: bytes | None, now: float) -> list[Death]:
    """The deaths of the last WINDOW_S among a flow's records in Redis; none once a process has been ready for STEADY_S
    since the last of them."""
    recent = [one for one in (msgspec.json.decode(text, type=Death) for text in deaths) if now - one.at < WINDOW_S]
    since = float(ready_at) if ready_at is not None else 0.0
    if recent and since > recent[-1].at and now - since >= STEADY_S:
        return []
    return recent


def dying(deaths: Sequence[bytes], ready_at: bytes | None, now: float) -> Dying | None:
    """A flow's verdict from its records in Redis; None if it is not dying."""
    recent = recent_deaths(deaths, ready_at, now)
    if len(recent) < DEATHS_MIN:
        return None
    last = recent[-1]
    return Dying(deaths=len(recent), last_error=last.kind, last_death_s_ago=round(now - last.at, 1))
