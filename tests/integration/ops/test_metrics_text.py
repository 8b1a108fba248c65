"""Promtool finds nothing against the metrics of any process. The API's: tests/e2e/one_shop/test_http_routes.py."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import httpx
import pytest

from connectors.settings import Settings
from ops.run.services.process import LOOPBACK, free_port
from ops.run.supervisor import Child, ChildSpec
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import environment, eventually
from tests.harness.plain_http import PLAIN
from tests.harness.prometheus import lint
from tests.harness.workers import Crew

WITH_RECORDS = "circle_batch_records_count"


@pytest.fixture
def log(settings: Settings) -> BothLogs:
    made = BothLogs(partition=0, seed=14)
    made.take(300)
    write_both(settings, [made])
    return made


@pytest.mark.parametrize(
    "flows", [("reservations", "read-side", "payments"), ("projections", "notifications", "monitoring")]
)
def test_promtool_has_nothing_against_the_metrics_of_a_dataflow(
    settings: Settings, log: BothLogs, tmp_path: Path, flows: tuple[str, ...]
) -> None:
    with Crew(settings, tmp_path) as crew:
        workers = {one.name: one for one in crew.start(*flows)}
        if "reservations" not in flows:
            eventually(lambda: workers["projections"].figure(WITH_RECORDS, flow="projections") > 0, "facts are read")
        texts = {name: one.metrics() for name, one in workers.items()}
    for name, text in texts.items():
        assert text.count("# TYPE circle_") > 5, name
        assert lint(text) == "", name


def test_promtool_has_nothing_against_the_metrics_of_the_verifier(
    settings: Settings, log: BothLogs, tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "ops.cli.main", "verify", "--follow", "--no-postgres", "--no-redis"]
    verifier = Child(ChildSpec(name="verify", command=command), tmp_path / "verify.log")
    verifier.start(environment(settings) | {"CIRCLE_METRICS_PORT": str(port)})

    def text() -> str:
        try:
            return httpx.get(f"http://{LOOPBACK}:{port}/metrics", timeout=10, verify=PLAIN).text
        except httpx.ConnectError:
            assert verifier.alive, verifier.last_lines(30)
            return ""

    try:
        eventually(lambda: "circle_verify_through_offset{" in text(), "the verifier has read")
        assert lint(text()) == ""
    finally:
        verifier.signal(signal.SIGTERM)
        verifier.end(15)


def test_promtool_has_something_against_a_metric_without_help_and_with_a_wrong_name() -> None:
    assert "no help text" in lint("# TYPE circle_lag_milliseconds counter\ncircle_lag_milliseconds 1\n")
