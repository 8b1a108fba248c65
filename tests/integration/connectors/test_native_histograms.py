"""A real Prometheus takes our native histograms where it asks for them, and the classic ones where it does not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from connectors.metrics import CALL_BUCKETS_S, RecordAges
from connectors.metrics_server import CONTENT_TYPE, serve
from connectors.native_histograms import BothHistogram
from ops.reference.dashboards import NATIVE, quantile
from ops.run.services.process import LOOPBACK, free_port
from tests.harness.prometheus import Prometheus

AGES, CALLS = "circle_record_age_seconds", "circle_transaction_seconds"
CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs: [{{job_name: test, static_configs: [{{targets: ["{address}"]}}]}}]
"""
ACCEPT = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
WITHIN_S = 30


class Process:
    """The metrics of a process, served as a dataflow serves them."""

    def __init__(self) -> None:
        self.registry, self.address = CollectorRegistry(), f"{LOOPBACK}:{free_port()}"
        self.ages_ms: list[int] = []
        self.calls_s: list[float] = []
        self._random = random.Random(50)
        self._ages = RecordAges(AGES, "Ages.", ("decided", "mailed"))
        self.registry.register(self._ages)
        self._calls = BothHistogram(CALLS, "Calls.", ["call"], buckets=CALL_BUCKETS_S, registry=self.registry)
        Counter("circle_test", "A counter.", ["why"], registry=self.registry).labels('a "reason"\n').inc(7)
        Gauge("circle_test_depth", "A gauge.", registry=self.registry).set(-2.5)
        host, port = self.address.split(":")
        serve(int(port), host, self.registry)

    def work(self) -> None:
        """Observe some records and calls."""
        ages = [round(self._random.lognormvariate(3.5, 0.8)) for _ in range(200)]
        self._ages.observe("decided", [1_000_000 - age for age in ages], 1_000_000)
        self.ages_ms += ages
        for _ in range(50):
            self.calls_s.append(self._random.lognormvariate(-5, 1.5))
            self._calls.labels("commit").observe(self.calls_s[-1])


@contextmanager
def scraped(process: Process, directory: Path, features: str = "") -> Iterator[Prometheus]:
    directory.mkdir()
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(address=process.address))
    with Prometheus(config, directory / "data", features=features) as prometheus:
        yield prometheus


def true_quantile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * len(values))]


def number(prometheus: Prometheus, expression: str) -> float:
    (series,) = prometheus.query(expression)
    return float(series["value"][1])


def test_a_prometheus_with_native_histograms_has_quantiles_within_five_percent(tmp_path: Path) -> None:
    process = Process()
    for _ in range(20):
        process.work()
    with scraped(process, tmp_path / "native", "native-histograms") as prometheus:
        whole = f'histogram_count({AGES}{{stage="decided"}})'
        prometheus.until(lambda: bool(prometheus.query(whole)), "the ages are scraped", WITHIN_S)
        assert number(prometheus, whole) == len(process.ages_ms)
        assert number(prometheus, f'histogram_sum({AGES}{{stage="decided"}})') == pytest.approx(
            sum(process.ages_ms) / 1_000
        )
        assert number(prometheus, f'histogram_count({AGES}{{stage="mailed"}})') == 0
        for metric, values in ((AGES, [one / 1_000 for one in process.ages_ms]), (CALLS, process.calls_s)):
            for part in (0.5, 0.95, 0.99):
                found = number(prometheus, f"histogram_quantile({part}, sum({metric}))")
                assert found == pytest.approx(true_quantile(values, part), rel=0.05), (metric, part)
        assert prometheus.query(f"{AGES}_bucket") == []
        (counter,) = prometheus.query("circle_test_total")
        assert (counter["metric"]["why"], counter["value"][1]) == ('a "reason"\n', "7")
        assert number(prometheus, "circle_test_depth") == -2.5


@pytest.mark.parametrize("features", ["", "native-histograms"])
def test_the_dashboards_have_data_with_both_kinds(tmp_path: Path, features: str) -> None:
    process = Process()
    process.work()
    with scraped(process, tmp_path / "any", features) as prometheus:
        for metric, by in ((AGES, "stage"), (CALLS, "call"), (AGES, "")):
            assert metric in NATIVE
            expression = quantile(0.99, metric, by)

            def there(expression: str = expression) -> bool:
                process.work()
                return any(one["value"][1] != "NaN" for one in prometheus.query(expression))

            prometheus.until(there, expression, WITHIN_S)
        assert bool(prometheus.query(f"{AGES}_bucket")) is (features == "")


def test_text_and_protocol_buffers_are_chosen_by_the_accept_header() -> None:
    process = Process()
    process.work()
    url = f"http://{process.address}/metrics"
    native = httpx.get(url, headers={"accept": ACCEPT})
    assert (native.status_code, native.headers["content-type"]) == (200, CONTENT_TYPE)
    for accept in ("*/*", "text/plain;version=0.0.4", ACCEPT.replace("delimited,", "delimited;q=0.1,")):
        text = httpx.get(url, headers={"accept": accept})
        assert text.status_code == 200
        assert f'{AGES}_bucket{{le="0.025",stage="decided"}}' in text.text
        assert "nan" not in text.text
