"""States that were stored come back unchanged, for every decision and every look."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.log_reader import few_collections
from connectors.scratch_file import ScratchFile
from pipelines.history.fold import Fold
from pipelines.history.states import EVENT_WEIGHT, States
from pipelines.history.verification import PartitionVerifier
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.entities import At, Reservation
from pipelines.reservations.core.state import EventState
from schemas.ids import LogTime
from tests.harness.command_logs import CODEC, BothLogs, ListFeed
from tests.harness.words import BOB, EVENT, R2, T, add_type, create, publish, reserve


@pytest.fixture
def shelf() -> Iterator[ScratchFile]:
    with closing(ScratchFile()) as open_shelf:
        yield open_shelf


@pytest.fixture
def counted() -> Iterator[None]:
    """The count of states skips existing objects: other tests leave a million of them."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def filled(states: States, *names: str, reservations: int = 0) -> None:
    for name in names:
        state = states.of(name)
        for number in range(reservations):
            one = Reservation(
                id=f"{name}-{number}",
                user_id="u",
                ticket_type_id="t",
                status="rejected",
                quantity=1,
                seats=[],
                amount_minor=0,
                currency="",
                expires_at=0,
                fingerprint=0,
                partition=0,
                offset=number,
                asked_at=0,
            )
            state.reservations[one.id] = one


