"""Reservations: the hot path. A request becomes one command on the log, without a call to any other service before.

Guarantee: an outcome or a 202 means that the command is durable. The id comes from user and Idempotency-Key, so a retry
means the same reservation and gets the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

import asyncpg
import msgspec
from msgspec import UNSET
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.fairness.limits import ANNOUNCED_WITHIN_S, PROJECTION_WAIT_MAX_S
from api.http import cursors, validation
from api.http.problem import Problem, invalid
from api.http.reasons import for_reason, no_event
from api.http.routing import Call, json
from api.log.outcomes import Outcome, accepted, receipt_header, submit
from api.log.watermarks import PendingReservation
from api.log.writes import own_writes, pending, replayed, write
from api.reads.events import owned
from api.reads.visibility import spend_guess
from api.shapes.base import PositionOut
from api.shapes.reservations import (
    CancelTicketsIn,
    ConfirmedOut,
    ConfirmIn,
    DisputeOut,
    RefundIn,
    RefundOut,
    ReservationIn,
    ReservationOut,
    ReservationsQuery,
    TicketCodeOut,
)
from schemas.commands import (
    CancelTickets,
    ConfirmReservation,
    ExtendHold,
    RefundAmount,
    ReleaseReservation,
    ReserveTickets,
)
from schemas.facts import Reason
from schemas.ids import EventId, ReservationId, TicketId, TicketTypeId, attempt_id, fingerprint, reservation_id
from schemas.money import formatted
from schemas.replies import Reply, ReservationView
from schemas.statuses import PaymentStatus, ReplyOutcome, ReservationStatus
from schemas.times import utc

_reserve = msgspec.json.Decoder(ReservationIn)
_confirm = msgspec.json.Decoder(ConfirmIn)
_cancel = msgspec.json.Decoder(CancelTicketsIn)
_refund = msgspec.json.Decoder(RefundIn)
_Changing = ConfirmReservation | ReleaseReservation | ExtendHold | CancelTickets
MONEY_ROWS_MAX = 100  # refunds and disputes in one answer; its sums count those


async def create(call: Call, event_id: EventId) -> HTTPResponse:
    """201 with the hold; 409 if it is refused; 202 if the outcome takes longer than the caller waits."""
    deps, user_id = call.deps, call.user_id
    key = call.idempotency_key()
    body = call.body(_reserve)
    seats, quantity = _wanted(body)
    identity = reservation_id(user_id, key)
    ticket_type_id = TicketTypeId(body.ticket_type_id.lower())
    promo, access = (body.promo_code or "").upper(), (body.access_code or "").upper()
    known = deps.memory.asked(identity)
    if known is not None and known.event_id != event_id:
        raise for_reason(
            Reason.IDEMPOTENCY_KEY_REUSED, "this Idempotency-Key was used for another event", reservation_id=identity
        )
    if await deps.events.is_absent(event_id, call.sees_drafts_of):
        raise no_event(event_id, reservation_id=identity)
    if promo or access:
        await spend_guess(call, event_id, promo, access)
    command = ReserveTickets(
        event_id=event_id,
        user_id=user_id,
        command_id=deps.log_writer.next_id(),
        reservation_id=identity,
        ticket_type_id=ticket_type_id,
        quantity=quantity,
        seats=seats,
        fingerprint=fingerprint(ticket_type_id, quantity, seats, promo, access),
        promo_code=promo or None,
        access_code=access or None,
        mailbox=call.mailbox,
    )
    receipt = call.wants_receipt
    outcome = await submit(deps, command, call.wait_s(), traceparent=call.traceparent, receipt=receipt)
    deps.memory.reserved(identity, user_id, event_id, outcome.partition, outcome.offset)
    location = f"/v1/reservations/{identity}"
    try:
        reply = accepted(outcome, receipt=receipt, reservation_id=identity)
    except Problem as refused:
        if refused.slug == Reason.EVENT_NOT_FOUND:  # a draft that the caller may not see looks like no event
            raise no_event(event_id, reservation_id=identity) from None
        raise
    if reply is None or reply.reservation is None:
        return pending(identity, location, outcome)
    headers = {"location": location} | receipt_header(outcome, receipt=receipt)
    if reply.duplicate:
        headers["idempotency-replayed"] = "true"
    return json(_new_hold(reply.reservation), 201, headers)


async def own(call: Call) -> HTTPResponse:
    """200 with a page of the caller's reservations, the latest first."""
    query = call.query(ReservationsQuery)
    value, identity = cursors.decode(query.cursor, "reservations")
    await own_writes(call)
    event_id = query.event_id.lower() if query.event_id else None
    rows = await call.deps.database.rows(
        "reservations_of_user", call.user_id, event_id, value, identity, query.limit + 1
    )
    page = cursors.page(rows, query.limit, of_row, lambda row: ("reservations", row["created_at"], row["id"]))
    return json(page)


