"""The public status: since when a state lasts, and when selling works."""

from __future__ import annotations

import msgspec
import pytest

from api.reads.public_status import RESERVATIONS_GROUP, SELLING, LastingState, began, is_selling, status_of
from pipelines.flows import Flow
from pipelines.monitoring.lag_trend import STALLED_S

UP = {"kafka": True, "redis": True, "postgres": True}
ALIVE = {flow.value: False for flow in Flow}


@pytest.mark.parametrize(
    ("own", "shared", "since"),
    [
        (None, None, 100.0),
        (None, LastingState(True, 40.0), 40.0),  # this process has just begun
        (None, LastingState(False, 40.0), 100.0),
        (LastingState(True, 10.0), None, 10.0),
        (
            LastingState(True, 10.0),
            LastingState(False, 90.0),
            10.0,
        ),  # an outage that only the other one sees
        (LastingState(True, 10.0), LastingState(True, 90.0), 90.0),  # the other one saw an outage between two looks
        (LastingState(False, 50.0), LastingState(True, 95.0), 95.0),  # the other one saw its end first
        (LastingState(False, 50.0), LastingState(True, 10.0), 100.0),  # Redis was away, and has kept what was before
    ],
)
def test_a_state_lasts_since_the_first_process_saw_its_last_change(
    own: LastingState | None, shared: LastingState | None, since: float
) -> None:
    assert began(True, own, shared, 100.0) == LastingState(True, since)


def monitored(stalled_s: float) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"sample": {"stalled": {RESERVATIONS_GROUP: stalled_s}}}))


def test_selling_needs_the_log_redis_and_a_reservations_flow_that_lives_and_moves() -> None:
    assert is_selling(UP, ALIVE, None)
    assert is_selling(UP | {"postgres": False}, ALIVE, None), "sales of loaded events go on"
    assert not is_selling(UP | {"kafka": False}, ALIVE, None)
    assert not is_selling(UP | {"redis": False}, ALIVE, None)
    assert not is_selling(UP, ALIVE | {"reservations": True}, None)
    assert is_selling(UP, ALIVE | {"notifications": True}, None)
    assert is_selling(UP, ALIVE, monitored(STALLED_S - 1))
    assert not is_selling(UP, ALIVE, monitored(STALLED_S))


def test_a_dataflow_that_nobody_could_see_is_unknown_and_not_well() -> None:
    known = {name: LastingState(True, 1.0) for name in (*UP, SELLING)} | {"payments": LastingState(True, 2.0)}
    seen = status_of(UP, known, known, 5.0)
    assert [(one.name, one.keeps_dying) for one in seen.dataflows if one.keeps_dying is not None] == [
        ("payments", True)
    ]
    later = status_of(UP | {"redis": False}, known, UP, 6.0)
    assert {(one.keeps_dying, one.since) for one in later.dataflows} == {(None, None)}


def test_it_has_no_number_and_no_error() -> None:
    known = {name: LastingState(False, 1.0) for name in (*UP, SELLING, *ALIVE)}
    body = msgspec.to_builtins(status_of(UP, known, known, 5.0))
    assert set(body) == {"at", "selling", "since", "services", "dataflows"}
    assert {key for one in body["services"] for key in one} == {"name", "answers", "since"}
    assert {key for one in body["dataflows"] for key in one} == {"name", "keeps_dying", "since"}
