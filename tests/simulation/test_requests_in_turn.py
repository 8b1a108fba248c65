"""Several buyers' requests in one record are decided as the same requests in records of their own.

No request is refused as sold out while a place is free for it, a freed place is sold, and the same key has the same
answer."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.history.verification import PartitionVerifier
from pipelines.reservations import batch as batch_module
from pipelines.reservations.batch import Batch, RawRecord
from pipelines.reservations.core.decide import decide, step
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import EventState
from pipelines.reservations.partition import Partition
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Reason
from schemas.ids import CommandId, EventId, LogTime
from schemas.record import LogRecord
from schemas.replies import REPLY_TO, Reply, decode_replies
from schemas.requests_in_turn import in_turn, requests_of
from schemas.statuses import ReplyOutcome
from tests.harness.histories import Feed
from tests.harness.words import (
    ALICE,
    BOB,
    EVENT,
    FLOOR,
    STALLS,
    T,
    add_type,
    confirm,
    create,
    paid,
    publish,
    release,
    reserve,
    update,
)
from tests.simulation.whole import Town

pytestmark = pytest.mark.simulation

CODEC = Codec()
OPENING: list[c.Command] = [
    create(hold_ttl_s=5, max_tickets_per_user=4),
    add_type(rows=1, seats_per_row=4),
    add_type(FLOOR, kind="general", capacity=3, price_minor=0, rows=0, seats_per_row=0),
    publish(),
]
_key = st.sampled_from(["r1", "r2", "r3", "r4", "r5", "r6"])
_request = st.builds(
    lambda q, by, r, of, fp: reserve(q, by=by, rid=r, of=of, fingerprint=fp),
    st.integers(0, 3),
    st.sampled_from([ALICE, BOB]),
    _key,
    st.sampled_from([STALLS, FLOOR, "nothing"]),
    st.sampled_from([1, 1, 1, 2]),
)
_requests = st.lists(_request, min_size=1, max_size=8)
_other = st.one_of(
    st.builds(lambda r, by: release(r, by=by), _key, st.sampled_from([ALICE, BOB])),
    st.builds(lambda r: confirm(r), _key),
    st.builds(lambda r: paid(r), _key),
    st.builds(lambda limit: update(max_tickets_per_user=limit), st.integers(1, 6)),
)
# Some commands or some requests, and the seconds until then.
LOGS = st.lists(st.tuples(st.one_of(_other, _requests), st.integers(0, 4)), max_size=12)
Log = list[tuple[c.Command | list[c.ReserveTickets], int]]


def decided(log: Log, *, together: bool) -> tuple[list[f.Fact], list[Reply]]:
    """The facts and the replies of a log, which is verified, too."""
    records: list[RawRecord] = []
    stamp_ms = T // 1_000
    for part, seconds in [(command, 0) for command in OPENING] + log:
        stamp_ms += seconds * 1_000
        commands = [part] if isinstance(part, c.Command) else [in_turn(EventId(EVENT), CommandId("t"), part)]
        if not isinstance(part, c.Command) and not together:
            commands = list(part)
        for command in commands:
            records.append(
                RawRecord(
                    partition=0,
                    offset=len(records),
                    timestamp_ms=stamp_ms,
                    key=None,
                    value=CODEC.encode(command),
                    headers=[(REPLY_TO, b"api")],
                )
            )
    owned = Partition(0, 1, LogTime(0), set())
    facts: list[f.Fact] = []
    replies: list[Reply] = []
    values: list[bytes] = []
    for record in records:
        batch = Batch([record])
        batch.place(CODEC, {0: owned})
        batch.decide({event: owned.states.setdefault(event, EventState(event)) for event in batch.events()})
        facts += [fact for _, _, own in batch.facts() for fact in own]
        replies += [reply for own in batch.replies().values() for reply in decode_replies(own.encoded())]
        values += [encoded.value for encoded in batch.encoded(CODEC)]
        batch.settle({0: owned})
    verifier = PartitionVerifier(0, CODEC, Feed(values))
    for record in records:
        verifier.read(LogRecord(record.offset, record.timestamp_ms, record.key, record.value))
    verifier.finish()
    assert verifier.divergences == []
    return facts, replies


@settings(max_examples=300, deadline=None)
@given(LOGS)
def test_requests_in_one_record_are_decided_as_in_records_of_their_own(log: Log) -> None:
    facts, replies = decided(log, together=True)
    alone, replies_alone = decided(log, together=False)
    assert facts == alone
    outcomes = [(one.outcome, one.reason, one.detail, one.duplicate) for one in replies]
    # A reply shows a reservation as it is after its record, so of a request that comes twice only the answer is equal.
    assert outcomes == [(one.outcome, one.reason, one.detail, one.duplicate) for one in replies_alone]


def test_a_place_that_is_freed_is_sold_to_the_first_request_that_comes_after() -> None:
    full: Log = [(reserve(4, rid="r1"), 0), ([reserve(rid="r2", by=BOB)], 0)]
    _, replies = decided(full, together=True)
    assert (replies[-1].outcome, replies[-1].reason) == (ReplyOutcome.REFUSED, Reason.SOLD_OUT)
    freed = [*full, (release("r1"), 0), ([reserve(rid="r2", by=BOB), reserve(rid="r3", by=BOB)], 0)]
    _, replies = decided(freed, together=True)
    first, second = replies[-2:]
    assert (first.outcome, first.reason, first.duplicate) == (ReplyOutcome.REFUSED, Reason.SOLD_OUT, True)
    assert (second.outcome, second.reservation is not None) == (ReplyOutcome.ACCEPTED, True)


def test_the_same_key_has_the_same_answer_in_the_same_record_in_a_later_one_and_alone() -> None:
    asked = reserve(rid="r2", by=BOB)
    log: Log = [(reserve(4, rid="r1"), 0), ([asked, asked], 0), ([asked], 1), (asked, 1)]
    _, replies = decided(log, together=True)
    first, *repeated = replies[-4:]
    for one in repeated:
        assert one.duplicate
        assert (one.outcome, one.reason, one.detail) == (first.outcome, first.reason, first.detail)
        assert one.reservation == first.reservation


def _believing(state: EventState, command: c.Command, at: At, failures: list[Exception] | None = None) -> list[f.Fact]:
    """A core that believes who wrote the record that all its requests are too late."""
    if not isinstance(command, c.ReserveInTurn):
        return step(state, command, at, failures)
    facts: list[f.Fact] = [
        f.ReservationRejected(
            reservation_id=one.reservation_id,
            user_id=one.user_id,
            ticket_type_id=one.ticket_type_id,
            quantity=one.quantity,
            fingerprint=one.fingerprint,
            reason=Reason.SOLD_OUT,
            detail="",
        )
        for one in requests_of(command)
    ]
    for fact in facts:
        evolve(state, fact, at)
    return facts


def _on_the_state_before(
    state: EventState, command: c.Command, at: At, failures: list[Exception] | None = None
) -> list[f.Fact]:
    """A core that decides all requests of a record on the state before it."""
    if not isinstance(command, c.ReserveInTurn):
        return step(state, command, at, failures)
    facts = [fact for one in requests_of(command) for fact in decide(state, one, at.log_time)]
    for fact in facts:
        evolve(state, fact, at)
    return facts


@pytest.mark.parametrize(("broken", "rule"), [(_believing, "refused-while-free"), (_on_the_state_before, "two-claims")])
def test_without_the_decision_of_each_request_the_books_find_it(
    broken: object, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "step", broken)
    found: Counter[str] = Counter()
    for seed in range(12):
        town = Town(seed)
        try:
            town.run(150)
        except (AssertionError, KeyError, ValueError):
            found["stopped"] += 1  # the state itself refuses two claims on one place
        found.update(one.partition(":")[0] for one in town.violations)
    assert found[rule] or (rule == "two-claims" and found["stopped"]), found
