"""tickets.facts → payment provider → tickets.commands: source → decode → charge (→ RecordPayment, RecordRefund).

At least once. After a crash a request goes to the provider again, under the same idempotency key. The log may get the
same answer twice; `decide` then changes nothing. Offsets are committed up to the first unfinished request. A slow
charge delays no other: IN_FLIGHT_MAX run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import Message

from connectors.execution import execute
from connectors.kafka import BatchSource, Gate, Pace, StopFlag, consumer
from connectors.logs import Log
from connectors.metrics import BATCH_RECORDS, BATCH_SECONDS
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from pipelines.payments.cashier import Cashier, Job
from pipelines.payments.providers.choice import provider_of
from pipelines.payments.redrives import PaymentRedrives
from pipelines.payments.requests import REQUESTING, request_in
from pipelines.platform_settings import PlatformSettings
from schemas.codec import HEADER_BYTES, Codec
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from sinks.batch_sink import BatchSink

GROUP = "circle.payments"

log = Log("payments")


class JobBatch(NamedTuple):
    """A batch: its records, and the jobs that some of them ask for."""

    records: list[Message]
    jobs: list[Job]


@dataclass(frozen=True, slots=True)
class PaymentsDeps:
    """What the flow is made of."""

    source: BatchSource
    decode: Callable[[list[Message]], JobBatch]
    charge: Callable[[JobBatch], None]


def build(deps: PaymentsDeps) -> Dataflow:
    """The flow."""
    flow = Dataflow("payments")
    records = op.input("facts", flow, deps.source)
    read = op.map("decode", records, deps.decode)
    op.output("charge", read, BatchSink(deps.charge))
    return flow


def run(settings: PlatformSettings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    client, gate = consumer(settings, group=GROUP), Gate()
    with (
        Cashier(settings, client, lambda: provider_of(settings), stop_requested=lambda: stop.requested) as cashier,
        PaymentRedrives(settings, cashier) as redrives,
    ):

        def look_after() -> None:
            cashier.look_after()
            redrives.look_after()

        source = BatchSource(
            client,
            topic=FACTS,
            owner=cashier,
            gate=gate,
            stop=stop,
            pace=Pace.of(settings),
            before_poll=look_after,
            on_assigned=lambda partitions: signal_ready(f"payments {partitions}"),
        )

        def charge(read: JobBatch) -> None:
            with BATCH_SECONDS.labels("payments", "take").time():
                cashier.take(read.records, read.jobs)
            gate.done()

        return execute(build(PaymentsDeps(source, reader(codec_of(settings)), charge)), log)


def reader(codec: Codec) -> Callable[[list[Message]], JobBatch]:
    """The decode step. It skips by schema id what asks for nothing. Unreadable facts are skipped here; the projections
    dataflow sets them aside."""
    asking = codec.headers_of(*REQUESTING)

    records, seconds = BATCH_RECORDS.labels("payments"), BATCH_SECONDS.labels("payments", "decode")

    def decode(batch: list[Message]) -> JobBatch:
        records.observe(len(batch))
        with seconds.time():
            return JobBatch(batch, jobs_in(batch))

    def jobs_in(batch: list[Message]) -> list[Job]:
        jobs = []
        for record in batch:
            value = record.value()
            if value is None or value[:HEADER_BYTES] not in asking:
                continue
            found = codec.decode(value)
            request = request_in(found) if isinstance(found, RecordedFact) else None
            if request is not None:
                jobs.append(Job(record, request))
        return jobs

    return decode
