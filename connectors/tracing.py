"""Traces: spans from a request to what it causes, sent to an OpenTelemetry collector over OTLP.

Switched on by OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or
OTEL_TRACES_EXPORTER=otlp. OTEL_SDK_DISABLED=true or OTEL_TRACES_EXPORTER=none switches them off. The SDK reads the
others by itself: OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG, OTEL_BSP_…,
OTEL_EXPORTER_OTLP_HEADERS and so on.

Guarantee: while traces are off, nothing that makes or sends them is imported, and `active` is None. A collector that is
away delays nothing and loses spans only. Spans have ids and names, never payloads, tokens or mail addresses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING

from connectors import logs
from connectors.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
TRACEPARENT = "traceparent"
LINKS_MAX = 128  # of one batch: the SDK's own limit
FLUSH_MS = 2_000  # at the end of a process, for the spans that are not sent yet

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Value = str | int | float | bool


class SpanRole(StrEnum):
    """A span's place among programs: OpenTelemetry's span kind."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"
    INTERNAL = "INTERNAL"


class Operation(StrEnum):
    """What a messaging span is about: `messaging.operation.type` of OpenTelemetry's semantic conventions."""

    SEND = "send"
    PROCESS = "process"


def of_topic(topic: str, operation: Operation, name: str = "", *, group: str = "") -> dict[str, Value]:
    """The attributes that OpenTelemetry's conventions for messaging ask of a span about a topic.

    `name` is the operation as we call it; "" for the operation's own. `group` is the consumer group, "" for none.
    """
    found: dict[str, Value] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.type": operation.value,
        "messaging.operation.name": name or operation.value,
    }
    return found | ({"messaging.consumer.group.name": group} if group else {})


class OpenSpan:
    """A span that has begun. `traceparent` names it to other programs, "" if it is not sampled."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span) -> None:
        self._span = span
        at = span.get_span_context()
        self.traceparent = f"00-{at.trace_id:032x}-{at.span_id:016x}-01" if at.trace_flags.sampled else ""

    def set(self, **attributes: Value) -> None:
        """Set attributes. A name's "__" is a dot: `messaging__batch__message_count`."""
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("__", "."), value)

    def at(self, partition: int, offset: int) -> None:
        """Set the place of the record that the span is about."""
        self.set(messaging__destination__partition__id=str(partition), messaging__kafka__offset=offset)

    def fail(self, kind: str) -> None:
        """Mark the span as failed. `kind` is a class of errors or a status, never a text with data in it."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """End the span now."""
        self._span.end()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the current span: spans that begin inside are its children, and log lines have its ids."""
        from opentelemetry.trace import use_span

        with use_span(self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
            yield


class Tracer:
    """Begins spans."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("general-circle")

    def begin(
        self,
        name: str,
        role: SpanRole,
        *,
        parent: str | None = None,
        links: Iterable[str] = (),
        topic: Mapping[str, Value] | None = None,
        **attributes: Value,
    ) -> OpenSpan:
        """Begin a span: a child of the `traceparent` in `parent`, or without one of the current span.

        `links` are the `traceparent`s of other traces, at most LINKS_MAX. `topic` is of `of_topic`. Attributes as in
        `OpenSpan.set`.
        """
        from opentelemetry.trace import Link, SpanKind, get_current_span

        contexts = [_context_of(link) for link in list(dict.fromkeys(links))[:LINKS_MAX]]
        span = self._tracer.start_span(
            name,
            context=_context_of(parent) if parent else None,
            kind=SpanKind[role.value],
            links=[Link(get_current_span(context).get_span_context()) for context in contexts],
            attributes={key.replace("__", "."): value for key, value in attributes.items()} | dict(topic or {}),
        )
        return OpenSpan(span)

    @contextmanager
    def span(self, name: str, role: SpanRole, *, parent: str | None = None, **attributes: Value) -> Iterator[OpenSpan]:
        """The same as the current span of a block. An exception marks it as failed, and passes."""
        span = self.begin(name, role, parent=parent)
        span.set(**attributes)
        try:
            with span.current():
                yield span
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what is left, for at most FLUSH_MS, and stop."""
        self._provider.force_flush(FLUSH_MS)
        self._provider.shutdown()


class _Active:
    """The tracer of this process. None while traces are off."""

    tracer: Tracer | None = None


def active() -> Tracer | None:
    """The tracer of this process, None while traces are off."""
    return _Active.tracer


def switched_on(env: Mapping[str, str]) -> bool:
    """Whether the variables switch traces on. Raises SettingsError for a protocol or exporter that is not built in."""
    given = {name: value.strip() for name, value in env.items() if name.startswith("OTEL_") and value.strip()}
    exporter = given.get("OTEL_TRACES_EXPORTER", "")
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise SettingsError("OTEL_TRACES_EXPORTER", "is otlp or none", got=exporter, example="otlp")
    if not exporter and not any(name in given for name in ENDPOINTS):
        return False
    for name in PROTOCOLS:
        if given.get(name, PROTOCOL) != PROTOCOL:
            raise SettingsError(name, "this build sends OTLP over HTTP only", got=given[name], example=PROTOCOL)
    return True


def start(service: str, instance: str) -> Tracer | None:
    """Begin to trace in this process, if the variables ask for it. Raises SettingsError.

    `service` is the process: "api" and so on. OTEL_SERVICE_NAME replaces its name.
    """
    if _Active.tracer is not None or not switched_on(os.environ):
        return _Active.tracer
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"circle-{service}",
        "service.namespace": "general-circle",
        "service.instance.id": instance,
        "service.version": version("general-circle"),
    }
    provider = TracerProvider(resource=Resource.create(own))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _Active.tracer = Tracer(provider)
    logs.trace_ids.of_now = _ids_of_now
    return _Active.tracer


