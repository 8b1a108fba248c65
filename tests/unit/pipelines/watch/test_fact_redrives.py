"""A letter says which flow can apply its fact. Letters of payments from former versions are known by their error."""

from __future__ import annotations

import pytest

from pipelines.watch.fact_redrives import applied_by
from tests.harness.fact_logs import recorded
from tests.harness.words import held, payment_requested

ASKS, ASKS_NOTHING = recorded(payment_requested(amount=900), offset=4), recorded(held("A-1"), offset=4)
GIVEN_UP = "payment provider: no answer in 10 s"


@pytest.mark.parametrize("flow", ["monitoring", "notifications", "payments"])
def test_a_letter_names_its_flow_and_its_error_does_not_count(flow: str) -> None:
    assert {applied_by(flow, error, ASKS) for error in ("", GIVEN_UP, "projections: KeyError: 'x'")} == {flow}


def test_a_letter_of_former_times_is_of_payments_when_its_error_says_so() -> None:
    errors = (
        GIVEN_UP,
        "payments: KeyError: 'x'",
        "reservations: KeyError: 'x'",
        "no answer of the payment provider: x",
    )
    assert [applied_by("", error, ASKS) for error in errors] == ["payments", "payments", "", ""]


def test_no_request_applies_a_fact_of_the_projections_or_a_payment_that_was_not_asked_for() -> None:
    assert applied_by("projections", GIVEN_UP, ASKS) == ""
    assert [applied_by(by, GIVEN_UP, fact) for by in ("payments", "") for fact in (ASKS_NOTHING, None)] == [""] * 4
