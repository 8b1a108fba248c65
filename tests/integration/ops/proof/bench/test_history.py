"""The past that the benches make up is over: who takes it over has nothing to do. Its end is found on every broker."""

from __future__ import annotations

from collections import defaultdict

from connectors import clock
from connectors.log_reader import LogReader
from ops.progress import ProgressBars
from ops.proof.bench.history import PARTITION, HistoryWriter
from ops.proof.bench.scaling.bench import commands_on
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.ids import DAY_S, US_PER_S, LogTime
from schemas.statuses import ReservationStatus
from schemas.topics import FACTS


def test_no_hold_is_pending_and_no_event_is_over_for_days(stack: Stack) -> None:
    settings, codec = settings_from_env(stack.fresh()), Codec()
    with ProgressBars(quiet=True) as progress:
        written = HistoryWriter(settings, seed=1).write(3_000, progress.bar("facts", 3_000))
    assert commands_on(settings) == written.commands
    states: dict[str, EventState] = defaultdict(lambda: EventState(""))
    with LogReader(settings, FACTS, PARTITION) as reader:
        for values in reader.values():
            for _, value in values:
                recorded = codec.decode(value)
                assert isinstance(recorded, RecordedFact)
                at = recorded.envelope
                placed = At(at.partition, at.offset, LogTime(at.log_time))
                evolve(states[at.event_id], recorded.fact, placed)
    assert sum(len(state.reservations) for state in states.values()) == written.reservations
    statuses = {one.status for state in states.values() for one in state.reservations.values()}
    assert ReservationStatus.CONFIRMED in statuses
    assert ReservationStatus.HELD not in statuses
    soon = clock.now_us() + DAY_S * US_PER_S
    assert all((state.next_deadline() or 0) > soon for state in states.values())
