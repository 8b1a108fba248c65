"""Facts about a reservation as row changes: its places, its payments and refunds, its tickets. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.projections.changes import (
    Amendment,
    Changes,
    DisputeChange,
    PaymentChange,
    PaymentSettled,
    RefundChange,
    ReservationChange,
    SeatClaimChange,
    TicketChange,
    TicketsVoided,
)
from pipelines.projections.tickets import patch_of
from schemas import facts as f
from schemas.facts import Envelope
from schemas.ids import (
    NO_ATTEMPT,
    NO_PAYMENT,
    NO_REFUND,
    AttemptId,
    PaymentId,
    ReservationId,
    TicketId,
    TicketTypeId,
    ticket_id,
)
from schemas.payment_facts import key_of_refund
from schemas.statuses import (
    DisputeStatus,
    PaymentStatus,
    RefundOrigin,
    RefundStatus,
    ReservationStatus,
    SeatClaimStatus,
    TicketStatus,
)

ORDINAL_MAX = 1_000  # a user may have so many tickets of an event; no reservation has more


def tickets_held(changes: Changes, at: Envelope, fact: f.TicketsHeld) -> None:
    """The reservation's row as a hold, and the claims on its seats."""
    amended = None
    if fact.promo_code or fact.access_code:
        amended = Amendment(fact.promo_code or "", fact.access_code or "", fact.discount_minor or 0)
    row = _new_row(changes, at, fact, ReservationStatus.HELD)
    row.seats, row.amount_minor, row.currency, row.expires_at = (
        fact.seats, fact.amount_minor, fact.currency, fact.expires_at,
    )  # fmt: skip
    row.amended, row.mailbox = amended, fact.mailbox or 0
    _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, SeatClaimStatus.HELD)


def rejected(changes: Changes, at: Envelope, fact: f.ReservationRejected) -> None:
    """The reservation's row as a refused one, with the reason."""
    row = _new_row(changes, at, fact, ReservationStatus.REJECTED)
    row.reason, row.detail, row.detail_at = fact.reason, fact.detail, fact.at or 0


def warned(changes: Changes, at: Envelope, fact: f.HoldWarned) -> None:
    """The row says that its buyer was warned of the deadline."""
    _amended(_reservation(changes, at, fact.reservation_id)).warned = True


def extended(changes: Changes, at: Envelope, fact: f.HoldExtended) -> None:
    """The row gets the later deadline, and says that the hold was extended."""
    reservation = _reservation(changes, at, fact.reservation_id)
    reservation.expires_at = fact.expires_at
    _amended(reservation).extended = True


def reacquired(changes: Changes, at: Envelope, fact: f.HoldReacquired) -> None:
    """The row is a hold again, and its seats are claimed again."""
    _reservation(changes, at, fact.reservation_id).status = ReservationStatus.HELD
    _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, SeatClaimStatus.HELD)