def stop() -> None:
    """Send what is left and switch traces off. Does nothing while they are off."""
    tracer, _Active.tracer = _Active.tracer, None
    logs.trace_ids.of_now = None
    if tracer is not None:
        tracer.close()


def begin_send(topic: str, record: str, *, parent: str | None = None) -> OpenSpan | None:
    """The span of a record that is being written to a topic; None while traces are off. `record` is its type."""
    if _Active.tracer is None:
        return None
    return _Active.tracer.begin(
        f"send {topic}",
        SpanRole.PRODUCER,
        parent=parent,
        circle__record=record,
        topic=of_topic(topic, Operation.SEND),
    )


def current_traceparent() -> str:
    """The `traceparent` of the current span; "" without one, or if it is not sampled."""
    if _Active.tracer is None:
        return ""
    from opentelemetry.trace import get_current_span

    at = get_current_span().get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-01" if at.is_valid and at.trace_flags.sampled else ""


def valid(traceparent: str | None) -> bool:
    """Whether a text has the form of a `traceparent` of version 00 (W3C Trace Context)."""
    return traceparent is not None and _TRACEPARENT.fullmatch(traceparent) is not None


def sampled(traceparent: str | None) -> bool:
    """Whether it is a `traceparent` whose trace is sampled."""
    return traceparent is not None and valid(traceparent) and bool(int(traceparent[-2:], 16) & 1)


def traceparent_of(headers: Iterable[tuple[str, str | bytes | None]] | None) -> str:
    """The `traceparent` among a record's headers; "" without one, or if its trace is not sampled."""
    for name, value in headers or ():
        if name == TRACEPARENT and value:
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            return text if sampled(text) else ""
    return ""


def _context_of(traceparent: str) -> Context:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent})


def _ids_of_now() -> dict[str, str]:
    """The ids of the current span for a log line; none without a span."""
    parts = current_traceparent().split("-")
    return {"trace_id": parts[1], "span_id": parts[2]} if len(parts) == 4 else {}
