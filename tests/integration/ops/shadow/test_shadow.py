"""`circle replay shadow`: another program's decisions on the same commands, apart from the live ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import redis
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from connectors.kafka import StopFlag, admin
from connectors.log_reader import LogReader, partitions_of
from connectors.scratch_file import ScratchFile
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.shadow.shadow import shadow
from pipelines.reservations import batch as core
from schemas import facts as f
from schemas.commands import ReserveInTurn
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import everything, rows_of


@pytest.fixture
def logs(settings: Settings) -> list[BothLogs]:
    """Two partitions, with foreign locks among the facts and requests in turn among the commands."""
    made = [BothLogs(partition=partition, seed=82, in_turn=True) for partition in (1, 6)]
    for log in made:
        log.take(400)
        assert any(isinstance(command, ReserveInTurn) for _, command in log.commands)
    assert sum(isinstance(one.fact, f.SeatLocksObserved) for log in made for one in log.facts) > 3
    write_both(settings, made)
    return made


def test_the_same_program_decides_alike_and_touches_nothing_live(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    code, found = circle("replay", "shadow", "--group", "same", "--dry-run", "--json")
    assert (code, found["report"]["commands"]) == (0, 800)
    code, found = circle("replay", "shadow", "--group", "same", "--json")
    report = found["report"]
    assert (code, report["commands"], report["same"], report["different"]) == (0, 800, 800, 0), report["differences"]
    assert report["topic"] == "tickets.facts.shadow.same"
    facts = everything(settings, report["topic"])
    assert len(facts) == sum(len(log.facts) for log in logs)
    events = [from_binary(KafkaMessage(dict(one.headers()), one.key(), one.value()), JSONFormat()) for one in facts]
    assert {one.get_source() for one in events} == {f"/circle/shadow/{report['topic']}"}
    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.dbsize() == 0
    with rows_of(settings) as query:
        assert query("SELECT 1 FROM projection_positions UNION ALL SELECT 1 FROM partition_epochs") == []
    assert written(settings, FACTS) == sum(len(log.facts) for log in logs)
    assert written(settings, COMMANDS) == 800


def written(settings: Settings, topic: str) -> int:
    count = 0
    for partition in range(partitions_of(settings, topic)):
        with LogReader(settings, topic, partition) as reader:
            count += sum(1 for _ in reader.messages())
    return count


def test_stopped_anywhere_it_goes_on_to_the_same_facts(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    for done in (150, 300):
        code, found = circle("replay", "shadow", "--group", "steps", "--limit", "150", "--json")
        assert (code, found["report"]["commands"]) == (0, 2 * done)
    code, found = circle("replay", "shadow", "--group", "steps", "--json", "--remove")
    assert (code, found["report"]["same"]) == (0, 800)
    assert "tickets.facts.shadow.steps" not in admin(settings).list_topics(timeout=10).topics


def test_with_no_room_for_events_between_batches_it_decides_alike(
    circle: Circle, logs: list[BothLogs], monkeypatch: pytest.MonkeyPatch
) -> None:
    back: list[str] = []
    drop = ScratchFile.drop
    monkeypatch.setattr(ScratchFile, "drop", lambda self, name: (back.append(name), drop(self, name)))
    monkeypatch.setattr("ops.shadow.shadow.KEPT_MAX", 0)
    code, found = circle("replay", "shadow", "--group", "small", "--limit", "150", "--json")
    assert (code, found["report"]["commands"]) == (0, 300)
    code, found = circle("replay", "shadow", "--group", "small", "--json")
    assert (code, found["report"]["same"], found["report"]["differences"]) == (0, 800, [])
    assert len(back) > 1


def stricter(step: Callable[..., list[f.Fact]]) -> Callable[..., list[f.Fact]]:
    """A change of rules before its release: no order of more than two."""

    def decide(state: Any, command: Any, *rest: Any) -> list[f.Fact]:
        if getattr(command, "quantity", 0) > 2:
            return step(state, msgspec.structs.replace(command, quantity=2), *rest)
        return step(state, command, *rest)

    return decide


def test_another_program_is_told_apart_by_what_it_decides(
    circle: Circle, settings: Settings, logs: list[BothLogs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "step", stricter(core.step))
    code, found = circle("replay", "shadow", "--group", "stricter", "--json", "--partition", "6")
    report = found["report"]
    assert (code, report["commands"]) == (1, 400)
    assert report["same"] + report["different"] == 400
    assert sum(report["changes"].values()) == report["different"] > 10
    first = report["differences"][0]
    assert first["position"].startswith("6-")
    assert first["recorded"] != first["shadow"]
    code, text = circle("replay", "shadow", "--group", "stricter", "--partition", "6")
    assert code == 1
    assert "decided otherwise" in text
    assert "tok_" not in text


def test_a_wrong_name_is_usage(circle: Circle) -> None:
    assert circle("replay", "shadow", "--group", "Not A Name")[0] == 2


def test_told_to_stop_it_says_so(settings: Settings, logs: list[BothLogs]) -> None:
    stop = StopFlag()
    stop.requested = True
    with ProgressBars(quiet=True) as progress:
        report = shadow(replace(settings), "stopped", progress, stop=stop)
    assert (report.stopped, report.commands) == (True, 0)
