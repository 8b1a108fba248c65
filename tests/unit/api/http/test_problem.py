"""One shape of error, and one place where a reason of the log gets its status."""

from __future__ import annotations

import msgspec
import pytest

from api.http import reasons
from api.http.problem import KINDS, Problem, busy, invalid, retry_after, unavailable
from schemas.facts import Reason
from schemas.replies import Reply, ReservationView


def view(**changes: object) -> ReservationView:
    fields = {
        "id": "r", "event_id": "e", "user_id": "u", "ticket_type_id": "t", "status": "rejected", "quantity": 1,
        "seats": [], "amount_minor": 0, "currency": "", "expires_at": 0, "partition": 3, "offset": 40, "payment": "",
        "reason": "sold-out", "detail": "", "ticket_ids": [],
    }  # fmt: skip
    return ReservationView(**(fields | changes))  # type: ignore[arg-type]


def refused(
    reason: str, detail: str = "", reservation: ReservationView | None = None, *, duplicate: bool = False
) -> Reply:
    return Reply(
        command_id="c",
        event_id="e",
        partition=3,
        offset=41,
        outcome="refused",
        reason=reason,
        detail=detail,
        duplicate=duplicate,
        reservation=reservation,
    )


def test_a_problem_has_the_members_of_the_rfc() -> None:
    response = invalid("quantity", "is required").response()
    assert response.status == 422
    assert response.content_type == "application/problem+json"
    assert msgspec.json.decode(response.body or b"") == {
        "type": "/problems/invalid-request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "quantity: is required",
        "field": "quantity",
        "errors": [{"field": "quantity", "detail": "is required"}],
    }


def test_every_reason_of_the_log_is_a_problem_with_a_status_and_a_title() -> None:
    for reason in Reason:
        found = reasons.for_reason(reason)
        ours = reason is Reason.COMMAND_FAILED  # the one refusal that is not the caller's fault
        assert found.status in ((500,) if ours else (402, 403, 404, 409, 422))
        assert found.title
        assert found.detail
        assert found.document()["type"] == f"/problems/{reason}"


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("sold-out", 409),
        ("event-not-found", 404),
        ("ticket-type-not-found", 404),
        ("not-owner", 403),
        ("idempotency-key-reused", 422),
        ("payment-declined", 402),
        ("hold-expired", 409),
        ("a-reason-of-tomorrow", 409),
    ],
)
def test_a_refusal_has_its_status(reason: str, status: int) -> None:
    assert reasons.refusal(refused(reason)).status == status


def test_a_refusal_names_the_reservation_and_where_it_was_asked_for() -> None:
    document = reasons.refusal(refused("sold-out", "2 asked; 1 available", view())).document()
    assert document["reservation_id"] == "r"
    assert document["position"] == {"partition": 3, "offset": 41}
    assert document["detail"] == "2 asked; 1 available"


def test_a_replayed_refusal_has_the_position_of_the_first_time() -> None:
    document = reasons.refusal(refused("sold-out", "", view(), duplicate=True)).document()
    assert document["position"] == {"partition": 3, "offset": 40}


@pytest.mark.parametrize("payment", ["refund-requested", "refunded"])
def test_an_expired_reservation_says_that_its_payment_goes_back(payment: str) -> None:
    document = reasons.refusal(refused("hold-expired", "", view(status="expired", payment=payment))).document()
    assert document["payment"] == payment
    assert "refunded" in document["detail"]


@pytest.mark.parametrize(
    ("reason", "detail", "field"),
    [
        ("invalid-schedule", "ends_at must be after starts_at", "ends_at"),
        ("invalid-ticket-type", "price.amount must be 0 to 100", "price.amount"),
        ("invalid-ticket-type", "layout has more than 50 seats; make it several ticket types", "layout"),
        ("invalid-ticket-type", "an event has at most 50 ticket types", None),
        ("sales-not-open", "sales must be waited for", None),
    ],
)
def test_a_refusal_about_a_field_names_it(reason: str, detail: str, field: str | None) -> None:
    document = reasons.refusal(refused(reason, detail)).document()
    assert document.get("field") == field
    assert document["detail"] == detail
    assert [error.field for error in document.get("errors", ())] == ([] if field is None else [field])


def test_a_refusal_has_the_field_and_the_moment_that_the_fact_gives() -> None:
    about = msgspec.structs.replace(refused("invalid-schedule", "ends_at must be later"), field="ends_at")
    document = reasons.refusal(about).document()
    assert (document["field"], document["errors"][0].detail) == ("ends_at", "must be later")
    at = 999_999_999_000_000  # in 2001: too few digits for the words of former facts
    late = msgspec.structs.replace(refused("sales-closed", f"sales closed at {at} already"), at=at)
    assert reasons.refusal(late).document()["detail"] == "sales closed at 2001-09-09T01:46:39Z already"


def test_an_amount_with_as_many_digits_as_a_moment_stays_an_amount() -> None:
    at = 1_767_225_600_000_000
    detail = f"1234567890123456 asked until {at}"
    shown = reasons.refusal(msgspec.structs.replace(refused("sold-out", detail), at=at)).document()["detail"]
    assert shown == "1234567890123456 asked until 2026-01-01T00:00:00Z"


def test_the_moment_of_a_rejected_reservation_is_written_as_a_date_when_the_reply_has_no_detail() -> None:
    rejected = view(reason="sales-closed", detail="sales closed at 1767225600000000", detail_at=1_767_225_600_000_000)
    document = reasons.refusal(refused("not-held", "", rejected)).document()
    assert document["detail"] == "sales closed at 2026-01-01T00:00:00Z"


def test_times_of_the_log_are_written_as_dates() -> None:
    assert reasons.for_reason("sales-not-open", "sales open at 1767225600000000").detail == (
        "sales open at 2026-01-01T00:00:00Z"
    )


def test_every_unavailability_says_when_to_come_again() -> None:
    assert busy("x").headers == unavailable("redis", "x").headers == {"retry-after": "1"}
    assert retry_after(0.2) == {"retry-after": "1"}
    assert retry_after(2.1) == {"retry-after": "3"}


def test_every_kind_has_an_error_status_and_a_title() -> None:
    assert all(400 <= status < 600 and title for status, title in KINDS.values())
    with pytest.raises(KeyError):
        Problem("no-such-kind", "")
