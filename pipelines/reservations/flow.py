"""tickets.commands → tickets.facts: what is sold to whom, exactly once per position.

    poll ──▶ place ──▶ decide ──▶ guard ──▶ commit
                         ▲          ▲          └──▶ facts and offsets in one Kafka transaction, then the replies
                         │          └── seat locks in Redis
                         └── states of the batch's events

One poll is one batch is one transaction. An unexpected error ends the process. It starts again, loads its state, and
goes on.
"""

from __future__ import annotations

from contextlib import closing
from operator import itemgetter

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import Message

from connectors import tracing
from connectors.execution import execute
from connectors.kafka import StopFlag
from connectors.logs import Log
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.reservations.batch import Batch, passed_on
from pipelines.reservations.decision_spans import DecisionSpans
from pipelines.reservations.metrics import RECORDS, STEP_SECONDS
from pipelines.reservations.outgoing import RawRecord
from pipelines.reservations.seat_locks import SeatLocks
from pipelines.reservations.wiring import ReservationsDeps, wire

log = Log("reservations")


def build(deps: ReservationsDeps) -> Dataflow:
    """The dataflow, one operator a line."""
    flow = Dataflow("reservations")
    polled = op.input("poll", flow, deps.source)
    placed = op.map("place", polled, lambda messages: place(messages, deps))
    decided = op.map("decide", placed, lambda batch: decide(batch, deps))
    guarded = op.map("guard", decided, lambda batch: guard(batch, deps))
    op.output("commit", guarded, deps.sink)
    return flow


def place(messages: list[Message], deps: ReservationsDeps) -> Batch:
    """A poll's records as a batch: decoded, each with its log time."""
    RECORDS.observe(len(messages))
    with STEP_SECONDS["place"].time():
        batch = Batch(records_of(messages), messages)
        batch.place(deps.codec, deps.loader.partitions)
    if (tracer := tracing.active()) is not None:
        batch.spans = DecisionSpans.begin(tracer, batch)
    return batch


def decide(batch: Batch, deps: ReservationsDeps) -> Batch:
    """The batch with the facts of each command."""
    with STEP_SECONDS["decide"].time():
        batch.decide(deps.loader.states_of(batch.events(), batch.first_offsets))
    return batch


def guard(batch: Batch, deps: ReservationsDeps) -> Batch:
    """The batch with its places claimed, decided again where a place was not free."""
    with STEP_SECONDS["guard"].time():
        return deps.guard.claim(batch)


def run(settings: Settings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    database = Database(settings.postgres_url)
    locks = SeatLocks(settings.redis_url, stop_requested=lambda: stop.requested)
    with closing(database), closing(locks):
        return execute(build(wire(settings, stop, database, locks)), log)


def records_of(messages: list[Message]) -> list[RawRecord]:
    """The client's records as ours.

    Each header is an object of its own, and few are needed. They are chosen here, while the processor's cache has them.
    """
    fields = {
        "partition": map(Message.partition, messages),
        "offset": map(Message.offset, messages),
        "timestamp_ms": map(itemgetter(1), map(Message.timestamp, messages)),
        "key": map(Message.key, messages),
        "value": map(Message.value, messages),
        "headers": map(passed_on, map(Message.headers, messages)),  # type: ignore[arg-type]
    }
    columns = [fields[name] for name in RawRecord.__struct_fields__]
    return list(map(RawRecord, *columns))
