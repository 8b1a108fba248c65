"""Monitoring counts each fact once, over all its starts, and shows what lags and what was set aside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
import redis

from connectors.settings import Settings
from pipelines.monitoring import branch as monitoring_branch
from pipelines.monitoring import watch
from pipelines.monitoring.board import MONITORED
from pipelines.monitoring.tally import Series, tally
from pipelines.watch.dead_letters import choose, letters, redrive
from schemas.facts import RecordedFact, TicketsHeld
from schemas.ids import US_PER_S
from schemas.topics import COMMANDS, FACTS, dead_letters
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.fact_logs import log_of
from tests.harness.flows import Flow, eventually, monitoring, rows_of, write, write_facts
from tests.harness.words import held, hold_expired, on_sale


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.1)


def shown(settings: Settings) -> dict[str, Any]:
    with redis.Redis.from_url(settings.redis_url) as client:
        return msgspec.json.decode(client.get(MONITORED) or b"{}")


def counted(settings: Settings, facts: int) -> None:
    eventually(lambda: shown(settings).get("facts") == facts, f"{facts} facts are counted and shown")


def test_facts_are_counted_once_however_often_it_starts(settings: Settings) -> None:
    logs = [BothLogs(partition=partition, seed=71) for partition in (0, 5)]
    told = 0
    for _ in range(3):
        before = [(len(log.commands), len(log.facts)) for log in logs]
        for log in logs:
            log.take(100)
        more = [BothLogs(partition=log.partition, seed=0) for log in logs]
        for one, log, (commands, facts) in zip(more, logs, before, strict=True):
            one.commands, one.facts = log.commands[commands:], log.facts[facts:]
        write_both(settings, more)
        told = sum(len(log.facts) for log in logs)
        with Flow(monitoring, settings):
            counted(settings, told)
    with rows_of(settings) as query:
        rows = query("SELECT label, sum(total)::int FROM fact_totals WHERE measure = 'fact' GROUP BY label")
    assert dict(rows) == Counter(type(one.fact).__name__ for log in logs for one in log.facts)


def test_who_is_behind_is_shown_and_what_was_put_aside(settings: Settings) -> None:
    log = BothLogs(partition=2, seed=3, now=(int(time.time()) - 3_600) * US_PER_S)
    log.take(50)
    write_both(settings, [log])
    write(settings, dead_letters(COMMANDS), [(0, b"garbage", []), (0, b"", [("redriven_offset", b"0")])])
    with Flow(monitoring, settings):
        counted(settings, len(log.facts))
        eventually(lambda: shown(settings)["dead_letters"][COMMANDS]["put_aside"] == 1, "the dead letter is counted")
        found = shown(settings)
    lags = {lag["flow"]: lag for lag in found["lags"]}
    assert lags["circle.monitoring"]["records"] == 0
    assert lags["circle.reservations"]["records"] > 0  # the embedded broker reports too low a number
    assert lags["circle.reservations"]["seconds"] > 0
    assert lags["circle.projections"]["topic"] == "tickets.facts"
    assert found["dead_letters"][COMMANDS] == {"put_aside": 1, "redriven": 1}
    assert found["last_fact_at"] is not None


def test_a_fact_that_could_not_be_counted_is_counted_once_it_is_redriven(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def total(label: str) -> int:
        with rows_of(settings) as query:
            return dict(query("SELECT label, sum(total)::int FROM fact_totals GROUP BY label")).get(label, 0)

    def broken(facts: Iterable[RecordedFact]) -> Counter[Series]:
        facts = list(facts)
        if any(isinstance(one.fact, TicketsHeld) for one in facts):
            raise KeyError("nobody foresaw this")
        return tally(facts)

    facts = log_of(*on_sale(), held(["A-1", "A-2"]), hold_expired(["A-1", "A-2"]))
    with monkeypatch.context() as patched:
        patched.setattr(monitoring_branch, "tally", broken)
        with Flow(monitoring, settings):
            write_facts(settings, facts)
            counted(settings, len(facts) - 1)
    assert (total("TicketsHeld"), total("held"), total("HoldExpired")) == (0, 0, 1)
    redrive(settings, choose(letters(settings, (FACTS,)), (), limit=10), {})
    for _ in range(2):
        with Flow(monitoring, settings):
            counted(settings, len(facts))
    assert (total("TicketsHeld"), total("held"), total("HoldExpired")) == (1, 2, 1)