def payment_requested(changes: Changes, at: Envelope, fact: f.PaymentRequested) -> None:
    """The reservation's row waits for a payment, and the attempt gets a row."""
    reservation = _reservation(changes, at, fact.reservation_id)
    _pay(reservation, PaymentStatus.REQUESTED)
    reservation.attempt_id, reservation.payment_token, reservation.reason = fact.attempt_id, fact.payment_token, ""
    changes.payments[at.event_id, fact.attempt_id] = PaymentChange(
        event_id=at.event_id,
        attempt_id=fact.attempt_id,
        partition=at.partition,
        reservation_id=fact.reservation_id,
        user_id=fact.user_id,
        status=PaymentStatus.REQUESTED,
        reason="",
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        payment_token=fact.payment_token,
        payment_id=NO_PAYMENT,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def payment_declined(changes: Changes, at: Envelope, fact: f.PaymentDeclined) -> None:
    """The rows of the reservation and of the attempt say that the payment was declined, and why."""
    reservation = _reservation(changes, at, fact.reservation_id)
    _pay(reservation, PaymentStatus.DECLINED)
    reservation.reason = fact.reason
    payment = _payment(changes, at, fact.attempt_id)
    payment.status, payment.reason = PaymentStatus.DECLINED, fact.reason


def confirmed(changes: Changes, at: Envelope, fact: f.ReservationConfirmed) -> None:
    """The reservation's row is confirmed and paid, its seats are sold, and each place gets a ticket's row."""
    reservation = _reservation(changes, at, fact.reservation_id)
    _pay(reservation, PaymentStatus.CAPTURED)
    reservation.status, reservation.reason = ReservationStatus.CONFIRMED, ""
    reservation.attempt_id, reservation.payment_id = fact.attempt_id, fact.payment_id
    reservation.ticket_ids = fact.ticket_ids
    payment = _payment(changes, at, fact.attempt_id)
    payment.status, payment.payment_id = PaymentStatus.CAPTURED, fact.payment_id
    _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, SeatClaimStatus.SOLD)
    changes.tickets[at.event_id, fact.reservation_id] = [
        TicketChange(
            id=ticket_id,
            event_id=at.event_id,
            partition=at.partition,
            reservation_id=fact.reservation_id,
            user_id=fact.user_id,
            ticket_type_id=fact.ticket_type_id,
            seat=fact.seats[place] if fact.seats else "",
            ordinal=place + 1,
            status=TicketStatus.VALID,
            version=1,
            issued_at=at.log_time,
            updated_offset=at.offset,
            updated_index=at.index,
        )
        for place, ticket_id in enumerate(fact.ticket_ids)
    ]


def confirmation_refused(changes: Changes, at: Envelope, fact: f.ConfirmationRefused) -> None:
    """The row of an attempt that waits for the provider says that nothing was charged, and why."""
    # This refuses only an attempt that waits for the provider. A charged attempt is refunded instead.
    known = changes.payments.get((at.event_id, fact.attempt_id))
    if known is None or known.status == PaymentStatus.REQUESTED:
        payment = _payment(changes, at, fact.attempt_id)
        payment.status, payment.reason = PaymentStatus.REFUSED, fact.reason


def refund_requested(changes: Changes, at: Envelope, fact: f.RefundRequested) -> None:
    """The refund's row. The rows of the payment and, unless the payment is stray, of the reservation follow."""
    key, origin = key_of_refund(fact.payment_id, fact.refund_key), RefundOrigin(fact.origin or RefundOrigin.OURS)
    if origin != RefundOrigin.STRAY:
        reservation = _reservation(changes, at, fact.reservation_id)
        reservation.payment_id = fact.payment_id
        amended = _amended(reservation)
        amended.refunds_open.append(key)
        _take(reservation, fact.from_tickets_minor or 0, fact.from_kept_minor or 0, fact.from_owed_minor or 0)
        if reservation.status is None:
            amended.refund_asked, amended.refund_made = True, False
        elif reservation.status != ReservationStatus.CONFIRMED:
            _pay(reservation, PaymentStatus.REFUND_REQUESTED)
    payment = _payment(changes, at, fact.attempt_id)
    payment.status, payment.payment_id, payment.reason = PaymentStatus.REFUND_REQUESTED, fact.payment_id, fact.reason
    changes.refunds[at.event_id, key] = RefundChange(
        event_id=at.event_id,
        refund_key=key,
        partition=at.partition,
        reservation_id=fact.reservation_id,
        user_id=fact.user_id,
        payment_id=fact.payment_id,
        attempt_id=fact.attempt_id,
        status=RefundStatus.REQUESTED,
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        reason=fact.reason,
        requested_at=at.log_time,
        origin=origin,
        updated_offset=at.offset,
        updated_index=at.index,
    )
    _settle(changes, at, fact.payment_id)


