"""Monitoring keeps the figures of the last hour and day, one sample for each step, and no older one."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from pipelines.monitoring import watch
from pipelines.monitoring.figure_history import FigureHistory, FigureRange, FigureSample
from pipelines.monitoring.outbox import OutboxLag, look_at_deliveries, look_at_outbox
from schemas.ids import US_PER_S
from schemas.topics import COMMANDS, FACTS
from tests.harness.flows import Flow, eventually, monitoring, rows_of

AT = 1_700_000_040


def sample(at: float) -> FigureSample:
    return FigureSample(
        at=at,
        facts=7,
        places={"sold": 3},
        refused=1,
        dead_letters=0,
        ends={COMMANDS: 4, FACTS: 7},
        lags={"circle.reservations": [0, 0.0]},
    )


def kept(database: Database, reach: FigureRange) -> list[tuple[int, FigureSample]]:
    async def read(connection: Connection) -> list[tuple[int, FigureSample]]:
        query = "SELECT at, figures FROM figure_history WHERE step_s = $1 ORDER BY at"
        rows = await connection.fetch(query, reach.step_s)
        return [(row["at"], msgspec.json.decode(row["figures"], type=FigureSample)) for row in rows]

    return database.run(read)


def test_a_step_has_one_sample_also_after_a_restart_and_with_two_writers(settings: Settings) -> None:
    database = Database(settings.postgres_url)
    for history in (FigureHistory(database), FigureHistory(database)):
        for second in (0, 1, 4.9, 5, 9):
            history.keep(sample(AT + second))
    assert [at for at, _ in kept(database, FigureRange.HOUR)] == [AT, AT + 5]
    assert [at for at, _ in kept(database, FigureRange.DAY)] == [AT // 120 * 120]
    assert kept(database, FigureRange.HOUR)[0][1] == sample(AT), "the first one of a step stays"
    database.close()


@pytest.mark.parametrize("reach", list(FigureRange))
def test_what_is_older_than_its_range_goes(settings: Settings, reach: FigureRange) -> None:
    database = Database(settings.postgres_url)
    history = FigureHistory(database)
    first = AT // reach.step_s * reach.step_s
    for moment in (first, first + reach.step_s, first + reach.kept_s):
        history.keep(sample(moment))
    assert [at for at, _ in kept(database, reach)] == [first + reach.step_s, first + reach.kept_s]
    database.close()


def test_the_running_branch_writes_samples(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.1)
    database = Database(settings.postgres_url)
    with Flow(monitoring, settings):
        eventually(lambda: kept(database, FigureRange.HOUR) != [], "a sample")
    ((_, found), *_) = kept(database, FigureRange.HOUR)
    assert set(found.ends) == {COMMANDS, FACTS}
    assert "circle.reservations" in found.lags
    database.close()


@pytest.mark.parametrize("switched_on", [True, False])
def test_the_outbox_of_the_export_is_measured_where_there_is_one(settings: Settings, *, switched_on: bool) -> None:
    database, now_us = Database(settings.postgres_url), AT * US_PER_S
    nothing = OutboxLag(0, 0.0) if switched_on else None
    assert look_at_outbox(database, now_us, switched_on=switched_on) == nothing
    with rows_of(settings) as query:
        for waited_s in (7, 3):
            query(
                'INSERT INTO notification_exports (user_id, event_id, reservation_id, partition, "offset", "index", '
                "kind, channel, template, created_at, data) "
                "VALUES ('u', 'e', 'r', 0, 1, 0, 'k', 'inbox', 't', $1, '{}')",
                now_us - waited_s * US_PER_S,
            )
    assert look_at_outbox(database, now_us, switched_on=switched_on) == OutboxLag(2, 7.0), "also what was left over"
    database.close()


def test_mails_and_webhook_calls_that_wait_are_measured(settings: Settings) -> None:
    database, now_us = Database(settings.postgres_url), AT * US_PER_S
    assert look_at_deliveries(database, now_us) == {"mail": OutboxLag(0, 0.0), "webhook": OutboxLag(0, 0.0)}
    with rows_of(settings) as query:
        for number, (waited_s, status) in enumerate(((7, "pending"), (3, "pending"), (90, "sent"))):
            query(
                'INSERT INTO mail_deliveries (user_id, partition, "offset", "index", template, kind, event_id, '
                "reservation_id, data, created_at, outbound_partition, outbound_offset, status) "
                "VALUES ('u', 0, $1, 0, 't', 'k', 'e', 'r', '{}', $2, 0, $1, $3)",
                number,
                now_us - waited_s * US_PER_S,
                status,
            )
        query("INSERT INTO account_mails (kind, created_at) VALUES ('verify-email', to_timestamp($1::bigint))", AT - 12)
    found = look_at_deliveries(database, now_us)
    assert found == {"mail": OutboxLag(3, 12.0), "webhook": OutboxLag(0, 0.0)}, "what was sent waits no more"
    database.close()


def test_monitoring_keeps_the_lag_of_the_export(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.1)
    database = Database(settings.postgres_url)

    def outboxes() -> list[list[float] | None]:
        return [found.outbox for _, found in kept(database, FigureRange.HOUR)]

    with Flow(monitoring, settings):
        eventually(lambda: outboxes() == [None], "a sample without an export", 30.0)
    with Flow(monitoring, replace(settings, export_notifications=True)):
        eventually(lambda: [0, 0.0] in outboxes(), "a sample with an export", 30.0)
    database.close()
