"""tickets.facts → payment provider → tickets.commands.

    facts ──▶ decode ──▶ charge ──▶ the provider, many requests at once ──▶ RecordPayment, RecordRefund

At least once. After a crash a request goes to the provider again, under the same idempotency key. The log may get the
same answer twice; `decide` then changes nothing. Offsets are committed up to the first unfinished request. A slow
charge delays no other: IN_FLIGHT_MAX run at once.
"""

from __future__ import annotations

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.execution import execute
from connectors.kafka import StopFlag
from connectors.logs import Log
from pipelines.payments.wiring import PaymentsDeps, wired
from pipelines.platform_settings import PlatformSettings
from sinks.batch_sink import BatchSink

log = Log("payments")


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
    with wired(settings, stop) as deps:
        return execute(build(deps), log)