def refunded(changes: Changes, at: Envelope, fact: f.PaymentRefunded) -> None:
    """The refund's row is refunded. The reservation's row follows, unless the payment is stray."""
    key, origin = key_of_refund(fact.payment_id, fact.refund_key), RefundOrigin(fact.origin or RefundOrigin.OURS)
    if origin != RefundOrigin.STRAY:
        reservation = _reservation(changes, at, fact.reservation_id)
        reservation.refund_id = fact.refund_id
        _close(_amended(reservation), key)
        _take(reservation, fact.from_tickets_minor or 0, fact.from_kept_minor or 0, fact.from_owed_minor or 0)
        if fact.payment is not None:
            _pay(reservation, PaymentStatus(fact.payment))
        else:
            _refund_made(reservation)
    if fact.refund_key == fact.refund_id:  # it began at the provider, so there is no row yet
        changes.refunds[at.event_id, key] = RefundChange(
            event_id=at.event_id,
            refund_key=key,
            partition=at.partition,
            reservation_id=fact.reservation_id,
            user_id=fact.user_id,
            payment_id=fact.payment_id,
            attempt_id=NO_ATTEMPT,
            status=RefundStatus.REFUNDED,
            amount_minor=fact.amount_minor,
            currency=fact.currency or "",
            reason=fact.reason or "",
            requested_at=at.log_time,
            origin=origin,
        )
    refund = _refund(changes, at, key, fact)
    refund.status, refund.refund_id, refund.refunded_minor = RefundStatus.REFUNDED, fact.refund_id, fact.amount_minor
    refund.refunded_at, refund.failure = at.log_time, ""
    _settle(changes, at, fact.payment_id)


def refund_failed(changes: Changes, at: Envelope, fact: f.RefundFailed) -> None:
    """The refund's row has failed, with the reason. The reservation's row follows, unless the payment is stray."""
    if fact.origin != RefundOrigin.STRAY:
        reservation = _reservation(changes, at, fact.reservation_id)
        _close(_amended(reservation), fact.refund_key)
        _take(reservation, -fact.to_tickets_minor, 0, -fact.to_owed_minor)
        _pay(reservation, PaymentStatus(fact.payment))
    if fact.origin == RefundOrigin.PROVIDER:
        changes.refunds[at.event_id, fact.refund_key] = RefundChange(
            event_id=at.event_id,
            refund_key=fact.refund_key,
            partition=at.partition,
            reservation_id=fact.reservation_id,
            user_id=fact.user_id,
            payment_id=fact.payment_id,
            attempt_id=NO_ATTEMPT,
            status=RefundStatus.FAILED,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            reason="",
            requested_at=at.log_time,
            origin=RefundOrigin(fact.origin),
        )
    refund = _refund(changes, at, fact.refund_key, fact)
    refund.status, refund.refund_id, refund.refunded_minor = RefundStatus.FAILED, fact.refund_id, 0
    refund.refunded_at, refund.failure = 0, fact.reason
    _settle(changes, at, fact.payment_id)


def dispute_opened(changes: Changes, at: Envelope, fact: f.DisputeOpened) -> None:
    """The dispute's row, and since when it is open."""
    _dispute(changes, at, fact).opened_at = at.log_time


def dispute_closed(changes: Changes, at: Envelope, fact: f.DisputeClosed) -> None:
    """The dispute's row is closed. The reservation's row loses the money that the bank has taken."""
    dispute = _dispute(changes, at, fact)
    dispute.closed_at = at.log_time
    dispute.charged_minor += fact.from_tickets_minor + fact.from_kept_minor + fact.from_owed_minor
    reservation = _reservation(changes, at, fact.reservation_id)
    _take(reservation, fact.from_tickets_minor, fact.from_kept_minor, fact.from_owed_minor)
    _pay(reservation, PaymentStatus(fact.payment))


def ended(status: ReservationStatus) -> Callable[[Changes, Envelope, Any], None]:
    """The change of a fact that ends a reservation with this status, and the claims on its seats."""

    def change(changes: Changes, at: Envelope, fact: f.HoldExpired | f.HoldReleased | f.ReservationCancelled) -> None:
        _reservation(changes, at, fact.reservation_id).status = status
        _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, SeatClaimStatus.ENDED)

    return change


_end_cancelled = ended(ReservationStatus.CANCELLED)


