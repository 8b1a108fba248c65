"""A fenced process ends at once. Its death is counted in Redis, so that a later scrape sees it."""

from __future__ import annotations

from contextlib import closing

from prometheus_client import REGISTRY

from connectors.errors import Fenced
from connectors.flow_health import FlowHealth
from connectors.settings import Settings
from pipelines.flows import Flow
from pipelines.monitoring.metric_setter import MetricSetter
from pipelines.monitoring.services import RedisFigures, RedisSurvey

RESERVATIONS, FENCED = Flow.RESERVATIONS.value, Fenced.__name__


def die(settings: Settings, kind: str, flow: str = RESERVATIONS) -> None:
    with closing(FlowHealth(settings, flow)) as life:
        life.begin()
        life.ended(kind)


def looked(settings: Settings) -> RedisFigures:
    with closing(RedisSurvey(settings)) as survey:
        found = survey.look()
    assert found is not None
    return found


def counted(flow: str, kind: str) -> float:
    return REGISTRY.get_sample_value("circle_flow_deaths_total", {"flow": flow, "kind": kind}) or 0.0


def test_each_death_is_counted_by_its_error_also_after_a_process_is_steady_again(settings: Settings) -> None:
    for kind in (FENCED, "ServiceUnreachable", FENCED):
        die(settings, kind)
    die(settings, "", Flow.PAYMENTS.value)  # a stop that someone has asked for
    with closing(FlowHealth(settings, RESERVATIONS, clock=lambda: 4e9)) as later:
        later.ready()
    assert looked(settings).deaths_since_ever == {
        (RESERVATIONS, FENCED): 2,
        (RESERVATIONS, "ServiceUnreachable"): 1,
    }


def test_the_counter_grows_by_the_deaths_and_not_by_the_looks(settings: Settings) -> None:
    before, setter = counted(RESERVATIONS, FENCED), MetricSetter()
    die(settings, FENCED)
    for _ in range(3):
        setter._redis(looked(settings))
    assert counted(RESERVATIONS, FENCED) == before + 1
    die(settings, FENCED)
    setter._redis(looked(settings))
    assert counted(RESERVATIONS, FENCED) == before + 2
