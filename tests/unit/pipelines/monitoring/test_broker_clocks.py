"""A broker's clock is known by its stamps on commands that came between two looks."""

from __future__ import annotations

import pytest

from pipelines.monitoring.broker_clocks import KEPT_S, BrokerClocks

BEFORE_S, AFTER_S = 1_000.0, 1_005.0
LEADERS = {0: 1, 1: 2, 2: 2}


def seen(clocks: BrokerClocks, stamps_s: dict[int, float], at_s: float = AFTER_S) -> dict[str, float]:
    return clocks.note(LEADERS, stamps_s, before_s=at_s - 5.0, after_s=at_s)


@pytest.mark.parametrize(
    ("stamp_s", "skew_s"), [(AFTER_S + 120, 120), (AFTER_S, 0), (BEFORE_S, 0), (BEFORE_S - 120, -120)]
)
def test_a_stamp_outside_of_the_time_between_two_looks_is_of_a_clock_that_differs(
    stamp_s: float, skew_s: float
) -> None:
    assert seen(BrokerClocks(), {0: stamp_s}) == {"kafka-1": skew_s}


def test_a_broker_that_leads_several_partitions_has_the_worst_difference() -> None:
    assert seen(BrokerClocks(), {1: AFTER_S, 2: BEFORE_S - 60}) == {"kafka-2": -60}


def test_the_last_difference_stays_until_the_next_command_another_leader_or_for_five_minutes() -> None:
    clocks = BrokerClocks()
    seen(clocks, {0: AFTER_S + 120, 1: AFTER_S + 60})
    later_s = AFTER_S + KEPT_S
    assert seen(clocks, {1: later_s}, later_s) == {"kafka-1": 120, "kafka-2": 0}
    assert clocks.note({0: 3, 1: 2}, {}, before_s=later_s - 5, after_s=later_s) == {"kafka-2": 0}
    assert seen(clocks, {}, later_s + 1) == {"kafka-2": 0}


def test_a_broker_that_has_stamped_nothing_is_not_known() -> None:
    assert seen(BrokerClocks(), {}) == {}