def cancelled(changes: Changes, at: Envelope, fact: f.ReservationCancelled) -> None:
    """The reservation's row is cancelled, with the money that is kept and owed. Its tickets are void."""
    _end_cancelled(changes, at, fact)
    if fact.kept_minor or fact.withheld_minor:
        amended = _amended(changes.reservations[at.event_id, fact.reservation_id])
        amended.kept_minor += fact.kept_minor or 0
        amended.owed_minor += fact.withheld_minor or 0
    key = (at.event_id, fact.reservation_id)
    changes.tickets_voided[key] = TicketsVoided(at.event_id, fact.reservation_id, at.offset, at.index)


def tickets_cancelled(changes: Changes, at: Envelope, fact: f.TicketsCancelled) -> None:
    """The reservation's row loses some of its tickets. They are void, and their seats are free."""
    reservation = _reservation(changes, at, fact.reservation_id)
    amended, gone = _amended(reservation), set(fact.seats)
    amended.void_places = amended.void_places + (fact.seats or _ordinals(fact.reservation_id, fact.ticket_ids))
    amended.kept_minor += fact.kept_minor
    if _is_whole(reservation):
        assert reservation.quantity is not None
        assert reservation.amount_minor is not None
        reservation.quantity -= fact.quantity
        reservation.amount_minor -= fact.amount_minor
        reservation.seats = [seat for seat in reservation.seats or [] if seat not in gone]
        tickets = set(fact.ticket_ids)
        reservation.ticket_ids = [ticket for ticket in reservation.ticket_ids or [] if ticket not in tickets]
    else:
        amended.quantity_less += fact.quantity
        amended.amount_less += fact.amount_minor
        amended.seats_gone = amended.seats_gone + fact.seats
        amended.tickets_gone = amended.tickets_gone + fact.ticket_ids
    for ticket in fact.ticket_ids:
        patch_of(changes, at, ticket).void = True
    _claims(changes, at, fact.ticket_type_id, fact.seats, fact.reservation_id, SeatClaimStatus.ENDED)


# --- the rows that a fact is about --------------------------------------------------------------------------------


def _new_row(
    changes: Changes, at: Envelope, fact: f.TicketsHeld | f.ReservationRejected, status: ReservationStatus
) -> ReservationChange:
    """The row of a new reservation, whole; everything that its fact does not always have is empty.

    It sets most fields one by one: a call with all of them as keywords takes five times as long, since CPython packs
    more than 15 keywords into a dict.
    """
    row = ReservationChange(fact.reservation_id, at.event_id, at.partition, at.offset)
    row.user_id, row.ticket_type_id = fact.user_id, fact.ticket_type_id
    row.status, row.quantity, row.fingerprint = status, fact.quantity, fact.fingerprint
    row.seats, row.ticket_ids = [], []
    row.amount_minor = row.expires_at = row.detail_at = row.mailbox = 0
    row.currency = row.reason = row.detail = row.payment_token = ""
    row.attempt_id, row.payment, row.payment_id, row.refund_id = (
        NO_ATTEMPT, PaymentStatus.NONE, NO_PAYMENT, NO_REFUND,
    )  # fmt: skip
    row.created_at = row.updated_at = at.log_time
    row.updated_offset, row.updated_index = at.offset, at.index
    changes.reservations[at.event_id, fact.reservation_id] = row
    return row


def _reservation(changes: Changes, at: Envelope, reservation_id: ReservationId) -> ReservationChange:
    key = (at.event_id, reservation_id)
    change = changes.reservations.get(key)
    if change is None:
        change = changes.reservations[key] = ReservationChange(reservation_id, at.event_id, at.partition)
    change.updated_at, change.updated_offset, change.updated_index = at.log_time, at.offset, at.index
    return change


def _is_whole(reservation: ReservationChange) -> bool:
    return reservation.fingerprint is not None


def _amended(reservation: ReservationChange) -> Amendment:
    if reservation.amended is None:
        reservation.amended = Amendment()
    return reservation.amended


def _pay(reservation: ReservationChange, payment: PaymentStatus) -> None:
    """Set the payment's state; it replaces the state in the row."""
    reservation.payment = payment
    if reservation.amended is not None:
        reservation.amended.refund_asked = reservation.amended.refund_made = False


