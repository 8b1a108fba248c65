"""Regular work takes at most its part of the time, and one slow run does not put off the next."""

from __future__ import annotations

import pytest

from connectors.period import Period

PERIOD = Period(least_s=0.2, part_max=0.05)


@pytest.mark.parametrize(("took_s", "after_s"), [(0.001, 0.2), (0.01, 0.2), (0.02, 0.4), (1.0, 20.0)])
def test_work_that_takes_longer_is_done_less_often(took_s: float, after_s: float) -> None:
    assert PERIOD.after_s(took_s, took_s) == pytest.approx(after_s)


@pytest.mark.parametrize(("took_s", "before_s"), [(0.5, 0.02), (0.02, 0.5)])
def test_one_slow_run_does_not_count(took_s: float, before_s: float) -> None:
    assert PERIOD.after_s(took_s, before_s) == pytest.approx(0.4)
