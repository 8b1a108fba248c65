"""Each charge and each refund has one key of its own, and only facts that ask for money make one."""

from __future__ import annotations

from pipelines.payments.requests import ChargeJob, ChargeResult, RefundJob, RefundResult, charged, refunded, request_in
from schemas.commands import RecordPayment, RecordRefund
from schemas.facts import Reason
from tests.harness.fact_logs import recorded
from tests.harness.words import EVENT, R1, TRY1, T, held, payment_requested, refund_requested


def test_a_charge_is_asked_for_under_its_attempt_and_told_under_the_waiting_request() -> None:
    charge = request_in(recorded(payment_requested(amount=900), offset=4))
    assert charge == ChargeJob(
        event_id=EVENT,
        reservation_id=R1,
        command_id="cmd",
        attempt_id=TRY1,
        token="tok_ok",
        amount_minor=900,
        currency="EUR",
        asked_at=T + 4,
    )
    assert charge.key == TRY1
    command = charged(charge, ChargeResult("captured", "pay-1", "", 900))
    assert command == RecordPayment(
        event_id=EVENT,
        user_id="",
        command_id="cmd",
        reservation_id=R1,
        attempt_id=TRY1,
        payment_id="pay-1",
        outcome="captured",
        reason="",
        amount_minor=900,
    )


def test_a_payments_only_refund_has_a_key_made_from_it() -> None:
    refund = request_in(recorded(refund_requested(Reason.HOLD_EXPIRED, amount=900), offset=4))
    assert refund == RefundJob(
        event_id=EVENT, reservation_id=R1, payment_id="pay-1", amount_minor=900, currency="EUR", asked_at=T + 4
    )
    assert refund.key == "refund-pay-1"
    command = refunded(refund, RefundResult("ref-1", 900))
    assert command == RecordRefund(
        event_id=EVENT,
        user_id="",
        command_id="refund-pay-1",
        reservation_id=R1,
        payment_id="pay-1",
        refund_id="ref-1",
        amount_minor=900,
        refund_key=None,
        currency="EUR",
    )


def test_each_of_several_refunds_has_its_own_key() -> None:
    keys = ["refund-pay-1/A-1", "refund-pay-1/A-2"]
    asked = [
        request_in(recorded(refund_requested(Reason.BUYER_CANCELLED, amount=450, key=key), offset=4)) for key in keys
    ]
    commands = [refunded(one, RefundResult("ref", 450)) for one in asked if isinstance(one, RefundJob)]
    assert [one.key for one in asked if one is not None] == keys
    assert [one.refund_key for one in commands] == [one.command_id for one in commands] == keys


def test_other_facts_ask_for_nothing() -> None:
    assert request_in(recorded(held(["A-1"]), offset=1)) is None