@pytest.mark.parametrize("seed", range(6))
def test_every_decision_on_states_from_the_shelf_is_the_same(
    seed: int, shelf: ScratchFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every command all states except the last event's are stored, so nearly every decision is on a stored
    one."""
    monkeypatch.setattr("pipelines.history.verification.TURN_EVERY", 1)
    log = BothLogs(partition=0, seed=seed)
    log.take(400)
    states = States(shelf, kept_max=0)
    verifier = PartitionVerifier(0, CODEC, ListFeed(log.fact_records()), states=states)
    shelved = 0
    for record in log.command_records():
        verifier.read(record)
        shelved = max(shelved, len(shelf))
    verifier.finish()
    assert (verifier.divergences, verifier.facts) == ([], len(log.facts))
    assert shelved >= len(states) - 2 > 0
    there = {event_id: state for event_id, state in log.states.items() if state.details is not None}
    assert sorted(states) == sorted(there)
    for event_id, state in there.items():
        assert canonical(states[event_id]) == canonical(state)
        assert states[event_id].next_deadline() == state.next_deadline()
        assert states[event_id].due(log.now, 100) == state.due(log.now, 100)


def test_a_fold_with_a_shelf_comes_to_the_same_digest(shelf: ScratchFile) -> None:
    log = BothLogs(partition=0, seed=2)
    log.take(400)
    records = [(record.offset, record.value) for record in log.fact_records()]
    whole, shelving = Fold(CODEC), Fold(CODEC, States(shelf, kept_max=40))
    whole.take(records)
    for start in range(0, len(records), 10):
        shelving.take(records[start : start + 10])
    assert len(shelf) > 0
    assert shelving.digest() == whole.digest()


def test_what_was_not_asked_for_is_shelved_and_the_rest_stays(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=2 * (EVENT_WEIGHT + 10))
    filled(states, "a", reservations=11)
    states.turn()
    assert list(shelf) == []  # it may be used again at once
    filled(states, "b", reservations=11)
    states.turn()
    assert list(shelf) == ["a"]
    states.of("b")
    filled(states, "c", reservations=11)
    states.turn()
    assert list(shelf) == ["a"]
    assert sorted(states) == ["a", "b", "c"]
    assert len(states) == 3


def test_a_little_is_never_shelved(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=10 * EVENT_WEIGHT)
    filled(states, "a", "b", "c", "d", "e")
    for _ in range(3):
        states.turn()
    assert list(shelf) == []


@pytest.mark.usefixtures("counted")
def test_memory_is_bounded_however_many_events_there_are(shelf: ScratchFile) -> None:
    """Also when cycles are collected as rarely as in a fold: a stored state leaves memory."""
    event, events = 100 + EVENT_WEIGHT, 300
    states = States(shelf, kept_max=40 * event)
    before = in_memory()
    with few_collections():
        for number in range(events):
            filled(states, f"event-{number}", reservations=100)
            states.turn()
        assert in_memory() - before <= 40 + 2
    assert len(states) == events
    assert events - len(shelf) <= 40 + 2


@pytest.mark.usefixtures("counted")
def test_what_comes_back_makes_room_for_itself(shelf: ScratchFile) -> None:
    """Without a call of `turn`."""
    event, events = 100 + EVENT_WEIGHT, 200
    states = States(shelf, kept_max=20 * event)
    names = [f"event-{number}" for number in range(events)]
    for name in names:
        filled(states, name, reservations=100)
        states.turn()
    before, recent = in_memory(), states.recent
    with few_collections():
        for name in names * 2:
            assert len(states.of(name).reservations) == 100
            assert states.recent is recent
            assert recent[name].event_id == name
            assert in_memory() - before <= 20
    assert sorted(states) == sorted(names)


def test_the_labels_of_a_layout_are_not_put_on_the_shelf(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=0)
    for command in (create(), add_type(rows=100, seats_per_row=100), publish(), reserve(3)):
        step(states.of(EVENT), command, At(0, 1, LogTime(T)))
    for name in ("b", "c"):
        states.turn()
        filled(states, name)
    states.turn()
    packed = shelf.look(EVENT)
    assert packed is not None
    assert len(packed) < 20_000
    tracemalloc.start()
    try:
        kept = [states[EVENT] for _ in range(10)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < len(kept) * 60_000
    step(states.of(EVENT), reserve(2, rid=R2, by=BOB), At(0, 2, LogTime(T)))
    assert len(states.of(EVENT).reservations[R2].seats) == 2


def test_whether_one_is_there_is_asked_without_unpacking_it(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=0)
    for name in ("a", "b", "c"):
        filled(states, name)
        states.turn()
    shelf.put("a", b"not to be unpacked")
    assert {"a", "b", "c", "d"} - states.keys() == {"d"}


def in_memory() -> int:
    return sum(isinstance(one, EventState) for one in gc.get_objects())


def test_to_look_at_a_shelved_state_leaves_it_there(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=0)
    filled(states, "a", reservations=1)
    states.turn()
    filled(states, "b")
    states.turn()
    seen = states["a"]
    seen.reservations.clear()
    assert list(states["a"].reservations) == ["a-0"]
    assert list(shelf) == ["a"]
    assert "nowhere" not in states
    with pytest.raises(KeyError):
        states["nowhere"]


def test_what_is_forgotten_is_nowhere(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=0)
    for name in ("a", "b", "c"):
        filled(states, name)
        states.turn()
    states.of("d")  # a and b are stored, c is not, d was used last
    for name in ("a", "c", "d"):
        states.forget(name)
    assert list(states) == ["b"]
    assert canonical(states.of("a")) == canonical(EventState("a"))


def test_a_state_that_comes_back_is_on_the_shelf_no_longer(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=0)
    for name in ("a", "b", "c"):
        filled(states, name)
        states.turn()
    states.of("a").status = "published"
    assert sorted(states) == ["a", "b", "c"]
    assert list(shelf) == ["b"]
    assert states["a"].status == "published"


def test_without_a_shelf_all_stay() -> None:
    states = States(kept_max=0)
    filled(states, "a", "b")
    kept = states.of("a")
    states.turn()
    assert states.of("a") is kept
    assert len(states) == 2


def test_a_state_that_is_taken_is_its_takers_alone_until_it_is_given_back(shelf: ScratchFile) -> None:
    states = States(shelf, kept_max=0)
    filled(states, "a", reservations=1)
    taken = states.take("a")
    for name in ("b", "c", "d"):
        filled(states, name)
        states.turn()
    assert sorted(states) == ["b", "c", "d"]
    taken.begin()
    taken.change(taken.staff, "door", True)  # its journal cannot be stored
    states.give(taken)
    assert states.of("a") is taken
    for name in ("e", "f"):
        states.turn()
        filled(states, name)
    assert "a" in shelf
    back = states.of("a")
    assert (back.staff, list(back.reservations)) == ({"door": True}, ["a-0"])
