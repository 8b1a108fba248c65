"""Traces: off unless OpenTelemetry's own variables switch them on. Off, they cost nothing; on, they belong together."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.semconv._incubating.attributes import messaging_attributes as conventions

from connectors import logs, tracing
from connectors.errors import SettingsError
from connectors.settings import LogFormat, Settings
from connectors.tracing import LINKS_MAX, Operation, SpanRole, Tracer, sampled, switched_on, traceparent_of, valid

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Tracer, InMemorySpanExporter]]:
    """A tracer whose spans stay in this process."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = Tracer(provider)
    monkeypatch.setattr(tracing._Active, "tracer", tracer)
    monkeypatch.setattr(logs.trace_ids, "of_now", tracing._ids_of_now)
    yield tracer, exporter
    provider.shutdown()


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"} | ENDPOINT, False),
        ({"OTEL_SDK_DISABLED": "true"} | ENDPOINT, False),
        ({"OTEL_SDK_DISABLED": "false"} | ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"} | ENDPOINT, True),
    ],
)
def test_opentelemetrys_own_variables_switch_traces_on(env: Mapping[str, str], on: bool) -> None:
    assert switched_on(env) is on


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"} | ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_what_this_build_cannot_send_is_refused_by_name(env: Mapping[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        switched_on(env)


def test_while_traces_are_off_nothing_that_makes_or_sends_them_is_imported() -> None:
    script = (
        "import sys; from connectors import tracing\n"
        "import api.app, pipelines.reservations.flow, pipelines.read_side.flow, pipelines.payments.flow\n"
        "assert tracing.start('api', 'one') is None and tracing.active() is None\n"
        "assert tracing.begin_send('topic', 'Tick') is None and tracing.current_traceparent() == ''\n"
        "tracing.stop()\n"
        "traces = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'google.protobuf', 'requests')\n"
        "print([name for name in sys.modules if name.startswith(traces)])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PATH": ""})
    assert ran.stdout.strip() == "[]"


def test_a_traceparent_is_checked_before_it_is_believed() -> None:
    assert valid(PARENT)
    assert sampled(PARENT)
    assert valid(UNSAMPLED)
    assert not sampled(UNSAMPLED)
    for text in (None, "", PARENT.upper(), PARENT + "0", "01" + PARENT[2:], PARENT.replace("-", "_"), "x" * 55):
        assert not valid(text)
        assert not sampled(text)
    assert traceparent_of([("ce_id", b"1"), ("traceparent", PARENT.encode())]) == PARENT
    assert traceparent_of([("traceparent", UNSAMPLED)]) == ""
    assert traceparent_of([("traceparent", b"\xff")]) == traceparent_of(None) == ""


def test_a_span_is_a_child_of_its_parent_or_of_the_current_span(
    collected: tuple[Tracer, InMemorySpanExporter],
) -> None:
    tracer, exporter = collected
    with tracer.span("outer", SpanRole.SERVER, parent=PARENT, http__route="/v1") as outer:
        inner = tracing.begin_send("tickets.commands", "Tick")
        assert inner is not None
        inner.at(3, 1_200)
        inner.end()
        assert tracing.current_traceparent() == outer.traceparent
    assert tracing.current_traceparent() == ""
    sent, served = exporter.get_finished_spans()
    assert served.parent is not None
    assert sent.parent is not None
    assert f"{served.parent.trace_id:032x}-{served.parent.span_id:016x}" in PARENT
    assert sent.parent.span_id == served.context.span_id
    assert served.attributes == {"http.route": "/v1"}
    assert sent.name == "send tickets.commands"
    assert dict(sent.attributes or {}) == {
        conventions.MESSAGING_SYSTEM: conventions.MessagingSystemValues.KAFKA.value,
        conventions.MESSAGING_DESTINATION_NAME: "tickets.commands",
        conventions.MESSAGING_DESTINATION_PARTITION_ID: "3",
        conventions.MESSAGING_KAFKA_OFFSET: 1_200,
        conventions.MESSAGING_OPERATION_NAME: "send",
        conventions.MESSAGING_OPERATION_TYPE: conventions.MessagingOperationTypeValues.SEND.value,
        "circle.record": "Tick",
    }


def test_operations_and_attributes_are_those_of_the_conventions_for_messaging() -> None:
    known = {one.value for one in conventions.MessagingOperationTypeValues}
    assert {one.value for one in Operation} <= known - {"deliver", "publish"}, "these two are deprecated"
    assert {*tracing.of_topic("topic", Operation.PROCESS, "decide", group="g")} == {
        conventions.MESSAGING_SYSTEM,
        conventions.MESSAGING_DESTINATION_NAME,
        conventions.MESSAGING_OPERATION_NAME,
        conventions.MESSAGING_OPERATION_TYPE,
        conventions.MESSAGING_CONSUMER_GROUP_NAME,
    }


def test_a_batch_links_to_each_trace_once_and_to_a_bounded_number(
    collected: tuple[Tracer, InMemorySpanExporter],
) -> None:
    tracer, exporter = collected
    many = [f"00-{number + 1:032x}-{number + 1:016x}-01" for number in range(LINKS_MAX + 50)]
    tracer.begin("batch", SpanRole.CONSUMER, links=[*many[:2], *many]).end()
    (batch,) = exporter.get_finished_spans()
    assert [link.context.span_id for link in batch.links] == list(range(1, LINKS_MAX + 1))


def test_an_error_marks_the_span_with_its_class_and_never_with_its_text(
    collected: tuple[Tracer, InMemorySpanExporter],
) -> None:
    tracer, exporter = collected
    with pytest.raises(ValueError, match="tok_secret"), tracer.span("fails", SpanRole.CLIENT):
        raise ValueError("tok_secret")
    (span,) = exporter.get_finished_spans()
    assert span.attributes == {"error.type": "ValueError"}
    assert not span.status.is_ok
    assert "tok_secret" not in span.to_json()


def test_a_trace_that_is_not_sampled_passes_no_context_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = Tracer(TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False))
    monkeypatch.setattr(tracing._Active, "tracer", tracer)
    with tracer.span("not sampled", SpanRole.SERVER) as span:
        assert span.traceparent == tracing.current_traceparent() == ""


def test_a_log_line_has_the_ids_of_the_current_span(collected: tuple[Tracer, InMemorySpanExporter]) -> None:
    tracer, _exporter = collected
    written = io.StringIO()
    logs.configure(Settings(log_format=LogFormat.JSON), stream=written)
    log = logs.get("test")
    log.info("before")
    with tracer.span("work", SpanRole.INTERNAL, parent=PARENT) as span:
        log.info("within", partition=3)
    before, within = map(json.loads, written.getvalue().splitlines())
    assert "trace_id" not in before
    assert (within["trace_id"], within["span_id"]) == tuple(span.traceparent.split("-")[1:3])
    assert within["partition"] == 3
