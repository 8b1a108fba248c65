"""A gauge of monitoring has a series for each subject that the last look saw, and for no other."""

from __future__ import annotations

from pipelines.monitoring.metric_setter import MetricSetter
from pipelines.monitoring.metrics import ALERTS_FIRING


def firing() -> dict[str, float]:
    (family,) = ALERTS_FIRING.collect()
    return {sample.labels["alert"]: sample.value for sample in family.samples}


def test_a_series_goes_with_its_subject() -> None:
    setter = MetricSetter()
    setter.firing({"Lag": 2, "Disk": 1})
    setter.firing({"Lag": 1})
    assert firing() == {"Lag": 1.0}


def test_the_series_of_an_earlier_setter_of_the_process_go() -> None:
    MetricSetter().firing({"Lag": 2})
    MetricSetter().firing({"Disk": 1})
    assert firing() == {"Disk": 1.0}
