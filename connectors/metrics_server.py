"""Serves a process's metrics: as text, or as protocol buffers to a Prometheus that asks for native histograms.

A Prometheus takes native histograms only in the second form (`io.prometheus.client.MetricFamily`, delimited), which it
asks for if it runs with `--enable-feature=native-histograms`. Both forms have the same series.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import NativeHistogram, Sample

from connectors.native_histograms import NativeFamily

PROTOBUF = "application/vnd.google.protobuf"
MESSAGE = "io.prometheus.client.MetricFamily"
CONTENT_TYPE = f"{PROTOBUF}; proto={MESSAGE}; encoding=delimited"

# The enumeration and the fields of Prometheus' metrics.proto. A value that no other kind has is an untyped one.
COUNTER, GAUGE, UNTYPED, HISTOGRAM = 0, 1, 3, 4
KINDS = {"counter": COUNTER, "gauge": GAUGE, "histogram": HISTOGRAM}
VALUE_FIELDS = {COUNTER: 3, GAUGE: 2, UNTYPED: 5}
VARINT, FIXED64, BYTES = 0, 1, 2
INFINITY = "+Inf"

Labels = tuple[tuple[str, str], ...]


def serve(port: int, host: str, registry: CollectorRegistry = REGISTRY) -> None:
    """Serve a registry in a thread that ends with the process. Raises OSError where the port cannot be had."""
    app: Any = _app(registry)
    server = make_server(host, port, app, _server_class(host), handler_class=_Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def wants_protobuf(accept: str) -> bool:
    """Whether an Accept header prefers the protocol buffers of Prometheus to text."""
    offers = [_preference(one) for one in accept.split(",")]
    best = max((weight for weight, _ in offers), default=0.0)
    return any(native and weight == best > 0 for weight, native in offers)


def exposition(registry: Collector) -> bytes:
    """All metrics as delimited messages. The times at which series were made are left out."""
    return b"".join(_delimited(message) for family in registry.collect() for message in _families(family))


def _preference(offer: str) -> tuple[float, bool]:
    """The weight of a media type, and whether it is Prometheus' own message."""
    kind, *parameters = (part.strip().replace(" ", "") for part in offer.split(";"))
    weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    native = kind == PROTOBUF and {f"proto={MESSAGE}", "encoding=delimited"} <= set(parameters)
    try:
        return float(weight), native
    except ValueError:
        return 0.0, False


def _app(registry: CollectorRegistry) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    text = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "GET" or not wants_protobuf(environ.get("HTTP_ACCEPT", "")):
            answer: Iterable[bytes] = text(environ, start)
            return answer
        body = exposition(registry)
        start("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [body]

    return app


def _server_class(host: str) -> type[ThreadingWSGIServer]:
    class Server(ThreadingWSGIServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    return Server


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Scrapes are not logged."""


def _families(family: Metric) -> Iterator[bytes]:
    kind = KINDS.get(family.type, UNTYPED)
    if kind == HISTOGRAM:
        yield _family(family.name, family, kind, _histograms(family))
        return
    by_name: dict[str, list[bytes]] = {}
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            value = _bytes(VALUE_FIELDS[kind], _double(1, sample.value))
            by_name.setdefault(sample.name, []).append(_labels(sample.labels.items()) + value)
    for name, metrics in by_name.items():
        yield _family(name, family, kind, metrics)


def _family(name: str, family: Metric, kind: int, metrics: Iterable[bytes]) -> bytes:
    head = _bytes(1, name.encode()) + _bytes(2, family.documentation.encode()) + _number(3, kind)
    return head + b"".join(_bytes(4, metric) for metric in metrics)


def _histograms(family: Metric) -> Iterator[bytes]:
    series: dict[Labels, list[Sample]] = {}
    for sample in family.samples:
        own = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        series.setdefault(own, []).append(sample)
    native: dict[Labels, NativeHistogram] = {}
    if isinstance(family, NativeFamily):
        native = {tuple(sorted(zip(family.labels, values, strict=True))): one for values, one in family.native.items()}
    for labels, samples in series.items():
        yield _labels(labels) + _bytes(7, _histogram(family.name, samples, native.get(labels)))


def _histogram(name: str, samples: Sequence[Sample], native: NativeHistogram | None) -> bytes:
    values = {one.name: one.value for one in samples if one.name != f"{name}_bucket"}
    count, total = values.get(f"{name}_count", 0.0), values.get(f"{name}_sum", 0.0)
    if native is not None:
        count, total = native.count_value, native.sum_value
    parts = [_number(1, int(count)), _double(2, total)]
    buckets = [one for one in samples if one.name == f"{name}_bucket" and one.labels["le"] != INFINITY]
    parts += [_bytes(3, _number(1, int(one.value)) + _double(2, float(one.labels["le"]))) for one in buckets]
    if native is not None:
        parts += [_signed(5, native.schema), _double(6, native.zero_threshold), _number(7, int(native.zero_count))]
        parts += [_bytes(12, _signed(1, span.offset) + _number(2, span.length)) for span in native.pos_spans or ()]
        parts += [_signed(13, delta) for delta in native.pos_deltas or ()]
    return b"".join(parts)


def _labels(labels: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(_bytes(1, _bytes(1, name.encode()) + _bytes(2, value.encode())) for name, value in labels)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _signed(field: int, value: int) -> bytes:
    return _number(field, value << 1 if value >= 0 else -value * 2 - 1)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | FIXED64) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _delimited(value)


def _delimited(message: bytes) -> bytes:
    return _varint(len(message)) + message
