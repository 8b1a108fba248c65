"""Facts on the topic become rows in Postgres: once each, also after repeats, kills and unreadable records."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from connectors.kafka import consumer
from connectors.postgres import Database
from connectors.settings import Settings
from ops.rebuild.rows import TABLES
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from pipelines.projections.branch import CHANNEL
from pipelines.reservations.core.state import EventState
from pipelines.reservations.loader import PartitionLoader
from pipelines.reservations.partition import Partition
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.snapshot_store import SnapshotStore
from pipelines.watch.dead_letters import NoSuchLetter, choose, letters
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS, dead_letters
from tests.harness.fact_logs import FactLog, log_of
from tests.harness.flows import Flow, Heard, Process, eventually, read, rows_of, write, write_facts
from tests.harness.flows import projections as run
from tests.harness.words import BOB, EVENT, R1, R2, confirmed, held, hold_expired, on_sale, payment_requested

ENDLESS = random.Random(7).randbytes(30_000).hex()  # too large for an index of PostgreSQL, even compressed


def last(facts: list[RecordedFact]) -> dict[int, tuple[int, int]]:
    return {one.envelope.partition: (one.envelope.offset, one.envelope.index) for one in facts}


def projected(settings: Settings, facts: list[RecordedFact]) -> None:
    with Heard(settings, CHANNEL) as heard, Flow(run, settings):
        write_facts(settings, facts)
        heard.until_projected(last(facts))


def all_rows(settings: Settings) -> dict[str, list[tuple]]:
    with rows_of(settings) as query:
        return {table: sorted(query(f"SELECT * FROM {table}"), key=repr) for table in (*TABLES, "projection_positions")}


def rebuilt(settings: Settings, log: FactLog) -> dict[str, EventState]:
    database = Database(settings.postgres_url)
    try:
        store = SnapshotStore(database)
        return {event_id: state_from(store.load_event(event_id, log.partition)) for event_id in log.states}
    finally:
        database.close()


def assert_same(found: dict[str, EventState], expected: dict[str, EventState]) -> None:
    for event_id, state in expected.items():
        got = found[event_id]
        assert got.status == state.status
        assert got.reservations == state.reservations
        assert got.tickets_of == state.tickets_of
        assert got.locked_places == state.locked_places
        assert got.next_deadline() == state.next_deadline()
        for kind, section in state.sections.items():
            twin = got.sections[kind]
            assert (twin.held, twin.sold, twin.available) == (section.held, section.sold, section.available)
        assert state.details is not None
        # PostgreSQL's text cannot hold U+0000.
        title = state.details.title.replace("\x00", "\ufffd")
        assert got.details == msgspec.structs.replace(state.details, title=title)


def test_state_rebuilt_from_rows_is_the_state_that_the_facts_add_up_to(settings: Settings) -> None:
    logs = [FactLog(partition=partition, seed=11) for partition in range(3)]
    projected(settings, [fact for log in logs for fact in log.take(600)])
    for log in logs:
        assert_same(rebuilt(settings, log), log.states)


def test_one_batch_or_many_give_the_same_rows(stack: Stack, settings: Settings) -> None:
    log = FactLog(partition=0, seed=12)
    parts = [log.take(75) for _ in range(4)]
    projected(settings, [fact for part in parts for fact in part])
    at_once = all_rows(settings)
    again = replace(settings_from_env(stack.fresh()), session_timeout_ms=settings.session_timeout_ms)
    for part in parts:
        projected(again, part)
    assert all_rows(again) == at_once


def test_a_redelivery_changes_nothing_but_how_far_the_topic_is_read(settings: Settings) -> None:
    facts = FactLog(partition=0, seed=13).take(200)
    projected(settings, facts)
    before = all_rows(settings)
    later = log_of(*on_sale(), partition=1)
    projected(settings, facts[50:] + facts + later)
    after = all_rows(settings)
    for table in set(TABLES) - {"events", "ticket_types"}:  # which the later facts have rows in
        assert after[table] == before[table], table


def test_killed_at_any_moment_it_ends_with_the_same_rows(settings: Settings) -> None:
    log = FactLog(partition=0, seed=14)
    facts = log.take(1_500)
    with rows_of(settings) as query:
        for part in range(4):
            write_facts(settings, facts[part * len(facts) // 4 : (part + 1) * len(facts) // 4])
            process = Process.start("projections", settings)
            if part < 3:
                aim = (part + 1) * 200
                eventually(
                    lambda aim=aim: query('SELECT 1 FROM projection_positions WHERE "offset" >= $1', aim) != [],
                    "the first facts of this part",
                )
                process.kill()
        wanted = facts[-1].envelope.offset
        eventually(
            lambda: query('SELECT 1 FROM projection_positions WHERE "offset" = $1', wanted) != [], "the last fact"
        )
        assert process.terminate() == 0
    assert_same(rebuilt(settings, log), log.states)


def test_a_command_whose_last_fact_is_missing_is_held_back(settings: Settings) -> None:
    expiry = log_of(*on_sale(), held(["A-1"]), [hold_expired(["A-1"]), held(["A-1"], rid=R2, by=BOB)])
    with rows_of(settings) as query:
        projected(settings, expiry[:-2])
        with Heard(settings, CHANNEL) as heard, Flow(run, settings):
            write_facts(settings, [expiry[-2]])
            heard.until_projected({0: (3, 0)})  # repeated, and no further
            assert query("SELECT id, status FROM reservations") == [(R1, "held")]
        assert query("SELECT next_offset FROM projection_positions WHERE partition = 0") == [(4,)]
        projected(settings, [expiry[-1]])  # a successor reads the held-back fact again
        assert query("SELECT id, status FROM reservations ORDER BY status") == [(R1, "expired"), (R2, "held")]


def test_a_seat_sold_twice_breaks_the_tripwire_and_nothing_of_the_batch_is_written(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    projected(settings, log_of(*on_sale(), held(["A-1"])))
    flow = Flow(run, settings).start()
    with caplog.at_level("ERROR", logger="circle.projections"):
        write_facts(settings, log_of(held(["B-1"], rid=R2, by=BOB), first=4) + log_of(held(["A-1"], rid=R2), first=5))
        assert flow.ended() == 1
    assert "tripwire" in [record.getMessage() for record in caplog.records]
    with rows_of(settings) as query:
        assert query("SELECT seat, reservation_id FROM seat_claims") == [("A-1", R1)]
        assert query('SELECT "offset" FROM projection_positions WHERE partition = 0') == [(3,)]


def test_a_fact_that_cannot_be_written_is_set_aside_and_the_others_of_its_batch_have_their_rows(
    settings: Settings,
) -> None:
    endless = hold_expired(["A-1"], rid="x" * 5_000)  # of no reservation: it changes no row
    too_long = held(["A-2"], rid=ENDLESS, by=BOB)  # no index has room for this id
    torn = confirmed(["A-1"])  # fewer seats than tickets: it cannot be projected
    torn = msgspec.structs.replace(torn, seats=["A-1"], ticket_ids=["t1", "t2"])
    facts = log_of(*on_sale(), held(["A-1"]), endless, too_long, torn, held(["B-1"], rid=R2, by=BOB))
    projected(settings, facts)
    letters_of = read(settings, dead_letters(FACTS), 1, 2)
    headers = [dict(letter.headers() or []) for letter in letters_of]
    assert [one["origin_offset"] for one in headers] == [b"5", b"6"]
    assert [one["set_aside_by"] for one in headers] == [b"projections"] * 2
    assert [b"ProgramLimitExceeded" in headers[0]["error"], b"IndexError" in headers[1]["error"]] == [True, True]
    with rows_of(settings) as query:
        assert query("SELECT id, status FROM reservations ORDER BY id") == sorted([(R1, "held"), (R2, "held")])
        assert query('SELECT "offset" FROM projection_positions WHERE partition = 0') == [(7,)]
        aside = query('SELECT event_id, "offset", fact FROM facts_set_aside ORDER BY "offset"')
    assert aside == [(EVENT, 5, "TicketsHeld"), (EVENT, 6, "ReservationConfirmed")]
    with pytest.raises(NoSuchLetter, match="replay projections"):
        choose(letters(settings, (FACTS,)), [0], limit=1)
    assert choose(letters(settings, (FACTS,)), (), limit=10) == []


def test_a_worker_folds_the_facts_of_an_event_that_lacks_rows(settings: Settings) -> None:
    too_long = held(["A-2"], rid=ENDLESS, by=BOB)
    facts = log_of(*on_sale(), held(["A-1"]), too_long, held(["B-1"], rid=R2, by=BOB))
    projected(settings, facts)
    database = Database(settings.postgres_url)
    loader = PartitionLoader(
        partitions={},
        store=SnapshotStore(database),
        codec=Codec(),
        installer=Nowhere(),
        facts_reader=lambda: consumer(settings, group=None, **{"enable.partition.eof": True}),
        transactional_id="",
        end_transactions=lambda _former: None,
        in_place=lambda _, found: found,
    )
    client = consumer(settings, group="circle.test")
    try:
        loader.assigned(client, [0])
        state = loader.states_of({EVENT: 0}, {})[EVENT]
    finally:
        client.close()
        database.close()
    assert set(state.reservations) == {R1, R2, ENDLESS}


class Nowhere:
    def install(self, partition: Partition, states: list[EventState]) -> None:
        """Do nothing: this test needs no Redis."""

    def distrust(self, partition: Partition) -> None:
        """Do nothing, likewise."""


def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_flow_goes_on(settings: Settings) -> None:
    facts = log_of(*on_sale(), held(["A-1"]))
    moved = log_of(held(["A-2"], rid=R2), partition=5, first=9)[0]
    codec = Codec()
    with Heard(settings, CHANNEL) as heard, Flow(run, settings):
        write_facts(settings, facts[:2])
        write(
            settings,
            FACTS,
            [
                (0, b"\x00\x00\x00\x00\x01", [("ce_id", b"x")]),
                (0, b"no avro", []),
                (0, codec.encode_fact(moved.envelope, moved.fact), []),
            ],
        )
        write_facts(settings, facts[2:])
        heard.until_projected(last(facts))
    letters = read(settings, dead_letters(FACTS), 1, 3)
    origins = [dict(letter.headers() or []) for letter in letters]
    assert [(one["origin_partition"], one["origin_offset"]) for one in origins] == [
        (b"0", b"2"),
        (b"0", b"3"),
        (b"0", b"4"),
    ]
    assert [letter.value() for letter in letters[:2]] == [b"\x00\x00\x00\x00\x01", b"no avro"]
    assert origins[0]["ce_id"] == b"x"
    assert b"partition 5" in origins[2]["error"]
    with rows_of(settings) as query:
        assert query("SELECT count(*) FROM reservations") == [(1,)]


@pytest.mark.parametrize("forged_at", [10**12, 5, 6], ids=["far", "the next command", "one further"])
def test_a_fact_of_a_command_that_the_log_does_not_have_hides_none_behind_it(
    settings: Settings, forged_at: int
) -> None:
    facts = log_of(*on_sale(), held(["A-1"]), held(["B-1"], rid=R2, by=BOB))
    forged = log_of(hold_expired(["A-1"]), first=forged_at)
    write(settings, COMMANDS, [(0, b"a command", []) for _ in facts])
    assert len(facts) == 5
    with Heard(settings, CHANNEL) as heard, Flow(run, settings):
        write_facts(settings, facts[:4] + forged + facts[4:])
        heard.until_projected(last(facts))
    headers = dict(read(settings, dead_letters(FACTS), 1, 1)[0].headers() or [])
    assert headers["origin_offset"] == b"4"
    error = f"a fact of command 0-{forged_at}, but tickets.commands[0] ends at "  # the embedded broker reports it late
    assert headers["error"].decode().startswith(error)
    with rows_of(settings) as query:
        assert query("SELECT id, status FROM reservations ORDER BY id") == sorted([(R1, "held"), (R2, "held")])
        assert query('SELECT "offset" FROM projection_positions WHERE partition = 0') == [(4,)]


def test_where_the_log_has_no_commands_a_leap_of_a_million_is_forged(settings: Settings) -> None:
    facts = log_of(*on_sale(), held(["A-1"]))
    forged = log_of(hold_expired(["A-1"]), first=10**12)
    with Heard(settings, CHANNEL) as heard, Flow(run, settings):
        write_facts(settings, forged + facts)
        heard.until_projected(last(facts))
    with rows_of(settings) as query:
        assert query("SELECT id, status FROM reservations") == [(R1, "held")]


def test_while_postgres_is_away_it_waits_and_then_goes_on(stack: Stack, settings: Settings) -> None:
    facts = log_of(*on_sale(), held(["A-1"]), payment_requested(), confirmed(["A-1"]))
    with Heard(settings, CHANNEL) as heard, Flow(run, settings):
        write_facts(settings, facts[:3])
        heard.until_projected(last(facts[:3]))
        stack.postgres.kill()
        write_facts(settings, facts[3:])
        stack.postgres.start()
        heard.until_projected(last(facts))
    with rows_of(settings) as query:
        assert query("SELECT status, payment FROM reservations") == [("confirmed", "captured")]
        assert query("SELECT count(*) FROM tickets WHERE event_id = $1", EVENT) == [(1,)]


def test_told_to_stop_while_postgres_is_away_it_stops(stack: Stack, settings: Settings) -> None:
    facts = log_of(*on_sale())
    flow = Flow(run, settings)
    with Heard(settings, CHANNEL) as heard:
        flow.start()
        write_facts(settings, facts[:1])
        heard.until_projected({0: (0, 0)})
    stack.postgres.kill()
    write_facts(settings, facts[1:])
    try:
        assert flow.stop() == 0
    finally:
        stack.postgres.start()


def test_a_log_that_ends_before_the_stored_position_is_an_alarm(settings: Settings) -> None:
    projected(settings, log_of(*on_sale()))
    with rows_of(settings) as query:
        query("UPDATE projection_positions SET next_offset = 1000 WHERE partition = 0")
    assert Flow(run, settings).start().ended() == 1