async def one(call: Call, reservation_id: ReservationId) -> HTTPResponse:
    """200 with the reservation. With Prefer: wait, as soon as it has an outcome or the time is over."""
    deps, deadline = call.deps, monotonic() + call.wait_s(PROJECTION_WAIT_MAX_S)
    known = _own_known(call, reservation_id)
    asked_to_wait = call.request.headers.get("prefer") is not None
    if known is not None:
        await deps.watermarks.wait(known.partition, known.offset, max(0.0, deadline - monotonic()))
    while True:
        row = await deps.database.row("reservation_by_id", reservation_id)
        if row is not None and row["user_id"] != call.user_id:
            row = None
        open_still = row is None or row["payment"] == PaymentStatus.REQUESTED
        left = deadline - monotonic()
        partition = row["partition"] if row is not None else known.partition if known is not None else None
        if not open_still or not asked_to_wait or left <= 0 or partition is None:
            break
        await deps.watermarks.wait(partition, deps.watermarks.applied(partition) + 1, left)
    if row is not None:
        return json(await _with_money(deps, row))
    if known is None:
        known = await _announced(call, reservation_id, min(ANNOUNCED_WITHIN_S, max(0.0, deadline - monotonic())))
    position = PositionOut(known.partition, known.offset)
    return json(
        ReservationOut(id=reservation_id, status=ReplyOutcome.PENDING, event_id=known.event_id, position=position)
    )


async def confirm(call: Call, reservation_id: ReservationId) -> HTTPResponse:
    """200 with tickets; 402 if the payment is declined; 409 if the hold is over; 202 while the payment runs."""
    deps = call.deps
    key = call.idempotency_key()
    body = call.body(_confirm) if call.request.body else ConfirmIn()
    known = await _find(call, reservation_id)
    if body.payment_token is UNSET:
        await _needs_no_token(call, reservation_id)
    command = ConfirmReservation(
        event_id=known.event_id,
        user_id=call.user_id,
        command_id=deps.log_writer.next_id(),
        reservation_id=reservation_id,
        attempt_id=attempt_id(reservation_id, key),
        payment_token="" if body.payment_token is UNSET else body.payment_token,
    )
    deadline = monotonic() + call.wait_s()
    receipt = call.wants_receipt
    outcome = await submit(deps, command, call.wait_s(), traceparent=call.traceparent, receipt=receipt)
    _remember(deps, command, outcome)
    if outcome.reply is not None and outcome.reply.outcome == ReplyOutcome.PENDING:
        outcome = await _paid_elsewhere(call, outcome, outcome.reply, deadline)
    reply = accepted(outcome, receipt=receipt, reservation_id=reservation_id)
    if reply is None or reply.reservation is None:
        return pending(reservation_id, f"/v1/reservations/{reservation_id}", outcome)
    headers = replayed(outcome) | receipt_header(outcome, receipt=receipt)
    return json(_confirmed(deps, reply.reservation), 200, headers)


async def release(call: Call, reservation_id: ReservationId) -> HTTPResponse:
    """200 with the reservation: a hold is released, a confirmed one cancelled and refunded."""
    call.no_body()
    deps = call.deps
    known = await _find(call, reservation_id)
    command = ReleaseReservation(known.event_id, call.user_id, deps.log_writer.next_id(), reservation_id)
    receipt = call.wants_receipt
    outcome = await submit(deps, command, call.wait_s(), traceparent=call.traceparent, receipt=receipt)
    _remember(deps, command, outcome)
    reply = accepted(outcome, receipt=receipt, reservation_id=reservation_id)
    if reply is None or reply.reservation is None:
        return pending(reservation_id, f"/v1/reservations/{reservation_id}", outcome)
    headers = replayed(outcome) | receipt_header(outcome, receipt=receipt)
    return json(of_view(reply.reservation), 200, headers)


