"""The span of one attempt to deliver a mail or a webhook call. It continues the trace of the fact that caused it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from connectors import tracing
from connectors.tracing import OpenSpan, SpanRole
from schemas.notifications import Notification
from schemas.recorded_facts import Envelope

Traces = Mapping[tuple[int, int, int], str]
"""By a fact's position: the context of its span."""
NO_TRACES: Traces = MappingProxyType({})


def trace_of(at: Envelope | Notification, traces: Traces) -> str:
    """The context of the fact that a message or a call is about; "" if it is not traced."""
    return traces.get((at.partition, at.offset, at.index), "")


@contextmanager
def delivery(what: str, kind: str, *, trace: str, attempt: int) -> Iterator[OpenSpan | None]:
    """The current span of one attempt; None if the fact is not traced. No address and no text is in it."""
    tracer = tracing.active()
    if tracer is None or not trace:
        yield None
        return
    with tracer.span(f"{what} {kind}", SpanRole.CLIENT, parent=trace, circle__attempt=attempt) as span:
        yield span


def delivered(span: OpenSpan | None, outcome: str, *, failed: bool) -> None:
    """Note the outcome of the attempt."""
    if span is not None:
        span.set(circle__outcome=outcome)
        if failed:
            span.fail(outcome)
