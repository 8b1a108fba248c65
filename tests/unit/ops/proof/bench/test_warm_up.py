"""A warm-up ends when both the latency and the broker's CPU stand still."""

from __future__ import annotations

from ops.proof.bench.warm_up import WarmUp, broker_us, rate_of, stands_still
from ops.statistics import ProcessCpu


def test_figures_stand_still_when_the_last_windows_are_alike() -> None:
    assert stands_still([90.0, 10.0, 10.5, 11.0], 3)
    assert not stands_still([10.0, 10.0], 3)
    assert not stands_still([10.0, 10.0, 12.0], 3)


def test_a_broker_that_still_gets_cheaper_is_not_warm() -> None:
    calm = [10.0] * 6
    assert WarmUp(p50_ms=calm, broker_us=[900.0] * 6).warm
    assert not WarmUp(p50_ms=calm, broker_us=[2_000.0, 1_500.0, 1_200.0, 1_000.0, 900.0, 850.0]).warm
    assert not WarmUp(p50_ms=[*calm, 20.0], broker_us=[900.0] * 7).warm


def test_the_brokers_cpu_counts_or_that_of_all_services_without_one() -> None:
    api = ProcessCpu("api", 1.0, 500.0, ours=True)
    postgres, kafka = ProcessCpu("postgres", 0.1, 50.0, ours=False), ProcessCpu("kafka", 1.0, 800.0, ours=False)
    assert broker_us([api, postgres, kafka]) == 800.0
    assert broker_us([api, postgres]) == 50.0


def test_windows_have_half_the_rate_within_bounds() -> None:
    assert [rate_of(rate) for rate in (10, 300, 5_000)] == [50.0, 150.0, 400.0]