async def extend(call: Call, reservation_id: ReservationId) -> HTTPResponse:
    """200 with the hold and its new deadline. An event can allow one extension for each hold."""
    call.no_body()
    known = await _find(call, reservation_id)
    command = ExtendHold(known.event_id, call.user_id, call.deps.log_writer.next_id(), reservation_id)
    return await _changed(call, command)


async def cancel_tickets(call: Call, reservation_id: ReservationId) -> HTTPResponse:
    """200 with the remaining reservation; the named tickets are void, and refunded by the event's terms."""
    body = call.body(_cancel)
    known = await _find(call, reservation_id)
    tickets = [TicketId(one.lower()) for one in body.ticket_ids]
    command = CancelTickets(
        event_id=known.event_id,
        user_id=call.user_id,
        command_id=call.deps.log_writer.next_id(),
        reservation_id=reservation_id,
        ticket_ids=tickets,
    )
    return await _changed(call, command)


async def refund(call: Call, event_id: EventId, reservation_id: ReservationId) -> HTTPResponse:
    """200 with the buyer's reservation after the organizer has cancelled it, or single tickets, with a full refund.
    With an amount it is only refunded, once for each Idempotency-Key, and nothing is cancelled."""
    body = call.body(_refund)
    await owned(call, event_id)
    await _persisted(call, reservation_id)
    row = await call.deps.database.row("reservation_of_event", event_id, reservation_id)
    if row is None:
        raise for_reason(Reason.RESERVATION_NOT_FOUND, "the event has no such reservation", field="reservation_id")
    command: CancelTickets | RefundAmount
    if body.amount is UNSET:
        tickets = [TicketId(one.lower()) for one in body.ticket_ids]
        command = CancelTickets(
            event_id=event_id,
            user_id=call.user_id,
            command_id=call.deps.log_writer.next_id(),
            reservation_id=reservation_id,
            ticket_ids=tickets,
        )
    else:
        if body.ticket_ids:
            raise invalid("amount", "is not allowed together with ticket_ids")
        key = f"refund-{attempt_id(reservation_id, call.idempotency_key())}"
        command = RefundAmount(
            event_id=event_id,
            user_id=call.user_id,
            command_id=call.deps.log_writer.next_id(),
            reservation_id=reservation_id,
            amount_minor=body.amount,
            refund_key=key,
        )
    outcome = await write(call, command)
    row = await call.deps.database.row("reservation_of_event", event_id, reservation_id)
    if row is None or outcome.reply is None:
        return pending(reservation_id, f"/v1/events/{event_id}", outcome)
    return json(of_row(row), 200, replayed(outcome))


async def _changed(call: Call, command: ExtendHold | CancelTickets) -> HTTPResponse:
    """The caller's reservation after a command has changed it."""
    outcome = await submit(call.deps, command, call.wait_s(), traceparent=call.traceparent)
    _remember(call.deps, command, outcome)
    reply = accepted(outcome, reservation_id=command.reservation_id)
    if reply is None or reply.reservation is None:
        return pending(command.reservation_id, f"/v1/reservations/{command.reservation_id}", outcome)
    return json(of_view(reply.reservation), 200, replayed(outcome))


def _new_hold(view: ReservationView) -> ReservationOut:
    """A hold as it was decided. Its `now` is the log time of the decision, because deadlines count in log time. So the
    same key gets the same answer, byte for byte."""
    if not view.asked_at:  # from an older worker, which does not send it
        return of_view(view)
    return msgspec.structs.replace(of_view(view), now=utc(view.asked_at))


