"""Rows rebuilt next to the live ones: the same rows, found differences, a swap under a live projection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.operate.acls import Process
from ops.operate.database_rights import apply, chosen
from ops.progress import ProgressBars
from ops.rebuild import projections as generation
from ops.rebuild.projections import go_back, rebuild
from ops.rebuild.rows import TABLES, CannotSwap
from ops.run.services.process import run_coroutine
from ops.verify.verify import VerifyOptions, verify
from schemas import facts as f
from tests.harness.command_line import Circle, command_line
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Flow, eventually, projections, rows_of, write_facts
from tests.harness.impatient import stopped_at_random
from tests.harness.registries import small_registry
from tests.harness.towns import recorded, town_of
from tests.simulation.whole import Town


@pytest.fixture
def logs(settings: Settings) -> list[BothLogs]:
    """Two partitions, projected."""
    made = [BothLogs(partition=partition, seed=61) for partition in (0, 5)]
    for log in made:
        log.take(400)
    write_both(settings, made)
    with Flow(projections, settings):
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


def sell_on(settings: Settings, logs: list[BothLogs], commands: int) -> None:
    """More commands of each partition, decided and projected."""
    for log in logs:
        more = BothLogs(partition=log.partition, seed=0)
        before = len(log.commands), len(log.facts)
        log.take(commands)
        more.commands, more.facts = log.commands[before[0] :], log.facts[before[1] :]
        write_both(settings, [more])
    projected(settings, logs)


def test_a_new_generation_has_the_same_rows(circle: Circle, settings: Settings, logs: list[BothLogs]) -> None:
    code, found = circle("replay", "projections", "--json")
    assert code == 0, found
    report = found["report"]
    assert report["facts"] == sum(len(log.facts) for log in logs)
    assert [table["live_rows"] for table in report["tables"]] == [table["new_rows"] for table in report["tables"]]
    assert sum(table["new_rows"] for table in report["tables"]) > 500
    assert circle("replay", "projections", "--json")[1]["report"]["facts"] == 0  # continues where it was
    code, text = circle("replay", "projections", "--restart", "--dry-run")
    assert code == 0
    assert "not promoted" in text
    with rows_of(settings) as query:
        assert query("SELECT to_regnamespace('generation_next')") == [(None,)]


def test_a_log_with_a_registrys_ids_is_read_with_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = BothLogs(partition=5, seed=61)
    log.take(100)
    with small_registry() as (url, _):
        named = replace(settings, schema_registry_url=url)
        write_both(named, [log], codec=codec_of(named))
        with Flow(projections, named):
            projected(named, [log])
        code, found = command_line(named, monkeypatch, capsys)("replay", "projections", "--json")
    assert code == 0, found
    assert found["report"]["facts"] == len(log.facts)


def test_each_role_may_do_with_the_new_tables_what_it_might_with_those_of_before(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    role, grants = "swapped_{process}", chosen(Process.RESERVATIONS)
    run_coroutine(apply(settings.postgres_url, grants, role))
    asked = (
        "SELECT relname, a.privilege_type FROM pg_class, aclexplode(relacl) AS a "
        "WHERE relnamespace = 'public'::regnamespace AND a.grantee = 'swapped_reservations'::regrole"
    )
    with rows_of(settings) as query:
        before, made = set(query(asked)), set(query("SELECT oid FROM pg_class WHERE relname = 'reservations'"))
        assert ("reservations", "SELECT") in before
        assert circle("replay", "projections", "--promote")[0] == 0
        assert set(query("SELECT 'public.reservations'::regclass::oid")).isdisjoint(made), "it is another table"
        assert set(query(asked)) == before
        query("DROP OWNED BY swapped_reservations")
        query("DROP ROLE swapped_reservations")


def has_every_table(town: Town) -> bool:
    """Whether the town's facts make rows of every kind, except foreign locks, chores and failed refunds."""
    made = {type(fact) for _, fact in town.facts}
    wanted = {f.PoolChanged, f.CodeAdded, f.SeatsBlocked, f.StaffAdded, f.ScheduleChanged, f.WaitlistJoined}
    return made >= wanted | {f.RefundRequested, f.DisputeOpened, f.CheckInAccepted}


