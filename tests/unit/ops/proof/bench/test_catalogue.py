"""A quick suite is smaller than a full one, and a stated rate or time replaces those of the benches over HTTP."""

from __future__ import annotations

from ops.proof.bench.catalogue import BENCHES, OVER_HTTP, Size, SuiteOptions, over_http
from ops.proof.bench.suite.scenarios import DROP, SCENARIOS

NAMES = {"kernel", "ingress", "drop", "expiry", "readside", "watchers", "row-locks", "scaling", "replay", "resume"}


def test_the_suite_has_every_bench() -> None:
    assert set(BENCHES) == NAMES | set(SCENARIOS)
    assert set(OVER_HTTP) <= set(BENCHES)


def test_a_quick_run_is_smaller() -> None:
    full, quick = (over_http(SCENARIOS["overload"], SuiteOptions(quick=quick)) for quick in (False, True))
    assert (quick.seconds, quick.overload_s) == (5, 10)
    assert quick.requests < full.requests
    assert over_http(SCENARIOS["overload"], SuiteOptions()) == SCENARIOS["overload"]
    assert [Size(9, 3).of(SuiteOptions(quick=quick)) for quick in (False, True)] == [9, 3]


def test_a_stated_rate_and_time_replace_those_of_a_bench_over_http() -> None:
    stated = over_http(DROP, SuiteOptions(rate=40, seconds=2, quick=True))
    assert (stated.rate, stated.seconds) == (40, 2)
