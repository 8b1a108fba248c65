"""Connects the payments dataflow to Kafka and the payment provider."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Message

from connectors.kafka import BatchSource, Gate, Pace, StopFlag, consumer
from connectors.metrics import BATCH_SECONDS
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from pipelines.payments.cashier import Cashier
from pipelines.payments.providers.choice import provider_of
from pipelines.payments.reading import JobBatch, reader
from pipelines.payments.redrives import PaymentRedrives
from pipelines.platform_settings import PlatformSettings
from schemas.topics import FACTS

GROUP = "circle.payments"


@dataclass(frozen=True, slots=True)
class PaymentsDeps:
    """What the flow is made of."""

    source: BatchSource
    decode: Callable[[list[Message]], JobBatch]
    charge: Callable[[JobBatch], None]


@contextmanager
def wired(settings: PlatformSettings, stop: StopFlag) -> Iterator[PaymentsDeps]:
    """Connect everything that the flow needs, and close it at the end."""
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

        yield PaymentsDeps(source, reader(codec_of(settings)), charge)
