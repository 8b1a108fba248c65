"""The spans of a batch: each traced command is decided within its own trace, and its facts carry that span on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from connectors.tracing import Tracer, traceparent_of
from pipelines.reservations.batch import Batch
from pipelines.reservations.core.state import EventState
from pipelines.reservations.decision_spans import DecisionSpans
from pipelines.reservations.outgoing import Headers, RawRecord
from pipelines.reservations.partition import Partition
from schemas.codec import Codec
from schemas.commands import PublishEvent
from schemas.ids import LogTime

CODEC = Codec()
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture
def collected() -> Iterator[tuple[Tracer, InMemorySpanExporter]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield Tracer(provider), exporter
    provider.shutdown()


def placed(*headers: Headers | None, value: bytes | None = None) -> Batch:
    """A placed batch: a command for each of these headers."""
    records = [
        RawRecord(
            partition=0,
            offset=offset,
            timestamp_ms=5,
            key=b"event",
            value=CODEC.encode(PublishEvent("event", "ada", f"c{offset}")) if value is None else value,
            headers=given,
        )
        for offset, given in enumerate(headers)
    ]
    batch = Batch(records)
    batch.place(CODEC, {0: Partition(0, 1, LogTime(3_000), set())})
    return batch


def test_facts_carry_the_span_of_their_decision_and_all_other_headers(
    collected: tuple[Tracer, InMemorySpanExporter],
) -> None:
    tracer, exporter = collected
    batch = placed([("reply_to", b"me"), ("traceparent", PARENT.encode())], None, [("traceparent", UNSAMPLED.encode())])
    spans = DecisionSpans.begin(tracer, batch)
    assert spans is not None
    batch.decide({event_id: EventState(event_id) for event_id in batch.events()})
    traced, plain, unsampled = batch.encoded(CODEC)
    spans.committed(batch)
    decided, whole = exporter.get_finished_spans()
    assert (decided.name, whole.name) == ("decide PublishEvent", "process tickets.commands")
    assert decided.parent is not None
    assert f"{decided.parent.trace_id:032x}-{decided.parent.span_id:016x}" in PARENT
    assert f"-{decided.context.span_id:016x}-" in traceparent_of(traced.headers)
    assert ("reply_to", b"me") in traced.headers
    assert [name for name, _ in traced.headers].count("traceparent") == 1
    assert traceparent_of(plain.headers) == ""
    assert ("traceparent", UNSAMPLED.encode()) in unsampled.headers
    assert [link.context.span_id for link in whole.links] == [decided.parent.span_id]
    assert [link.context.span_id for link in decided.links] == [whole.context.span_id]
    assert decided.attributes is not None
    assert decided.attributes["circle.facts"] == "CommandRefused"
    assert decided.attributes["circle.reason"] == "event-not-found"


def test_a_batch_without_a_traced_command_has_no_spans(collected: tuple[Tracer, InMemorySpanExporter]) -> None:
    tracer, exporter = collected
    assert DecisionSpans.begin(tracer, placed(None, [("traceparent", UNSAMPLED.encode())])) is None
    assert DecisionSpans.begin(tracer, placed([("traceparent", PARENT.encode())], value=b"garbage")) is None
    assert exporter.get_finished_spans() == ()


def test_a_batch_that_is_not_committed_has_failed_spans(collected: tuple[Tracer, InMemorySpanExporter]) -> None:
    tracer, exporter = collected
    spans = DecisionSpans.begin(tracer, placed([("traceparent", PARENT.encode())]))
    assert spans is not None
    spans.failed("Fenced")
    assert [one.attributes["error.type"] for one in exporter.get_finished_spans() if one.attributes] == ["Fenced"] * 2
