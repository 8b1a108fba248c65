"""Many small logs: their cut into batches changes no fact, and each fact is the model's.

When the simulation of a million operations finds an error, these tests shrink it to a small log.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.reservations.batch import Batch
from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.state import EventState
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.partition import Partition
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec
from schemas.ids import LogTime
from tests.harness.words import (
    ALICE,
    BOB,
    FLOOR,
    STALLS,
    T,
    add_type,
    confirm,
    create,
    declined,
    paid,
    publish,
    refunded,
    release,
    reserve,
    tick,
    update,
)
from tests.simulation.model import Model
from tests.simulation.world import told

pytestmark = pytest.mark.simulation

CODEC = Codec()
_buyer, _key = st.sampled_from([ALICE, BOB]), st.sampled_from(["r1", "r2", "r3", "r4"])
_attempt = st.sampled_from(["a1", "a2"])
_small = {"rows": 1, "seats_per_row": 3}
COMMANDS: st.SearchStrategy[c.Command] = st.one_of(
    st.builds(lambda ttl, limit: create(hold_ttl_s=ttl, max_tickets_per_user=limit), st.integers(0, 9), st.just(3)),
    st.builds(lambda ttl: update(hold_ttl_s=ttl), st.integers(0, 9)),
    st.builds(lambda by: publish(by), st.sampled_from([create().user_id, ALICE])),
    st.just(add_type(**_small)),
    st.just(add_type(FLOOR, kind="general", capacity=2, price_minor=0, rows=0, seats_per_row=0)),
    st.builds(
        lambda q, by, r, of, fp: reserve(q, by=by, rid=r, of=of, fingerprint=fp),
        st.integers(0, 3),
        _buyer,
        _key,
        st.sampled_from([STALLS, FLOOR]),
        st.sampled_from([1, 1, 1, 2]),
    ),
    st.builds(
        lambda seats, by, r: reserve(seats=seats, by=by, rid=r),
        st.lists(st.sampled_from(["A-1", "A-2", "A-3", "A-4"]), min_size=1, max_size=3),
        _buyer,
        _key,
    ),
    st.builds(lambda r, by, a: confirm(r, by=by, attempt=a), _key, _buyer, _attempt),
    st.builds(lambda r, a: paid(r, attempt=a), _key, _attempt),
    st.builds(lambda r, a: declined(r, attempt=a), _key, _attempt),
    st.builds(lambda r: refunded(r), _key),
    st.builds(lambda r, by: release(r, by=by), _key, _buyer),
    st.just(tick()),
)
OPENING = [create(hold_ttl_s=5, max_tickets_per_user=3), add_type(**_small), publish()]
# A command, and the seconds of its timestamp after (or before) the last one's.
LOGS = st.lists(st.tuples(COMMANDS, st.integers(-3, 6)), max_size=30)


def records(log: list[tuple[c.Command, int]], *, opened: bool) -> list[RawRecord]:
    stamp_ms, made = T // 1_000, []
    for command, seconds in [(command, 0) for command in OPENING if opened] + log:
        stamp_ms += seconds * 1_000
        made.append(
            RawRecord(
                partition=0,
                offset=len(made),
                timestamp_ms=stamp_ms,
                key=None,
                value=CODEC.encode(command),
                headers=None,
            )
        )
    return made


def read(log: list[RawRecord], cuts: list[int]) -> tuple[list[bytes], list[Batch], dict[str, bytes]]:
    """The facts' bytes, the batches, and the states at the end, for a log that is cut after these records."""
    partition = Partition(0, 1, LogTime(0), set())
    encoded: list[bytes] = []
    batches: list[Batch] = []
    ends = sorted({min(cut, len(log)) for cut in cuts} | {len(log)})
    start = 0
    for end in ends:
        if end == start:
            continue
        batch = Batch(log[start:end])
        batch.place(CODEC, {0: partition})
        batch.decide({event: partition.states.setdefault(event, EventState(event)) for event in batch.events()})
        encoded += [fact.value for fact in batch.encoded(CODEC)]
        batch.settle({0: partition})
        batches.append(batch)
        start = end
    return encoded, batches, {event: canonical(state) for event, state in partition.states.items()}


@settings(max_examples=200, deadline=None)
@given(LOGS, st.lists(st.integers(1, 33), max_size=8), st.lists(st.integers(1, 33), max_size=8), st.booleans())
def test_how_a_log_is_cut_into_batches_changes_no_fact_and_no_state(
    log: list[tuple[c.Command, int]], cuts: list[int], others: list[int], opened: bool
) -> None:
    made = records(log, opened=opened)
    first, _, states = read(made, cuts)
    second, _, others_states = read(made, others)
    assert first == second
    assert states == others_states


@settings(max_examples=200, deadline=None)
@given(LOGS, st.booleans())
def test_every_fact_is_the_models(log: list[tuple[c.Command, int]], opened: bool) -> None:
    model = Model()
    for batch in read(records(log, opened=opened), [7, 20])[1]:
        for _, placed, facts in batch.facts():
            assert isinstance(placed.command, c.Command)
            expected = model.expect(placed.command, placed.at.log_time)
            assert [told(fact) for fact in facts] == expected
            for fact in facts:
                model.learn(fact, placed.at.log_time)
            assert model.captured - model.refunded - model.refunds_due == model.confirmed


@settings(max_examples=100, deadline=None)
@given(LOGS)
def test_every_command_yields_facts_that_are_numbered_and_counted(log: list[tuple[c.Command, int]]) -> None:
    made = records(log, opened=True)
    positions: dict[int, list[tuple[int, int]]] = {}
    for value in read(made, [5])[0]:
        record = CODEC.decode(value)
        assert isinstance(record, f.RecordedFact)
        positions.setdefault(record.envelope.offset, []).append((record.envelope.index, record.envelope.count))
    assert sorted(positions) == list(range(len(made)))
    assert all(found == [(index, len(found)) for index in range(len(found))] for found in positions.values())