def of_view(view: ReservationView) -> ReservationOut:
    """A reservation of the dataflow's reply, as the API shows it."""
    return ReservationOut(
        id=view.id,
        status=view.status,
        event_id=view.event_id,
        ticket_type_id=view.ticket_type_id,
        seats=view.seats,
        quantity=view.quantity,
        amount=view.amount_minor,
        currency=view.currency or None,
        expires_at=validation.moment_or_none(view.expires_at),
        payment=_payment(view.payment, view.amount_minor),
        reason=view.reason or None,
        detail=view.detail or None,
        position=PositionOut(view.partition, view.offset),
    )


def of_row(row: asyncpg.Record) -> ReservationOut:
    """A reservation from a projected row, as the API shows it."""
    return ReservationOut(
        id=row["id"],
        status=row["status"],
        event_id=row["event_id"],
        ticket_type_id=row["ticket_type_id"],
        seats=row["seats"],
        quantity=row["quantity"],
        amount=row["amount_minor"],
        currency=row["currency"] or None,
        expires_at=validation.moment_or_none(row["expires_at"]),
        payment=_payment(row["payment"], row["amount_minor"]),
        reason=row["reason"] or None,
        detail=row["detail"] or None,
        position=PositionOut(row["partition"], row["offset"]),
    )


async def _with_money(deps: ApiDeps, known: asyncpg.Record) -> ReservationOut:
    """A reservation with its refunds and disputes, all read at one moment."""
    if not known["payment_id"]:
        return of_row(known)
    row = await deps.database.row("money_of_reservation", known["event_id"], known["id"], MONEY_ROWS_MAX)
    if row is None:
        return of_row(known)
    refunds: list[dict[str, Any]] = msgspec.json.decode(row["refunds"])
    disputes: list[dict[str, Any]] = msgspec.json.decode(row["disputes"])
    return msgspec.structs.replace(
        of_row(row),
        kept=row["kept_minor"],
        owed=max(0, row["owed_minor"]),
        refunded=sum(one["refunded_minor"] for one in refunds if one["payment_id"] == row["payment_id"]),
        refunds=[_refund_out(one) for one in refunds],
        disputes=[_dispute_out(one) for one in disputes],
    )


def _refund_out(row: Mapping[str, Any]) -> RefundOut:
    return RefundOut(
        refund_id=row["refund_id"] or None,
        payment_id=row["payment_id"],
        status=row["status"],
        origin=row["origin"],
        amount=row["amount_minor"],
        currency=row["currency"],
        reason=row["failure"] or row["reason"] or None,
        requested_at=validation.moment_or_none(row["requested_at"]),
        refunded_at=validation.moment_or_none(row["refunded_at"]),
    )


def _dispute_out(row: Mapping[str, Any]) -> DisputeOut:
    return DisputeOut(
        dispute_id=row["dispute_id"],
        payment_id=row["payment_id"],
        status=row["status"],
        amount=row["amount_minor"],
        currency=row["currency"],
        reason=row["reason"] or None,
        opened_at=validation.moment_or_none(row["opened_at"]),
        closed_at=validation.moment_or_none(row["closed_at"]),
    )


async def _needs_no_token(call: Call, reservation_id: ReservationId) -> None:
    """Raises Problem if the rows show an amount to pay. The log decides the rest."""
    await own_writes(call)
    row = await call.deps.database.row("reservation_by_id", reservation_id)
    if row is not None and row["amount_minor"]:
        raise invalid("payment_token", f"is required: the price is {formatted(row['amount_minor'], row['currency'])}")


def _payment(payment: str, amount_minor: int) -> str | None:
    """The payment's status; None without a payment, and if there was nothing to pay."""
    return payment if payment and (amount_minor or payment != PaymentStatus.CAPTURED) else None


def _wanted(body: ReservationIn) -> tuple[list[str], int]:
    """The named seats and the number of places. Raises Problem unless the body has exactly one of the two."""
    if body.seats is UNSET:
        if body.quantity is UNSET:
            raise invalid("quantity", "is required unless seats are given")
        return [], body.quantity
    if body.quantity is not UNSET:
        raise invalid("quantity", "is not allowed together with seats")
    if len(set(body.seats)) != len(body.seats):
        raise invalid("seats", "names a seat twice")
    return body.seats, len(body.seats)


