"""A lag's trend says when a flow will have caught up. A flow stands still only while it has records to read."""

from __future__ import annotations

import math

from pipelines.monitoring.lag_trend import LagTrends, Trend


def test_a_lag_that_shrinks_says_when_it_will_be_gone() -> None:
    trends = LagTrends()
    assert trends.note("payments", 100, {0: 0}, 10.0).catch_up_s == math.inf
    trend = trends.note("payments", 80, {0: 20}, 20.0)
    assert trend == Trend(growth_per_s=-2.0, catch_up_s=40.0, stalled_s=0.0)
    assert trends.note("payments", 120, {0: 30}, 30.0).catch_up_s == math.inf, "it grows again"
    assert trends.note("payments", 0, {0: 150}, 40.0).catch_up_s == 0.0


def test_the_trend_is_that_of_the_last_minute() -> None:
    trends = LagTrends()
    for second in range(0, 121, 10):
        trend = trends.note("payments", 1_000 - 5 * second if second >= 60 else 700, {0: second}, float(second))
    assert trend.growth_per_s == -5.0


def test_a_flow_stands_still_while_it_has_records_and_does_not_move() -> None:
    trends = LagTrends()
    assert trends.note("payments", 0, {0: 5}, 0.0).stalled_s == 0.0
    assert trends.note("payments", 0, {0: 5}, 50.0).stalled_s == 0.0, "nothing to read"
    assert trends.note("payments", 3, {0: 5}, 60.0).stalled_s == 10.0
    assert trends.note("payments", 9, {0: 5}, 80.0).stalled_s == 30.0
    assert trends.note("payments", 8, {0: 6}, 90.0).stalled_s == 0.0
