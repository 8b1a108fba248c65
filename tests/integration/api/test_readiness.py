"""Readiness says so when a dataflow keeps dying, and names it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import httpx

from connectors.flow_health import DEATHS_MIN, STEADY_S, FlowHealth
from connectors.settings import Settings
from tests.harness.api_process import api_process
from tests.harness.flows import eventually
from tests.harness.shop import done, problem
from tests.harness.workers import Crew


def dataflows(http: httpx.Client) -> object:
    response = http.get("/readyz")
    return {} if response.status_code == 200 else response.json().get("dataflows")


def test_a_dataflow_that_is_killed_again_and_again_is_named_until_it_works_for_a_while(
    settings: Settings, tmp_path: Path
) -> None:
    with api_process(settings, tmp_path) as api, Crew(settings, tmp_path / "logs") as crew:
        worker = crew.one("payments")
        for _ in range(DEATHS_MIN - 1):
            worker.kill()
            worker.ensure()
        done(api.http.get("/readyz"), 200)
        worker.kill()
        worker.ensure()
        found = problem(api.http.get("/readyz"), 503, "unavailable")
        assert "payments keeps dying" in found["detail"]
        assert found["dataflows"]["payments"]["deaths"] == DEATHS_MIN
        assert all(check["ok"] for check in found["checks"].values())
        eventually(lambda: dataflows(api.http) == {}, "the worker counts as alive again", 2 * STEADY_S)
        assert worker.stop() == 0


def test_a_dataflow_that_ends_by_an_error_says_which(settings: Settings, tmp_path: Path) -> None:
    with api_process(settings, tmp_path) as api:
        for _ in range(DEATHS_MIN):
            with closing(FlowHealth(settings, "projections")) as life:
                life.begin()
                life.ready()
                life.ended("TripwireBroken")
        found = problem(api.http.get("/readyz"), 503, "unavailable")["dataflows"]["projections"]
        assert found["deaths"] == DEATHS_MIN
        with closing(FlowHealth(settings, "monitoring")) as clean:
            for _ in range(DEATHS_MIN):
                clean.begin()
                clean.ended()
        assert set(problem(api.http.get("/readyz"), 503, "unavailable")["dataflows"]) == {"projections"}
