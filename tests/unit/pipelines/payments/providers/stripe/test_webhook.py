"""Stripe's webhooks: only Stripe's own, fresh ones count, and each becomes a command."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.payments.providers.stripe.webhook import (
    TOLERANCE_S,
    BadSignature,
    Event,
    UnreadableWebhook,
    charge_refunded,
    commands_of,
    placed,
    verified,
)
from schemas.commands import RecordDispute, RecordPayment, RecordProviderRefund, RecordRefund, RecordRefundFailure
from tests.harness.stripe_server import shape, signature_of
from tests.harness.words import EVENT, R1

SECRET = "whsec_8Zk2"
NOW = 1_800_000_000
ATTEMPT = "7f0c7c54-7b1b-5d40-9a51-3a0c2b1f4e11"
OURS = {"circle_event_id": EVENT, "circle_reservation_id": R1, "circle_attempt_id": ATTEMPT}
REFUND = {"circle_event_id": EVENT, "circle_reservation_id": R1, "circle_refund_key": "refund-pi_3A"}


def body_of(kind: str = "payment_intent.succeeded", of: str = "payment_intent.succeeded", **changes: Any) -> bytes:
    metadata = REFUND if of.startswith("refund") else OURS
    found = shape(of) | {"metadata": metadata} | changes
    return json.dumps(shape("event") | {"type": kind, "data": {"object": found}}).encode()


def signed(body: bytes, at: int = NOW, secret: str = SECRET) -> str:
    return signature_of(body, secret, at)


def told(body: bytes) -> object:
    """The only command of a webhook; None without one."""
    found = commands_of(verified(body, signed(body), SECRET, NOW))
    assert len(found) <= 1
    return found[0] if found else None


# --- signatures


@pytest.mark.parametrize("skew_s", [0, TOLERANCE_S, -TOLERANCE_S])
def test_what_stripe_signed_just_now_is_taken(skew_s: int) -> None:
    body = body_of()
    assert verified(body, signed(body, NOW + skew_s), SECRET, NOW).id == "evt_3A"


def test_the_scheme_is_the_documented_one() -> None:
    body = b'{"id":"evt_1","type":"ping","data":{"object":{}}}'
    mac = hmac.new(SECRET.encode(), b"%d." % NOW + body, hashlib.sha256).hexdigest()
    header = f"t={NOW},v1={mac},v0=0000"
    assert verified(body, header, SECRET, NOW).type == "ping"


def test_while_a_secret_is_rolled_one_of_two_signatures_is_enough() -> None:
    body = body_of()
    old, new = signed(body, secret="whsec_old"), signed(body)
    assert verified(body, f"{old},{new.partition(',')[2]}", SECRET, NOW).id == "evt_3A"


@pytest.mark.parametrize("skew_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_an_old_or_future_signature_is_refused(skew_s: int) -> None:
    body = body_of()
    with pytest.raises(BadSignature, match="more than 300 s"):
        verified(body, signed(body, NOW + skew_s), SECRET, NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        "t=1800000000",
        "v1=" + "0" * 64,
        "t=1800000000,t=1800000001,v1=" + "0" * 64,
        "t=-1,v1=" + "0" * 64,
        "t=1e9,v1=" + "0" * 64,
        "t=" + "9" * 13 + ",v1=" + "0" * 64,
        "t=１800000000,v1=" + "0" * 64,
        "t=1800000000,v1=é",
        "t=1800000000,v1=",
        "t=1800000000,v0=" + "0" * 64,
        "t=1800000000," + ",".join(["v1=" + "0" * 64] * 9),
        "t=1800000000,v1=" + "0" * 3_000,
    ],
)
def test_a_header_that_is_no_signature_is_refused(header: str) -> None:
    with pytest.raises(BadSignature):
        verified(body_of(), header, SECRET, NOW)


def test_another_secret_another_time_and_v0_do_not_vouch() -> None:
    body = body_of()
    good = signed(body).partition("v1=")[2]
    for header in (
        signed(body, secret="whsec_other"),
        f"t={NOW - 1},v1={good}",
        f"t={NOW},v0={good}",
        f"t={NOW},v1={good.upper()}",
        f"t={NOW},v1={good[:-1]}",
    ):
        with pytest.raises(BadSignature):
            verified(body, header, SECRET, NOW)


@given(st.data())
def test_a_body_that_was_changed_anywhere_is_refused(data: st.DataObject) -> None:
    body = body_of()
    place = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[place]))
    changed = body[:place] + bytes([other]) + body[place + 1 :]
    with pytest.raises(BadSignature):
        verified(changed, signed(body), SECRET, NOW)


@given(st.text(max_size=200))
def test_no_header_makes_anything_but_a_refusal(header: str) -> None:
    with pytest.raises(BadSignature):
        verified(body_of(), header, SECRET, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'{"id":1}', b"\xff", b"[" * 60_000, b'{"id":"e","type":"t","data":{}}']
)
def test_signed_bytes_that_are_no_event_are_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableWebhook):
        verified(body, signed(body), SECRET, NOW)


# --- what they become


def test_a_payment_that_succeeded_is_recorded_under_its_attempt() -> None:
    assert told(body_of()) == RecordPayment(
        event_id=EVENT,
        user_id="",
        command_id="evt_3A",
        reservation_id=R1,
        attempt_id=ATTEMPT,
        payment_id="pi_3A",
        outcome="captured",
        reason="",
        amount_minor=900,
        currency="EUR",
    )


def test_another_amount_than_a_payment_is_about_is_recorded_as_it_arrived() -> None:
    command = told(body_of(amount_received=899))
    assert isinstance(command, RecordPayment)
    assert (command.amount_minor, command.currency) == (899, "EUR")


def test_an_amount_comes_in_our_minor_units() -> None:
    command = told(body_of(amount=500, amount_received=500, currency="isk"))
    assert isinstance(command, RecordPayment)
    assert command.amount_minor == 5


@pytest.mark.parametrize(
    ("kind", "status", "error", "reason"),
    [
        ("payment_intent.payment_failed", "requires_payment_method",
         {"type": "card_error", "code": "card_declined", "decline_code": "do_not_honor"}, "do_not_honor"),
        ("payment_intent.payment_failed", "requires_payment_method",
         {"type": "card_error", "code": "card_declined", "decline_code": "fraudulent"}, "card_declined"),
        ("payment_intent.canceled", "canceled", None, "canceled"),
    ],
)  # fmt: skip
def test_a_payment_that_failed_is_recorded_as_declined(
    kind: str, status: str, error: dict[str, str] | None, reason: str
) -> None:
    command = told(body_of(kind, status=status, amount_received=0, last_payment_error=error))
    assert command == RecordPayment(
        event_id=EVENT,
        user_id="",
        command_id="evt_3A",
        reservation_id=R1,
        attempt_id=ATTEMPT,
        payment_id="",
        outcome="declined",
        reason=reason,
        amount_minor=0,
    )


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "charge.refund.updated"])
def test_a_refund_is_recorded_under_its_key(kind: str) -> None:
    whole = told(body_of(kind, "refund.succeeded"))
    assert whole == RecordRefund(
        event_id=EVENT,
        user_id="",
        command_id="evt_3A",
        reservation_id=R1,
        payment_id="pi_3A",
        refund_id="re_3A",
        amount_minor=900,
        refund_key=None,
    )
    part = told(body_of(kind, "refund.succeeded", amount=400, metadata=REFUND | {"circle_refund_key": "pi_3A/A-1"}))
    assert part == RecordRefund(
        event_id=EVENT,
        user_id="",
        command_id="evt_3A",
        reservation_id=R1,
        payment_id="pi_3A",
        refund_id="re_3A",
        amount_minor=400,
        refund_key="pi_3A/A-1",
    )


@pytest.mark.parametrize("kind", ["refund.failed", "refund.updated", "charge.refund.updated"])
def test_a_refund_that_failed_is_recorded_as_that_and_raises_an_alarm(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    failed = told(body_of(kind, "refund.succeeded", status="failed", failure_reason="lost_card"))
    assert failed == RecordRefundFailure(
        event_id=EVENT,
        user_id="",
        command_id="evt_3A",
        reservation_id=R1,
        payment_id="pi_3A",
        refund_id="re_3A",
        amount_minor=900,
        currency="EUR",
        reason="lost_card",
        refund_key="refund-pi_3A",
    )
    assert "refund.failed" in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"order": "of another shop"},
        OURS | {"circle_event_id": "8"},
        OURS | {"circle_reservation_id": R1.upper() + "\n"},
        OURS | {"circle_attempt_id": ""},
    ],
)
def test_what_another_program_did_with_the_account_is_no_business_of_ours(metadata: dict[str, str]) -> None:
    assert told(body_of(metadata=metadata)) is None


@pytest.mark.parametrize(
    "kind", ["charge.succeeded", "customer.created", "payment_intent.created", "v2.core.event", ""]
)
def test_other_events_are_ignored_whatever_is_in_them(kind: str) -> None:
    assert told(json.dumps(shape("event") | {"type": kind, "data": {"object": 1}}).encode()) is None


@pytest.mark.parametrize("status", ["processing", "requires_action", "requires_capture", "new_in_2030"])
def test_a_payment_that_has_not_come_to_an_end_is_waited_for(status: str) -> None:
    assert told(body_of(status=status, amount_received=0)) is None


@pytest.mark.parametrize(
    "changes",
    [{"amount": "9"}, {"metadata": [1]}, {"status": None}, {"amount": 2**63}, {"amount": -1},
     {"id": "x" * 129}, {"id": "pi\n"}, {"currency": "euro"}],
)  # fmt: skip
def test_an_object_that_is_not_as_documented_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableWebhook):
        told(body_of(**changes))


@pytest.mark.parametrize("changes", [{"amount": 2**63}, {"id": ""}, {"payment_intent": "x" * 129}])
def test_a_refund_that_would_not_fit_onto_the_log_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableWebhook):
        told(body_of("refund.updated", "refund.succeeded", **changes))


@pytest.mark.parametrize("key", ["", "x" * 129, "a\u0000", "two words", "é"])
def test_a_refund_under_a_key_that_is_none_of_ours_began_at_stripe(key: str) -> None:
    found = told(body_of("refund.updated", "refund.succeeded", metadata=REFUND | {"circle_refund_key": key}))
    assert found == RecordProviderRefund(
        event_id="",
        user_id="",
        command_id="evt_3A",
        reservation_id="",
        payment_id="pi_3A",
        refund_id="re_3A",
        amount_minor=900,
        currency="EUR",
        reason="",
    )


def test_a_refund_of_the_dashboard_says_whose_it_is_by_its_payment() -> None:
    dashboard = {"metadata": {}, "reason": "requested_by_customer"}
    found = told(body_of("refund.created", "refund.succeeded", **dashboard))
    unplaced = RecordProviderRefund(
        event_id="",
        user_id="",
        command_id="evt_3A",
        reservation_id="",
        payment_id="pi_3A",
        refund_id="re_3A",
        amount_minor=900,
        currency="EUR",
        reason="requested_by_customer",
    )
    assert found == unplaced
    assert placed(unplaced, EVENT, R1).reservation_id == R1
    gone = told(body_of("refund.failed", "refund.succeeded", **dashboard, status="failed", failure_reason="closed"))
    assert gone == RecordRefundFailure(
        event_id="",
        user_id="",
        command_id="evt_3A",
        reservation_id="",
        payment_id="pi_3A",
        refund_id="re_3A",
        amount_minor=900,
        currency="EUR",
        reason="closed",
        refund_key=None,
    )
    assert told(body_of("refund.updated", "refund.succeeded", **dashboard, status="requires_action")) is None


def test_a_refunded_charge_tells_its_refunds_or_which_payment_to_look_up() -> None:
    def of(**changes: Any) -> Event:
        charge = {"id": "ch_3A", "object": "charge", "payment_intent": "pi_3A", "amount_refunded": 900} | changes
        body = json.dumps(shape("event") | {"type": "charge.refunded", "data": {"object": charge}}).encode()
        return verified(body, signed(body), SECRET, NOW)

    assert (commands_of(of()), charge_refunded(of())) == ([], "pi_3A")
    refunds = [shape("refund.succeeded") | {"id": f"re_{n}", "metadata": {}} for n in (2, 1)]
    known = of(refunds={"object": "list", "data": refunds, "has_more": False})
    assert [one.refund_id for one in commands_of(known) if isinstance(one, RecordProviderRefund)] == ["re_1", "re_2"]
    assert charge_refunded(known) is None
    assert charge_refunded(of(refunds={"object": "list", "data": refunds, "has_more": True})) == "pi_3A"


@pytest.mark.parametrize(
    ("kind", "status", "ours"),
    [
        ("charge.dispute.created", "needs_response", "open"),
        ("charge.dispute.created", "warning_needs_response", "inquiry"),
        ("charge.dispute.updated", "under_review", "open"),
        ("charge.dispute.funds_withdrawn", "needs_response", "open"),
        ("charge.dispute.closed", "lost", "lost"),
        ("charge.dispute.closed", "won", "won"),
        ("charge.dispute.closed", "warning_closed", "closed"),
        ("charge.dispute.funds_reinstated", "won", "won"),
    ],
)
def test_a_dispute_is_recorded_as_it_stands(kind: str, status: str, ours: str) -> None:
    found = told(body_of(kind, "dispute.needs_response", status=status))
    assert found == RecordDispute(
        event_id="",
        user_id="",
        command_id="evt_3A",
        reservation_id="",
        payment_id="pi_3A",
        dispute_id="dp_3A",
        status=ours,
        amount_minor=900,
        currency="EUR",
        reason="fraudulent",
    )


def test_a_dispute_of_a_status_that_nobody_knows_is_waited_for() -> None:
    assert told(body_of("charge.dispute.updated", "dispute.needs_response", status="new_in_2030")) is None


def test_the_same_webhook_makes_the_same_command() -> None:
    body = body_of()
    event = verified(body, signed(body), SECRET, NOW)
    assert isinstance(event, Event)
    assert commands_of(event) == commands_of(verified(body, signed(body, NOW + 9), SECRET, NOW))