def _take(reservation: ReservationChange, tickets_minor: int, kept_minor: int, owed_minor: int) -> None:
    """Take an amount from its sources; a negative part goes back to its source."""
    if not (tickets_minor or kept_minor or owed_minor):
        return
    amended = _amended(reservation)
    amended.kept_minor -= kept_minor
    amended.owed_minor -= owed_minor
    if _is_whole(reservation):
        assert reservation.amount_minor is not None
        reservation.amount_minor -= tickets_minor
    else:
        amended.amount_less += tickets_minor


def _close(amended: Amendment, key: str) -> None:
    """Mark a refund as no longer under way."""
    if key in amended.refunds_open:
        amended.refunds_open = [one for one in amended.refunds_open if one != key]
    else:
        amended.refunds_gone.append(key)


def _refund_made(reservation: ReservationChange) -> None:
    """A refund is made. The last open refund settles the payment."""
    amended = _amended(reservation)
    if not _is_whole(reservation):
        amended.refund_made = True
    elif reservation.payment == PaymentStatus.REFUND_REQUESTED and not amended.refunds_open:
        reservation.payment = PaymentStatus.REFUND_FAILED if amended.owed_minor > 0 else PaymentStatus.REFUNDED


def _refund(changes: Changes, at: Envelope, key: str, fact: f.PaymentRefunded | f.RefundFailed) -> RefundChange:
    refund = changes.refunds.get((at.event_id, key))
    if refund is None:
        refund = changes.refunds[at.event_id, key] = RefundChange(
            event_id=at.event_id,
            refund_key=key,
            partition=at.partition,
            reservation_id=fact.reservation_id,
            user_id=fact.user_id,
            payment_id=fact.payment_id,
        )
    refund.updated_offset, refund.updated_index = at.offset, at.index
    return refund


def _dispute(changes: Changes, at: Envelope, fact: f.DisputeOpened | f.DisputeClosed) -> DisputeChange:
    former = changes.disputes.get((at.event_id, fact.dispute_id))
    charged, opened = (0, 0) if former is None else (former.charged_minor, former.opened_at)
    dispute = changes.disputes[at.event_id, fact.dispute_id] = DisputeChange(
        event_id=at.event_id,
        dispute_id=fact.dispute_id,
        partition=at.partition,
        reservation_id=fact.reservation_id,
        user_id=fact.user_id,
        payment_id=fact.payment_id,
        status=DisputeStatus(fact.status),
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        reason=fact.reason,
        charged_minor=charged,
        opened_at=opened,
        closed_at=0,
        updated_offset=at.offset,
        updated_index=at.index,
    )
    return dispute


def _payment(changes: Changes, at: Envelope, attempt_id: AttemptId) -> PaymentChange:
    key = (at.event_id, attempt_id)
    change = changes.payments.get(key)
    if change is None:
        change = changes.payments[key] = PaymentChange(at.event_id, attempt_id, at.partition)
    change.updated_offset, change.updated_index = at.offset, at.index
    return change


def _settle(changes: Changes, at: Envelope, payment_id: PaymentId) -> None:
    changes.payments_settled[at.event_id, payment_id] = PaymentSettled(at.event_id, payment_id, at.offset, at.index)


def _claims(
    changes: Changes,
    at: Envelope,
    ticket_type_id: TicketTypeId,
    seats: list[str],
    reservation_id: ReservationId,
    status: SeatClaimStatus,
) -> None:
    for seat in seats:
        changes.seat_claims[at.event_id, ticket_type_id, seat, reservation_id] = SeatClaimChange(
            event_id=at.event_id,
            ticket_type_id=ticket_type_id,
            seat=seat,
            reservation_id=reservation_id,
            partition=at.partition,
            status=status,
            updated_offset=at.offset,
            updated_index=at.index,
        )


def _ordinals(reservation_id: ReservationId, ticket_ids: list[TicketId]) -> list[str]:
    """The places of general admission tickets, in their order. A ticket's id is made from its place."""
    wanted = set(ticket_ids)
    ordinals: list[str] = []
    for ordinal in range(1, ORDINAL_MAX + 1):
        if len(ordinals) == len(wanted):
            break
        if ticket_id(reservation_id, str(ordinal)) in wanted:
            ordinals.append(str(ordinal))
    return ordinals
