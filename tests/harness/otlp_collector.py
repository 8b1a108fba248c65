"""The receiver of OpenTelemetry's collector: it takes OTLP, and hands each span on to the test as JSON.

It is a Go program of the collector's published parts, pinned in `collector/go.mod`, and built once. The whole collector
would take three times as long to build. Without `go` its tests are skipped, and fail in a gate. With `go`, a build that
fails is a failure.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from ops.run.services.kafka_jars import cache_dir
from ops.run.services.process import Service
from tests.harness.flows import eventually
from tests.harness.hook_server import HookServer
from tests.harness.missing_tools import missing

SOURCES = Path(__file__).parent / "collector"
BUILD_TIMEOUT_S = 900  # some minutes of one processor, once


@dataclass(frozen=True)
class CollectedSpan:
    """One span as the collector has read it."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool
    began_ns: int
    ended_ns: int


class _Process(Service):
    name = "collector"
    start_timeout_s = 30.0

    def __init__(self, sink: str) -> None:
        super().__init__()
        self._sink = sink

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def probe(self) -> bool:
        try:
            return httpx.post(f"{self.url}/v1/traces", json={"resourceSpans": []}, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def command(self) -> list[str]:
        return [str(built()), "-listen", self.address, "-sink", self._sink]


class OtlpCollector:
    """A running collector. `env` switches the traces of a platform on."""

    def __init__(self) -> None:
        self._sink = HookServer()
        self._process = _Process(self._sink.url)

    def __enter__(self) -> Self:
        built()
        self._sink.__enter__()
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._sink.__exit__(kind, error, trace)

    @property
    def env(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self._process.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}

    @property
    def spans(self) -> list[CollectedSpan]:
        """Every span that has come so far."""
        return [
            _span(found, resource)
            for call in list(self._sink.calls)
            for resource in call.json["resourceSpans"]
            for scope in resource["scopeSpans"]
            for found in scope["spans"]
        ]

    @property
    def texts(self) -> str:
        """All that has come, as text."""
        return "\n".join(call.body.decode() for call in self._sink.calls)

    def trace(self, trace_id: str, *names: str) -> dict[str, CollectedSpan]:
        """The spans of a trace by name, as soon as all of these have come."""

        def complete() -> bool:
            return set(names) <= {one.name for one in self.spans if one.trace == trace_id}

        eventually(complete, f"all of {names} are collected")
        return {one.name: one for one in self.spans if one.trace == trace_id}


def built() -> Path:
    """The program. Only without `go` the test ends as `missing` says."""
    digest = hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in ("main.go", "go.sum"))).hexdigest()[:16]
    program = cache_dir() / f"otlp-collector-{digest}" / "collector"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        missing("OpenTelemetry's collector is a Go program, and no go is installed here")
    program.parent.mkdir(parents=True, exist_ok=True)
    made = program.with_name(f"collector.{os.getpid()}")
    build = subprocess.run(
        [go, "build", "-trimpath", "-o", str(made), "."],
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
        cwd=SOURCES,
    )
    assert build.returncode == 0, f"the collector is not built: {build.stderr}"
    made.replace(program)
    return program


def _span(found: dict[str, Any], resource: dict[str, Any]) -> CollectedSpan:
    return CollectedSpan(
        service=_attributes(resource["resource"])["service.name"],
        name=found["name"],
        kind={1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}[found["kind"]],
        trace=found["traceId"],
        id=found["spanId"],
        parent=found.get("parentSpanId", ""),
        links=tuple(link["spanId"] for link in found.get("links", ())),
        attributes=_attributes(found),
        failed=found.get("status", {}).get("code") == 2,
        began_ns=int(found["startTimeUnixNano"]),
        ended_ns=int(found["endTimeUnixNano"]),
    )


def _attributes(of: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in of.get("attributes", ())}
