"""A Prometheus with native histograms has the request times of all processes of an API."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from connectors.metrics_server import CONTENT_TYPE, MESSAGE, PROTOBUF
from connectors.settings import Settings
from ops.reference.dashboards import NATIVE, quantile
from tests.harness.api_process import OPERATOR, OPERATOR_TOKEN, ApiProcess, api_process
from tests.harness.flows import eventually
from tests.harness.prometheus import Prometheus

SECONDS, ROUTE = "circle_http_request_seconds", "/v1/categories"
REQUESTS = 120
WITHIN_S = 40
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: api
    authorization: {{credentials: {token}}}
    static_configs: [{{targets: ["{address}"]}}]
"""


def read(api: ApiProcess, path: str, **headers: str) -> httpx.Response:
    """An answer over a connection of its own: the system gives it to any of the processes."""
    answer = httpx.get(f"{api.http.base_url}{path}", headers=headers, timeout=40)
    assert answer.status_code == 200, answer.text
    return answer


def counted(api: ApiProcess) -> float:
    """How many requests to the route the text has, of all processes."""
    text = read(api, "/metrics", **OPERATOR).text
    mark = f'{SECONDS}_count{{method="GET",route="{ROUTE}"}} '
    return sum(float(line.removeprefix(mark)) for line in text.splitlines() if line.startswith(mark))


@pytest.mark.parametrize("workers", [1, 2])
def test_each_request_of_each_process_is_in_the_native_histogram_once(
    settings: Settings, tmp_path: Path, workers: int
) -> None:
    shared = tmp_path / "figures"
    shared.mkdir()
    env = {"PROMETHEUS_MULTIPROC_DIR": str(shared)} if workers > 1 else {}
    with api_process(settings, tmp_path, workers=workers, **env) as api:
        for _ in range(REQUESTS):
            read(api, ROUTE)
        eventually(lambda: counted(api) == REQUESTS, "the text has each request", WITHIN_S)
        if workers > 1:
            eventually(lambda: len(list(shared.glob("native_*.json"))) == workers, "each process has a file", WITHIN_S)
        accept = f"{PROTOBUF};proto={MESSAGE};encoding=delimited,text/plain;version=0.0.4;q=0.5"
        assert read(api, "/metrics", accept=accept, **OPERATOR).headers["content-type"] == CONTENT_TYPE
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(token=OPERATOR_TOKEN, address=api.http.base_url.netloc.decode()))
        with Prometheus(config, tmp_path / "data", features="native-histograms") as prometheus:
            count = f'histogram_count({SECONDS}{{method="GET",route="{ROUTE}"}})'

            def whole() -> bool:
                return [one["value"][1] for one in prometheus.query(count)] == [str(REQUESTS)]

            prometheus.until(whole, "the native histogram has each request", WITHIN_S)
            assert SECONDS in NATIVE
            panel = quantile(0.99, SECONDS)

            def there() -> bool:
                read(api, ROUTE)
                return any(one["value"][1] != "NaN" for one in prometheus.query(panel))

            prometheus.until(there, "the dashboard's panel has data", WITHIN_S)
            (p99,) = prometheus.query(f'histogram_quantile(0.99, {SECONDS}{{method="GET",route="{ROUTE}"}})')
            assert 0.0001 < float(p99["value"][1]) < 30
