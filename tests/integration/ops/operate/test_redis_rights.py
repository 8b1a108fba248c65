"""One user a process on Redis: it can do its work, and not the work of another process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from connectors import redis_clients
from connectors.flow_health import ALIVE, FlowHealth
from connectors.settings import Settings
from ops.cli.main import run
from ops.operate.acls import Process
from ops.operate.redis_rights import ACCESS, PROCESSES, as_row, rules
from ops.rebuild.redis import _forget
from pipelines.reservations.seat_locks import ForeignLocks, SeatLocks
from tests.unit.docs.pages import rows, section, text_of

PASSWORD = "p-0815-x-0815"  # a test's
FLOWS = [one for one in PROCESSES if one not in (Process.API, Process.OPERATOR)]
E = "11111111-1111-4111-8111-111111111111"
PLACE = "t/A-1"


@pytest.fixture
def owner(settings: Settings) -> Iterator[redis.Redis]:
    """The user that may do everything, once the others have their rights."""
    with redis_clients.connect(settings.redis_url, decode_responses=True) as client:
        for process in PROCESSES:
            client.execute_command("ACL", "SETUSER", *rules(process, "test_{process}"), f">{PASSWORD}")
        client.acl_log_reset()
        yield client
        client.acl_deluser(*(f"test_{process}" for process in PROCESSES))


@pytest.fixture
def as_process(settings: Settings, owner: redis.Redis) -> Callable[[Process], Settings]:
    assert owner.ping()

    def made(process: Process) -> Settings:
        url = re.sub("//.*@", f"//test_{process}:{PASSWORD}@", settings.redis_url)
        return replace(settings, redis_url=url, instance="one")

    return made


@pytest.mark.parametrize("process", FLOWS)
def test_a_dataflow_tells_of_its_life_and_death(
    process: Process, as_process: Callable[[Process], Settings], owner: redis.Redis
) -> None:
    for kind in ("", "Killed"):
        lives = FlowHealth(as_process(process), process.value)
        lives.begin()
        assert owner.hexists(ALIVE, f"{process}/one")
        lives.ready()
        lives.ended(kind)
        lives.close()
    assert owner.llen(f"circle:deaths:{process}") == 1
    assert owner.exists(f"circle:ready:{process}")
    assert owner.acl_log() == []


def test_a_worker_claims_seats_and_an_operator_locks_them(
    as_process: Callable[[Process], Settings], owner: redis.Redis
) -> None:
    locks = SeatLocks(as_process(Process.RESERVATIONS).redis_url)
    foreign = ForeignLocks(as_process(Process.OPERATOR).redis_url)
    locks.mark("circle:installed:0", "1")
    (installed,) = locks.install({E: 1}, {E: {}}).values()
    assert locks.mark_done("circle:installed:0", "1", "done")
    assert locks.marks(["circle:installed:0"]) == ["done"]
    assert locks.claim({E: 1}, {E: installed.version}, {E: {PLACE: "H|r|1|1|1"}}) == {}
    locks.publish({E: 1}, {E: {"t": "{}"}}, [("circle:replies:api", b"answer")])
    foreign.refuse_taken(E, ["t/A-2"], owner="box")
    assert foreign.take(E, ["t/A-2"], owner="box", seconds=60) == 1
    assert set(foreign.held(E)) == {"t/A-2"}
    assert locks.claim({E: 1}, {E: installed.version}, {E: {PLACE: ""}}) != {}, "it hears of the lock"
    assert foreign.free(E, ["t/A-2"], owner="box") == 1
    locks.close()
    foreign.close()
    with redis_clients.connect(as_process(Process.OPERATOR).redis_url) as client:
        _forget(client, 0, [E])
        assert client.config_get("maxmemory-policy")
    assert not owner.exists("circle:installed:0")
    assert owner.acl_log() == []


@pytest.mark.parametrize(
    ("process", "command"),
    [
        (Process.API, ("HSET", f"circle:{{{E}}}:claims", PLACE, "x")),
        (Process.API, ("DEL", f"circle:{{{E}}}:claims")),
        (Process.API, ("SET", "circle:monitored", "x")),
        (Process.API, ("EVAL", "return redis.call('HSET', KEYS[1], 'a', 'b')", 1, f"circle:{{{E}}}:claims")),
        (Process.RESERVATIONS, ("PUBLISH", "circle:sessions", "x")),
        (Process.RESERVATIONS, ("SET", "circle:limits:x", "x")),
        (Process.PROJECTIONS, ("HGETALL", f"circle:{{{E}}}:claims")),
        (Process.PROJECTIONS, ("PUBLISH", "circle:replies:api", "x")),
        (Process.NOTIFICATIONS, ("SUBSCRIBE", "circle:sessions")),
        (Process.PAYMENTS, ("PUBLISH", "circle:notified", "x")),
        (Process.PAYMENTS, ("RPUSH", "circle:deaths:monitoring", "x")),
        (Process.MONITORING, ("HSET", f"circle:{{{E}}}:claims", PLACE, "x")),
        (Process.OPERATOR, ("CONFIG", "SET", "maxmemory", "1")),
        *((process, ("FLUSHALL",)) for process in PROCESSES),
        *((process, ("KEYS", "*")) for process in PROCESSES),
        *((process, ("ACL", "LIST")) for process in PROCESSES),
    ],
)
def test_what_is_another_processs_work_is_refused(
    as_process: Callable[[Process], Settings], process: Process, command: tuple[Any, ...]
) -> None:
    with (
        redis_clients.connect(as_process(process).redis_url) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command)


def test_given_again_a_user_loses_what_is_not_in_the_table_and_keeps_its_password(
    as_process: Callable[[Process], Settings], owner: redis.Redis
) -> None:
    owner.execute_command("ACL", "SETUSER", "test_payments", "+flushall", "~*", "&*")
    owner.execute_command("ACL", "SETUSER", *rules(Process.PAYMENTS, "test_{process}"))
    with redis_clients.connect(as_process(Process.PAYMENTS).redis_url) as client:
        assert client.ping()
        for command in (("FLUSHALL",), ("SET", "x", "y"), ("PUBLISH", "x", "y")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)


def test_the_command_prints_what_a_server_takes(owner: redis.Redis, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rights", "redis", "--user", "test_{process}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PROCESSES)
    for line in lines:
        assert owner.execute_command(*line.split())
    assert run(["rights", "redis", "--process", "payments", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [as_row(Process.PAYMENTS)]


def test_the_operations_page_has_the_same_keys_and_channels() -> None:
    def quoted(names: tuple[str, ...], more: str = "") -> list[str]:
        return [f"`{name}`{more}" for name in names]

    listed = {tuple(cells[:3]) for cells in rows(section(text_of("ops/docs/operations.md"), "Rights on Redis"))}
    assert listed == {
        (
            f"`{one.process.value}`",
            ", ".join(quoted(one.reads, " (read)") + quoted(one.writes)),
            ", ".join(quoted(one.channels)),
        )
        for one in ACCESS
    }