def test_a_new_generation_has_every_table(settings: Settings) -> None:
    town = next(town for town in (town_of(seed, 300) for seed in range(200)) if has_every_table(town))
    facts = recorded(town, partition=2)
    with Flow(projections, settings), rows_of(settings) as query:
        write_facts(settings, facts)
        last = facts[-1].envelope.offset
        eventually(
            lambda: query('SELECT 1 FROM projection_positions WHERE partition = 2 AND "offset" = $1', last) != [],
            "the last fact is projected",
        )
    with ProgressBars(quiet=True) as progress:
        report = rebuild(settings, progress)
        assert report.ok
        empty = {table.table for table in report.tables if not table.new_rows}
        assert empty <= {"observed_seat_locks", "chores", "facts_set_aside"}
        with rows_of(settings) as query:
            query('UPDATE check_ins SET gate = \'elsewhere\' WHERE "offset" = (SELECT max("offset") FROM check_ins)')
            ((at, index),) = query('SELECT "offset", "index" FROM check_ins WHERE gate = \'elsewhere\'')
        (difference,) = [one for table in rebuild(settings, progress).tables for one in table.differences]
    assert (difference.position, difference.what.partition(",")[0]) == (f"2-{at}-{index}", "gate is 'elsewhere' live")


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
    with Flow(projections, settings):
        assert circle("replay", "projections", "--promote")[0] == 1  # says what differed
        sell_on(settings, logs, 60)  # and the live projection goes on in the new tables
    with rows_of(settings) as query:
        assert query("SELECT amount_minor FROM reservations WHERE amount_minor = 77") == []
        assert query("SELECT count(*) FROM generation_previous.reservations WHERE amount_minor = 77") == [(1,)]
        names = {row[0] for row in query("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")}
        assert {"seat_claims_live", "reservations_pkey", "reservations_of_user"} <= names
    with ProgressBars(quiet=True) as progress:
        report = verify(settings, VerifyOptions(redis=False), progress)
        assert report.ok, report.partitions
        again = rebuild(settings, progress)
    assert again.ok
    assert [table.table for table in again.tables] == list(TABLES)


