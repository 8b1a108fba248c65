"""Rows made anew beside the live ones: the same rows, found differences, a swap under a live projection."""

from __future__ import annotations

import pytest

from connectors.settings import Settings
from ops.load.progress import Progress
from ops.replay.generation import TABLES, CannotSwap, rebuild
from ops.replay.verify import VerifyOptions, verify
from pipelines.projections import dataflow as projections
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Flow, eventually, rows_of
from tests.integration.ops.replay.conftest import Circle


@pytest.fixture
def logs(settings: Settings) -> list[BothLogs]:
    """Two partitions, projected."""
    made = [BothLogs(partition=partition, seed=61) for partition in (0, 5)]
    for log in made:
        log.take(400)
    write_both(settings, made)
    with Flow(projections.run, settings):
        projected(settings, made)
    return made


def projected(settings: Settings, logs: list[BothLogs]) -> None:
    with rows_of(settings) as query:
        for log in logs:
            eventually(
                lambda log=log: (
                    query(
                        'SELECT 1 FROM projection_positions WHERE partition = $1 AND "offset" = $2',
                        log.partition,
                        log.offset - 1,
                    )
                    != []
                ),
                "the last command is projected",
            )


def test_a_new_generation_has_the_same_rows(circle: Circle, settings: Settings, logs: list[BothLogs]) -> None:
    code, found = circle("replay", "projections", "--json")
    assert code == 0, found
    report = found["report"]
    assert report["facts"] == sum(len(log.facts) for log in logs)
    assert [table["live_rows"] for table in report["tables"]] == [table["new_rows"] for table in report["tables"]]
    assert sum(table["new_rows"] for table in report["tables"]) > 500
    assert circle("replay", "projections", "--json")[1]["report"]["facts"] == 0  # goes on where it was
    code, text = circle("replay", "projections", "--restart", "--dry-run")
    assert code == 0
    assert "not promoted" in text
    with rows_of(settings) as query:
        assert query("SELECT to_regnamespace('generation_next')") == [(None,)]


def test_a_changed_row_is_found_with_the_fact_behind_it_and_mended_by_a_swap(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    with rows_of(settings) as query:
        ((one, partition, offset, index),) = query(
            "UPDATE reservations SET amount_minor = 77 WHERE id = (SELECT min(id) FROM reservations) "
            "RETURNING id, partition, updated_offset, updated_index"
        )
    code, text = circle("replay", "projections")
    assert code == 1
    assert f"{one}, by the fact at {partition}-{offset}-{index}: amount_minor is 77 live, " in text
    assert "tok_ok" not in text
    with Flow(projections.run, settings):
        assert circle("replay", "projections", "--promote")[0] == 1  # says what differed
        for log in logs:  # and the live projection goes on in the new tables
            before = len(log.commands), len(log.facts)
            log.take(60)
            more = BothLogs(partition=log.partition, seed=0)
            more.commands, more.facts = log.commands[before[0] :], log.facts[before[1] :]
            write_both(settings, [more])
        projected(settings, logs)
    with rows_of(settings) as query:
        assert query("SELECT amount_minor FROM reservations WHERE amount_minor = 77") == []
        assert query("SELECT count(*) FROM generation_previous.reservations WHERE amount_minor = 77") == [(1,)]
        names = {row[0] for row in query("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
        assert {"seat_claims_live", "reservations_pkey", "reservations_of_user"} <= names
    with Progress(quiet=True) as progress:
        report = verify(settings, VerifyOptions(redis=False), progress)
        assert report.ok, report.partitions
        again = rebuild(settings, progress)
    assert again.ok
    assert [table.table for table in again.tables] == list(TABLES)


def test_rows_that_are_ahead_of_the_log_are_said_so(settings: Settings, logs: list[BothLogs]) -> None:
    with rows_of(settings) as query:
        query('UPDATE projection_positions SET "offset" = 10000 WHERE partition = 0')
    with Progress(quiet=True) as progress, pytest.raises(CannotSwap, match="the live rows are at 10000"):
        rebuild(settings, progress)