def _own_known(call: Call, reservation_id: ReservationId) -> PendingReservation | None:
    """This process's memory of the caller's reservation; None if there is none, or if it belongs to another user."""
    known = call.deps.memory.asked(reservation_id)
    return known if known is not None and known.user_id == call.user_id else None


async def _persisted(call: Call, reservation_id: ReservationId) -> None:
    """Wait, for a bounded time, until a buyer's reservation that this process knows has its row."""
    known = call.deps.memory.asked(reservation_id)
    if known is not None:
        await call.deps.watermarks.wait(known.partition, known.offset, PROJECTION_WAIT_MAX_S)


async def _announced(call: Call, reservation_id: ReservationId, timeout_s: float) -> PendingReservation:
    """The caller's reservation, which another process has written just now: its answer may be faster than its news.
    Raises Problem reservation-not-found."""
    known = await call.deps.memory.announced(reservation_id, call.user_id, timeout_s)
    if known is None:
        raise _not_found(reservation_id)
    return known


async def _find(call: Call, reservation_id: ReservationId) -> PendingReservation:
    """The caller's reservation and its event. Raises Problem reservation-not-found."""
    known = _own_known(call, reservation_id)
    if known is None:
        await own_writes(call)
        row = await call.deps.database.row("reservation_by_id", reservation_id)
        if row is None or row["user_id"] != call.user_id:
            return await _announced(call, reservation_id, ANNOUNCED_WITHIN_S)
        known = PendingReservation(row["user_id"], row["event_id"], row["partition"], row["offset"])
    return known


def _remember(deps: ApiDeps, command: _Changing, outcome: Outcome) -> None:
    deps.memory.reserved(command.reservation_id, command.user_id, command.event_id, outcome.partition, outcome.offset)


async def _paid_elsewhere(call: Call, outcome: Outcome, reply: Reply, deadline: float) -> Outcome:
    """The outcome, from the projection, of a payment that another request has begun and waits for."""
    deps, partition = call.deps, outcome.partition
    assert reply.reservation is not None
    while True:
        seen = deps.watermarks.applied(partition)
        row = await deps.database.row("reservation_of_event", reply.event_id, reply.reservation.id)
        if row is not None and seen >= outcome.offset and row["payment"] != PaymentStatus.REQUESTED:
            break
        left = deadline - monotonic()
        if left <= 0:
            return msgspec.structs.replace(outcome, reply=None)
        await deps.watermarks.wait(partition, seen + 1, left)
    view = _view(row)
    if view.status == ReservationStatus.CONFIRMED:
        settled = msgspec.structs.replace(reply, outcome=ReplyOutcome.ACCEPTED, reservation=view)
    else:
        reason = Reason.PAYMENT_DECLINED if view.payment == PaymentStatus.DECLINED else Reason.HOLD_EXPIRED
        settled = msgspec.structs.replace(
            reply, outcome=ReplyOutcome.REFUSED, reason=reason, detail=view.reason, reservation=view
        )
    return msgspec.structs.replace(outcome, reply=settled)


def _view(row: asyncpg.Record) -> ReservationView:
    names = ("created_at" if name == "asked_at" else name for name in ReservationView.__struct_fields__)
    return ReservationView(*(row[name] for name in names))


def _confirmed(deps: ApiDeps, view: ReservationView) -> ConfirmedOut:
    seats: list[str | None] = [*view.seats] or [None] * view.quantity
    tickets = [
        TicketCodeOut(ticket, seat, deps.codes.sign(ticket, view.event_id, seat or ""))
        for ticket, seat in zip(view.ticket_ids, seats, strict=True)
    ]
    return ConfirmedOut(
        id=view.id,
        status=view.status,
        event_id=view.event_id,
        ticket_type_id=view.ticket_type_id,
        seats=view.seats,
        quantity=view.quantity,
        amount=view.amount_minor,
        currency=view.currency,
        payment=_payment(view.payment, view.amount_minor),
        position=PositionOut(view.partition, view.offset),
        tickets=tickets,
    )


def _not_found(reservation_id: ReservationId) -> Problem:
    """The answer for a missing reservation, and for another user's."""
    return for_reason(
        Reason.RESERVATION_NOT_FOUND,
        "you have no such reservation",
        field="reservation_id",
        reservation_id=reservation_id,
    )
