"""Alerts in PostgreSQL and at the operators' webhook: once from firing to end, also after a restart of monitoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from pipelines.monitoring import alert_calls, watch
from pipelines.monitoring.alert_calls import AlertCalls
from pipelines.monitoring.alert_rules import AlertName
from pipelines.monitoring.alert_store import KEPT_S, claimed_calls, evaluate, prune
from pipelines.monitoring.alerts import AlertChanges, Evaluator, Readings
from schemas.ids import US_PER_S
from schemas.topics import COMMANDS, dead_letters
from tests.harness.flows import Flow, eventually, monitoring, rows_of, write
from tests.harness.hook_server import HookServer

LETTERS: Readings = {AlertName.DEAD_LETTERS: {COMMANDS: 1.0}}
NO_LETTERS: Readings = {AlertName.DEAD_LETTERS: {COMMANDS: 0.0}}
AT = 1_700_000_000 * US_PER_S


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.1)


class History:
    """The history of alerts, with monitoring processes that evaluate."""

    def __init__(self, settings: Settings) -> None:
        self.database = Database(settings.postgres_url)

    def look(self, evaluator: Evaluator, readings: Readings, second: int) -> AlertChanges:
        now_us = AT + second * US_PER_S

        async def work(connection: Connection) -> AlertChanges:
            return await evaluate(connection, evaluator, readings, now_us)

        return self.database.run(work)

    def rows(self) -> list[tuple[Any, ...]]:
        async def read(connection: Connection) -> list[tuple[Any, ...]]:
            query = "SELECT alert, about, fired_at, resolved_at, called_for FROM alert_history ORDER BY id"
            return [tuple(row) for row in await connection.fetch(query)]

        return self.database.run(read)


@pytest.fixture
def history(settings: Settings) -> Iterator[History]:
    history = History(settings)
    yield history
    history.database.close()


def test_an_alert_has_one_row_from_its_firing_to_its_end_whichever_process_evaluates(history: History) -> None:
    first, second = Evaluator(), Evaluator()
    history.look(first, LETTERS, 0)
    assert not history.look(second, LETTERS, 1).fired, "another process has fired it"
    assert history.rows() == [("CircleDeadLetters", COMMANDS, AT, 0, "")]
    assert history.look(Evaluator(), NO_LETTERS, 2).resolved, "also after a restart"
    history.look(second, NO_LETTERS, 3)
    assert [row[3] for row in history.rows()] == [AT + 2 * US_PER_S]
    history.look(first, LETTERS, 4)
    assert [row[3] for row in history.rows()] == [AT + 2 * US_PER_S, 0], "it fires again: a row of its own"


def test_what_ended_long_ago_goes_and_what_fires_stays(history: History) -> None:
    evaluator = Evaluator()
    for second, readings in ((0, LETTERS), (1, NO_LETTERS), (2, LETTERS)):
        history.look(evaluator, readings, second)
    history.database.run(lambda connection: prune(connection, AT + (KEPT_S + 2) * US_PER_S))
    assert [row[3] for row in history.rows()] == [0]


def test_the_webhook_hears_of_each_state_until_it_has_taken_it(history: History, settings: Settings) -> None:
    evaluator = Evaluator()
    with HookServer() as server:
        calls = AlertCalls(replace(settings, alert_webhook_url=server.url + "/alerts"))

        def work(second: int) -> None:
            calls.work(history.database, AT + second * US_PER_S)

        history.look(evaluator, LETTERS, 0)
        server.answer = lambda _: (500, {})
        work(0)
        assert history.rows()[0][4] == ""
        server.answer = lambda _: (204, {})
        work(1)
        assert len(server.calls) == 1, "the next try is not due yet"
        work(6)
        assert history.rows()[0][4] == "firing"
        work(100)
        assert len(server.calls) == 2, "it knows"
        history.look(evaluator, NO_LETTERS, 101)
        work(101)
        assert history.rows()[0][4] == "resolved"
    states = [(one.json["status"], one.json["alerts"][0]["status"]) for one in server.calls]
    assert states == [("firing", "firing"), ("firing", "firing"), ("resolved", "resolved")]
    told = server.calls[-1].json["alerts"][0]
    assert told["labels"] == {"alertname": "CircleDeadLetters", "severity": "warning", "about": COMMANDS}
    assert (told["startsAt"], told["endsAt"]) == ("2023-11-14T22:13:20.000Z", "2023-11-14T22:15:01.000Z")


def test_two_processes_do_not_call_for_the_same_alert_at_once(history: History) -> None:
    history.look(Evaluator(), LETTERS, 0)
    taken = [history.database.run(lambda connection: claimed_calls(connection, AT)) for _ in range(2)]
    assert [len(rows) for rows in taken] == [1, 0]
    later = AT + 31 * US_PER_S
    assert len(history.database.run(lambda connection: claimed_calls(connection, later))) == 1, "its process died"


def test_a_webhook_that_is_away_is_called_ever_later(history: History, settings: Settings) -> None:
    history.look(Evaluator(), LETTERS, 0)
    calls = AlertCalls(replace(settings, alert_webhook_url="http://127.0.0.1:9/alerts"))
    calls.work(history.database, AT)
    with rows_of(settings) as query:
        ((due, error),) = query("SELECT call_due_at, call_error FROM alert_history")
    assert due == AT + round(alert_calls.BACKOFF.first_s * US_PER_S)
    assert "ConnectError" in error


def test_monitoring_fires_for_a_dead_letter_and_resolves_when_it_was_sent_back(settings: Settings) -> None:
    topic = dead_letters(COMMANDS)
    with HookServer() as server, Flow(monitoring, replace(settings, alert_webhook_url=server.url)):
        write(settings, topic, [(0, b"garbage", [])])
        server.until(1)
        write(settings, topic, [(0, b"", [("redriven_offset", b"0")])])
        server.until(2)
        with rows_of(settings) as query:
            eventually(
                lambda: query("SELECT called_for FROM alert_history WHERE resolved_at > 0") == [("resolved",)],
                "the row says that the webhook knows of the end",
            )
    assert [one.json["status"] for one in server.calls] == ["firing", "resolved"]