def test_the_way_back_is_the_tables_of_before_brought_up_to_date(
    circle: Circle, settings: Settings, logs: list[BothLogs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors in them are still there, and are reported; they have all facts since the swap."""
    with (
        ProgressBars(quiet=True) as progress,
        pytest.raises(CannotSwap, match="there is no generation in generation_prev"),
    ):
        go_back(settings, progress)
    assert circle("replay", "projections", "--back")[0] == 1
    with rows_of(settings) as query:
        query("UPDATE reservations SET amount_minor = 77 WHERE id = (SELECT min(id) FROM reservations)")
    wrong = "SELECT count(*) FROM reservations WHERE amount_minor = 77"
    assert circle("replay", "projections", "--promote")[0] == 1
    with Flow(projections, settings), rows_of(settings) as query:
        sell_on(settings, logs, 60)
        monkeypatch.setattr(generation, "BATCH", 7)
        found, stops = stopped_at_random(lambda progress: go_back(settings, progress))
        assert stops > 1
        assert found.facts < 2 * 60  # those since the swap, and not those of before it
        assert [table.table for table in found.tables if not table.same] == ["reservations"]
        (difference,) = [one.what for table in found.tables for one in table.differences]
        assert difference.startswith("amount_minor is ")
        assert difference.endswith(" live, 77 former")
        assert query(wrong) == [(0,)]
        code, text = circle("replay", "projections", "--back", "--promote")
        assert (code, "former rows" in text) == (1, True)
        assert query(wrong) == [(1,)]
        sell_on(settings, logs, 20)  # the live projection goes on in them
        assert circle("replay", "projections", "--back", "--promote")[0] == 1  # and back once more
        assert query(wrong) == [(0,)]
        sell_on(settings, logs, 20)
        query("UPDATE generation_previous.reservations SET amount_minor = r.amount_minor FROM reservations AS r "
              "WHERE r.id = generation_previous.reservations.id")  # fmt: skip
        code, report = circle("replay", "projections", "--back", "--json")
        assert (code, report["report"]["beside"], report["report"]["facts"] > 0) == (0, "generation_previous", True)
    with ProgressBars(quiet=True) as progress:
        assert verify(settings, VerifyOptions(redis=False), progress).ok


def test_there_is_no_way_back_to_tables_of_another_version(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    assert circle("replay", "projections", "--promote")[0] == 0
    assert circle("replay", "projections")[0] == 0
    with rows_of(settings) as query:
        query("ALTER TABLE tickets ADD COLUMN colour text")
    for schema, run in (("generation_previous", go_back), ("generation_next", rebuild)):
        said = rf"{schema}.tickets has not the columns of the live table \(colour\)"
        with ProgressBars(quiet=True) as progress, pytest.raises(CannotSwap, match=said):
            run(settings, progress)
    assert circle("replay", "projections", "--restart")[0] == 0


@pytest.mark.parametrize("other", ["--restart", "--dry-run", "--from=3"])
def test_the_way_back_is_of_one_kind(circle: Circle, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert circle("replay", "projections", "--back", other)[0] == 2
    assert "--back: goes on with the rows that are there" in capsys.readouterr().out


def test_rows_that_are_ahead_of_the_log_are_said_so(settings: Settings, logs: list[BothLogs]) -> None:
    with rows_of(settings) as query:
        query('UPDATE projection_positions SET "offset" = 10000 WHERE partition = 0')
    with ProgressBars(quiet=True) as progress, pytest.raises(CannotSwap, match="the live rows are at 10000"):
        rebuild(settings, progress)


def test_from_a_point_on_only_the_events_with_later_facts_are_made_anew(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    """The rebuild repairs damage in a rebuilt event, and copies it in the others."""
    log = logs[0]
    late = {one.envelope.event_id for one in log.facts[-3:]}
    first = len(log.facts) - 3
    early = {one.envelope.event_id for one in log.facts} - late
    assert late
    assert early
    with rows_of(settings) as query:
        query("UPDATE events SET title = 'damaged'")
    code, found = circle("replay", "projections", "--from", str(first), "--json")
    report = found["report"]
    others = {one.envelope.event_id for one in logs[1].facts[first:]}
    assert (code, report["made_anew"]) == (1, len(late | others))
    differing = {row["key"] for table in report["tables"] for row in table["differences"]}
    assert differing == late | others
    assert circle("replay", "projections", "--from", "0", "--json")[0] == 1  # another point: not without --restart
    assert circle("replay", "projections", "--from", "0", "--restart", "--json", "--promote")[0] == 1
    with rows_of(settings) as query:
        assert query("SELECT 1 FROM events WHERE title = 'damaged'") == []
    assert circle("replay", "projections", "--from", "tomorrow")[0] == 2


def test_from_empty_tables_it_is_built_to_the_end_and_the_live_one_goes_on_from_there(
    circle: Circle, settings: Settings, logs: list[BothLogs]
) -> None:
    with rows_of(settings) as query:
        (before,) = query("SELECT count(*)::int, sum(hashtextextended(t::text, 0)) FROM reservations AS t")
        query(f"TRUNCATE {', '.join(TABLES)}, projection_positions")
    code, found = circle("replay", "projections", "--json", "--promote")
    report = found["report"]
    assert (code, report["from_empty"], report["promoted"]) == (0, True, True)
    assert report["facts"] == sum(len(log.facts) for log in logs)
    with rows_of(settings) as query:
        assert query("SELECT count(*)::int, sum(hashtextextended(t::text, 0)) FROM reservations AS t") == [before]
    with Flow(projections, settings):
        sell_on(settings, logs, 20)
    assert circle("replay", "projections", "--json")[0] == 0


def test_a_rebuild_stopped_at_random_places_comes_to_the_same_digests(
    settings: Settings, logs: list[BothLogs], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = rebuild(settings, ProgressBars(quiet=True), restart=True)
    monkeypatch.setattr(generation, "BATCH", 41)
    rebuild(settings, ProgressBars(quiet=True), restart=True, dry_run=True)
    found, stops = stopped_at_random(lambda progress: rebuild(settings, progress))
    assert stops > 2
    assert found.facts < at_once.facts  # each went on where the one before was stopped
    assert found.ok
    assert [table.new_digest for table in found.tables] == [table.new_digest for table in at_once.tables]
