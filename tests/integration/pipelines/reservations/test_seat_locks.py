"""Seat locks on a real Valkey: all or nothing, only under the newest epoch, only with every foreign lock known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from connectors.errors import Fenced, ServiceUnreachable
from connectors.settings import Settings
from connectors.stoppable_wait import Stopped
from ops.run.services.process import free_port
from pipelines.reservations.seat_locks import (
    CALL_PLACES_MAX,
    ForeignLocks,
    LockRefused,
    Locks,
    SeatLocks,
    claim_text,
)

EVENT, STALLS = "e1", "stalls"
A1, A2 = f"{STALLS}/A-1", f"{STALLS}/A-2"
HELD = claim_text("held", "r1", 99, 1, 7)


@pytest.fixture
def locks(settings: Settings) -> Iterator[SeatLocks]:
    with closing(SeatLocks(settings.redis_url)) as locks:
        yield locks


@pytest.fixture
def foreign(settings: Settings) -> Iterator[ForeignLocks]:
    with closing(ForeignLocks(settings.redis_url)) as foreign:
        yield foreign


def claims(locks: SeatLocks) -> dict[str, str]:
    return locks.client.hgetall(f"circle:{{{EVENT}}}:claims")  # type: ignore[return-value]


def test_an_event_that_redis_does_not_know_is_to_be_installed_first(locks: SeatLocks) -> None:
    assert locks.claim({EVENT: 1}, {EVENT: "0"}, {EVENT: {A1: HELD}}) == {EVENT: None}
    assert claims(locks) == {}
    assert locks.install({EVENT: 1}, {EVENT: {A2: HELD}}) == {EVENT: Locks("0", set())}
    assert locks.claim({EVENT: 1}, {EVENT: "0"}, {EVENT: {A1: HELD, A2: ""}}) == {}
    assert claims(locks) == {A1: HELD}


def test_a_successor_voids_what_its_predecessor_left_and_fences_it(locks: SeatLocks) -> None:
    locks.install({EVENT: 1}, {EVENT: {A1: HELD}})
    locks.install({EVENT: 2}, {EVENT: {}})
    assert claims(locks) == {}
    with pytest.raises(Fenced, match="epoch 1 is over, a worker with epoch 2 owns"):
        locks.claim({EVENT: 1}, {EVENT: "0"}, {EVENT: {A1: HELD}})
    with pytest.raises(Fenced):
        locks.install({EVENT: 1}, {EVENT: {A1: HELD}})
    locks.publish({EVENT: 1}, {EVENT: {STALLS: "stale"}}, [])
    assert claims(locks) == {}
    assert locks.client.exists(f"circle:{{{EVENT}}}:availability") == 0


def test_a_foreign_lock_turns_the_whole_event_down_until_the_decision_knows_it(
    locks: SeatLocks, foreign: ForeignLocks
) -> None:
    locks.install({EVENT: 1}, {EVENT: {}})
    assert foreign.take(EVENT, [A1], owner="box office", seconds=60) == 1
    assert locks.claim({EVENT: 1}, {EVENT: "0"}, {EVENT: {A2: HELD}}) == {EVENT: Locks("1", {A1})}
    assert claims(locks) == {}
    assert locks.claim({EVENT: 1}, {EVENT: "1"}, {EVENT: {A2: HELD}}) == {}
    assert foreign.free(EVENT, [A1, A2], owner="box office") == 1
    assert locks.claim({EVENT: 1}, {EVENT: "1"}, {EVENT: {}}) == {EVENT: Locks("2", set())}


def test_the_refusal_of_one_event_leaves_the_other_events_of_the_batch_as_they_are(
    locks: SeatLocks, foreign: ForeignLocks
) -> None:
    events = [EVENT, "locked", "unknown", "e4"]
    locks.install(dict.fromkeys(events, 1), {EVENT: {A2: HELD}, "locked": {A2: HELD}, "e4": {}})
    foreign.take("locked", [A1], owner="box office", seconds=60)
    asked = {EVENT: {A1: HELD, A2: ""}, "locked": {A2: ""}, "unknown": {A1: HELD}, "e4": {A1: HELD}}
    answer = locks.claim(dict.fromkeys(events, 1), dict.fromkeys(events, "0"), asked)
    assert answer == {"locked": Locks("1", {A1}), "unknown": None}
    assert claims(locks) == {A1: HELD}
    assert [locks.client.hgetall(f"circle:{{{event}}}:claims") for event in events[1:]] == [{A2: HELD}, {}, {A1: HELD}]


def test_a_batch_of_any_size_is_claimed_and_freed_whole(locks: SeatLocks) -> None:
    events = [EVENT, "e2", "e3"]
    epochs, versions = dict.fromkeys(events, 1), dict.fromkeys(events, "0")
    places = [f"{STALLS}/{seat}" for seat in range(CALL_PLACES_MAX + 500)]
    locks.install(epochs, {event: {} for event in events})
    assert locks.claim(epochs, versions, {event: dict.fromkeys(places, HELD) for event in events}) == {}
    assert [locks.client.hlen(f"circle:{{{event}}}:claims") for event in events] == [len(places)] * 3
    assert locks.claim(epochs, versions, {event: dict.fromkeys(places[1:], "") for event in events}) == {}
    assert [locks.client.hgetall(f"circle:{{{event}}}:claims") for event in events] == [{places[0]: HELD}] * 3


def test_some_counters_are_not_shown_where_the_others_are_missing(locks: SeatLocks) -> None:
    locks.install({EVENT: 1, "e2": 1}, {EVENT: {}, "e2": {}})
    shown = {EVENT: {STALLS: "{}"}, "e2": {STALLS: "{}"}}
    assert locks.publish({EVENT: 1, "e2": 1}, shown, [], parts={EVENT}) == {EVENT}
    assert locks.publish({EVENT: 1, "e2": 1}, shown, []) == set()
    assert locks.publish({EVENT: 1, "e2": 1}, {EVENT: {"floor": "{}"}}, [], parts={EVENT}) == set()
    assert locks.client.hgetall(f"circle:{{{EVENT}}}:availability") == {STALLS: "{}", "floor": "{}"}


def test_a_foreign_lock_ends_by_itself(locks: SeatLocks, foreign: ForeignLocks) -> None:
    locks.install({EVENT: 1}, {EVENT: {}})
    foreign.take(EVENT, [A1], owner="box office", seconds=0)
    answer = locks.claim({EVENT: 1}, {EVENT: "1"}, {EVENT: {}})
    assert answer == {EVENT: Locks("2", set())}


def test_a_foreign_owner_gets_all_places_or_none_and_hears_who_has_them(
    locks: SeatLocks, foreign: ForeignLocks
) -> None:
    locks.install({EVENT: 1}, {EVENT: {A1: HELD}})
    with pytest.raises(LockRefused, match="A-1: a buyer has claimed it"):
        foreign.take(EVENT, [A2, A1], owner="box office", seconds=60)
    foreign.take(EVENT, [A2], owner="partner", seconds=60)
    with pytest.raises(LockRefused, match="A-2: locked by partner"):
        foreign.take(EVENT, [A2], owner="box office", seconds=60)
    assert foreign.free(EVENT, [A2], owner="box office") == 0
    assert {place: owner for place, (owner, _) in foreign.held(EVENT).items()} == {A2: "partner"}


def test_a_flush_is_noticed_and_the_scripts_are_loaded_again(locks: SeatLocks, settings: Settings) -> None:
    assert locks.marks(["circle:installed:0"]) == [None]
    locks.mark("circle:installed:0", "done")
    assert locks.marks(["circle:installed:0", "circle:installed:1"]) == ["done", None]
    locks.install({EVENT: 1}, {EVENT: {A1: HELD}})
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()
        client.script_flush()
    assert locks.marks(["circle:installed:0"]) == [None]
    assert locks.claim({EVENT: 1}, {EVENT: "0"}, {EVENT: {}}) == {EVENT: None}
    locks.install({EVENT: 1}, {EVENT: {A1: HELD}})
    assert claims(locks) == {A1: HELD}


def test_messages_leave_with_the_counters(locks: SeatLocks, settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis_url) as client, client.pubsub() as channel:
        channel.subscribe("replies")
        assert channel.get_message(timeout=5) is not None
        locks.install({EVENT: 3}, {EVENT: {}})
        locks.publish({EVENT: 3}, {EVENT: {STALLS: "{}"}}, [("replies", b"\x93\x00")])
        deadline = time.monotonic() + 5
        message = None
        while message is None and time.monotonic() < deadline:
            message = channel.get_message(timeout=1)
        assert message is not None
        assert message["data"] == b"\x93\x00"
    assert locks.client.hgetall(f"circle:{{{EVENT}}}:availability") == {STALLS: "{}"}


def test_what_was_lost_again_meanwhile_is_not_marked_as_done(locks: SeatLocks, settings: Settings) -> None:
    locks.mark("circle:installed:0", "7")
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()
    assert not locks.mark_done("circle:installed:0", "7", "done")
    assert locks.marks(["circle:installed:0"]) == [None]
    locks.mark("circle:installed:0", "8")
    assert not locks.mark_done("circle:installed:0", "7", "done")
    assert locks.mark_done("circle:installed:0", "8", "done")
    assert locks.marks(["circle:installed:0"]) == ["done"]


def test_a_foreign_lock_that_has_ended_is_nobodys_any_more(locks: SeatLocks, foreign: ForeignLocks) -> None:
    locks.install({EVENT: 1}, {EVENT: {}})
    locks.client.hset(f"circle:{{{EVENT}}}:foreign", A1, f"partner|{time.time_ns() // 1000}")
    foreign.refuse_taken(EVENT, [A1], owner="box office")
    assert foreign.take(EVENT, [A1], owner="box office", seconds=60) == 1
    with pytest.raises(LockRefused, match="locked by box office"):
        foreign.take(EVENT, [A1], owner="partner", seconds=60)


def test_a_foreign_lock_that_something_wrote_wrongly_holds_and_breaks_nothing(
    locks: SeatLocks, foreign: ForeignLocks
) -> None:
    locks.install({EVENT: 1}, {EVENT: {}})
    locks.client.hset(f"circle:{{{EVENT}}}:foreign", A1, "nonsense")
    assert locks.claim({EVENT: 1}, {EVENT: "-"}, {EVENT: {A1: HELD}}) == {EVENT: Locks("0", {A1})}
    assert foreign.held(EVENT) == {A1: ("nonsense", 0)}
    with pytest.raises(LockRefused, match="locked by nonsense"):
        foreign.take(EVENT, [A1], owner="box office", seconds=60)


def test_a_redis_that_stays_away_is_said_now_and_then_and_is_an_error_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipelines.reservations.seat_locks.OUTAGE_S_MAX", 0.5)
    locks = SeatLocks(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(ServiceUnreachable, match="is CIRCLE_REDIS_URL right"):
        locks.install({EVENT: 1}, {EVENT: {}})
    assert caplog.text.count("redis.unreachable") == 1
    locks.close()


def test_a_stop_is_heard_while_redis_is_away() -> None:
    asked = iter([False, False, True])
    locks = SeatLocks(f"redis://127.0.0.1:{free_port()}/0", stop_requested=lambda: next(asked))
    with pytest.raises(Stopped, match="while Redis was away"):
        locks.install({EVENT: 1}, {EVENT: {}})
    locks.close()
