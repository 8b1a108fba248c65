"""Explains in words what happened to a reservation: for each type of fact, the rule that made it.

Pure. The words are made from the state before the fact. They name no other user: neither a ticket's new holder nor the
person who scanned it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.reservations.core import state as s
from pipelines.reservations.core.rules.paying import why_not_again
from pipelines.reservations.core.state import EventState, Reservation
from schemas import facts as f
from schemas.facts import Reason, RecordedFact
from schemas.ids import TicketTypeId, position_text
from schemas.money import formatted
from schemas.statuses import (
    ChoreKind,
    DisputeStatus,
    EventStage,
    PaymentStatus,
    RefundOrigin,
    TransferStatus,
    WaitlistStatus,
)
from schemas.times import rfc3339

REFUND_WORDS: dict[str, str] = {
    Reason.BUYER_CANCELLED: "the buyer cancelled within the terms",
    Reason.ORGANIZER_CANCELLED: "the organizer cancelled, and then all that was paid goes back",
    Reason.ORGANIZER_REFUNDED: "the organizer gives a part of what was paid back; the tickets stay as they are",
    Reason.EVENT_CANCELLED: "the event was cancelled, and then all that was paid goes back",
    Reason.HOLD_EXPIRED: "the payment came after the hold's deadline, and its places could not be had again",
    Reason.NOT_HELD: "the payment came when nothing was held for it any more",
    Reason.PAYMENT_DIFFERS: "another amount or currency than was asked for had arrived, and sells nothing",
    Reason.PAYMENT_TWICE: "a second payment of the same reservation was captured, and goes back",
    Reason.REFUNDED_AT_PROVIDER: "a part went back at the payment provider, so a refund of all was refused there",
    Reason.PAYMENT_DISPUTED: "the dispute is over, and what was owed when it began goes back",
}
CANCELLED_WORDS: dict[str, str] = {
    Reason.REFUNDED_AT_PROVIDER: "nothing is left of the payment: all of it was refunded at the payment provider",
    Reason.CHARGED_BACK: "nothing is left of the payment: the bank gave it back to the buyer",
}
FAILED_WORDS: dict[str, str] = {
    RefundOrigin.OURS: "the refund that was asked for",
    RefundOrigin.PROVIDER: "the refund that began at the payment provider",
    RefundOrigin.STRAY: "the refund of a payment that was not the reservation's",
}
DISPUTE_WORDS: dict[str, str] = {
    DisputeStatus.INQUIRY: "the buyer's bank asks about the payment: no money has moved, the tickets stay good",
    DisputeStatus.OPEN: (
        "the payment is disputed and the money withdrawn: its tickets open no door, and nothing is refunded"
    ),
    DisputeStatus.WON: "the dispute was won: the payment stands",
    DisputeStatus.LOST: "the dispute was lost: the bank gave the money to the buyer",
    DisputeStatus.CLOSED: "the bank's question came to nothing",
}
CONFIRMATION_WORDS: dict[str, str] = {
    Reason.EVENT_CANCELLED: "the event was cancelled: nothing of it is sold any more",
    Reason.HOLD_EXPIRED: "the hold's deadline had passed at this position",
    Reason.NOT_HELD: "nothing was held for it any more: it was given back, turned down or cancelled before",
}
SCAN_WORDS: dict[str, str] = {
    Reason.TICKET_NOT_FOUND: "the reservation never had such a ticket",
    Reason.TICKET_VOID: "the ticket was void: cancelled before this position",
    Reason.TICKET_SUPERSEDED: "the code was of an earlier holder: only the newest code of a ticket opens the door",
    Reason.ALREADY_CHECKED_IN: "a ticket opens the door once, and an earlier scan on the log had opened it",
    Reason.CHECK_IN_UNDONE: "this very scan had been taken back by the door, and does not count again",
    Reason.EVENT_CANCELLED: "the event was cancelled: its tickets open no door",
    Reason.PAYMENT_DISPUTED: "the payment is disputed: until the bank has decided, its tickets open no door",
}
REQUEST_WORDS: dict[str, str] = {
    Reason.RESERVATION_NOT_FOUND: "the caller had no such reservation at this position of the log",
    Reason.IDEMPOTENCY_KEY_REUSED: "one key is one request: it came again with something else in it",
    Reason.PAYMENT_TOKEN_REQUIRED: "it costs something, and no payment token came along",
    Reason.PAYMENT_IN_PROGRESS: "one payment at a time: another one was under way",
    Reason.HOLD_EXPIRED: "the hold's deadline had passed at this position",
    Reason.NOT_HELD: "nothing was held or bought for it at this position",
    Reason.EXTENSION_NOT_ALLOWED: "this event does not extend holds",
    Reason.REFUND_NOT_ALLOWED: "the event's terms let buyers cancel until a time, which had passed",
    Reason.TICKET_NOT_FOUND: "the reservation had no such ticket, or no longer",
    Reason.TRANSFER_NOT_ALLOWED: "a ticket that was handed on is its new holder's to give, and of no use to the former",
    Reason.ALREADY_CHECKED_IN: "a ticket that was used stays used",
    Reason.TRANSFER_NOT_FOUND: "there was no such offer at this position: it was answered, withdrawn or never made",
    Reason.ALREADY_OFFERED: "a ticket is offered to one at a time, and another offer of it was open",
    Reason.OFFER_EXPIRED: "the offer's deadline had passed at this position",
    Reason.PAYMENT_DISPUTED: "the payment is disputed: what becomes of the money, the bank decides",
    Reason.PAYMENT_NOT_FOUND: "the provider reported a payment that did not pay for this reservation",
    Reason.REFUND_NOT_FOUND: "the provider reported a refund that was never requested",
    Reason.REFUND_TOO_LARGE: "the provider reported a refund of more than was ever paid",
    Reason.CURRENCY_MISMATCH: "the provider reported another currency than that of the payment",
    Reason.INVALID_DISPUTE: "the provider reported an impossible dispute",
}
OFFER_WORDS: dict[str, str] = {
    TransferStatus.DECLINED: "it was declined",
    TransferStatus.WITHDRAWN: "it was withdrawn",
    TransferStatus.EXPIRED: "it was not answered in time",
    TransferStatus.CANCELLED: "the ticket was cancelled",
}
CHORE_WORDS: dict[str, str] = {
    ChoreKind.REMINDER: "all ticket holders are reminded once before the event begins",
    ChoreKind.EVENT_CHANGED: "all ticket holders get a message about the change",
    ChoreKind.EVENT_CANCELLED: "all ticket holders of a cancelled event get a message",
}


def in_words(state: EventState, recorded: RecordedFact) -> str:
    """Why this fact about a reservation exists. Covers every type of fact that can be about one."""
    fact = recorded.fact
    return _WORDS[type(fact)](state, fact, recorded.envelope)


def counts_what_is_free(fact: f.Fact) -> bool:
    """Whether the number of free places influenced this fact."""
    return isinstance(fact, f.WaitlistOffered | f.HoldReacquired | f.ConfirmationRefused)


def offered(state: EventState, fact: f.WaitlistOffered) -> str:
    """Why a waiting entry was offered places: the position since which it waits, and how many wait longer."""
    entry = state.waitlist[fact.entry_id]
    before = [
        other for other in state.waitlist.values()
        if other.ticket_type_id == entry.ticket_type_id
        and other.status == WaitlistStatus.WAITING
        and other.offset < entry.offset
    ]  # fmt: skip
    longer = f"; {len(before)} earlier entries asked for more than was free" if before else "; no entry waited longer"
    since = f"in the line since offset {entry.offset}"
    return f"freed places are offered to the longest waiting entry that fits: {since}{longer}"


def _places(seats: list[str], quantity: int) -> str:
    return ", ".join(seats) or f"{quantity} of general admission"


def _payment_requested(state: EventState, fact: f.PaymentRequested, _at_: f.Envelope) -> str:
    hold = state.reservations.get(fact.reservation_id)
    until = f", good until {rfc3339(hold.expires_at)}" if hold is not None else ""
    return f"a hold that stands{until}, is paid for: {formatted(fact.amount_minor, fact.currency)} to be charged"


def _confirmed(state: EventState, fact: f.ReservationConfirmed, at: f.Envelope) -> str:
    hold = state.reservations.get(fact.reservation_id)
    if not fact.payment_id:
        return "nothing was to be paid, so it is confirmed at once"
    if hold is not None and at.log_time >= hold.expires_at:
        return "the payment came late and the places were had again: confirmed all the same"
    return f"paid before the hold's deadline: {_places(fact.seats, fact.quantity)} are the buyer's"


def _confirmation_refused(state: EventState, fact: f.ConfirmationRefused, at: f.Envelope) -> str:
    words = CONFIRMATION_WORDS.get(fact.reason, str(fact.reason))
    hold = state.reservations.get(fact.reservation_id)
    if hold is None or fact.reason != Reason.HOLD_EXPIRED:
        return words
    if hold.payment != PaymentStatus.REQUESTED:  # nothing was charged: a request to pay does not bring places back
        return f"{words} ({rfc3339(hold.expires_at)}); nothing was charged"
    return f"{words} ({rfc3339(hold.expires_at)}), and {_not_again(state, hold)}"


def _not_again(state: EventState, hold: Reservation) -> str:
    """Why a late payment did not get its places again, by the rule itself."""
    why = why_not_again(state, hold)
    if why is None:
        return "the amount paid was not the hold's"
    if why.reason == Reason.LIMIT_EXCEEDED:
        return "the buyer has had as many as one may since"
    if why.reason != Reason.SEAT_TAKEN:
        return why.detail
    went = ((seat, _where_it_went(state, hold.ticket_type_id, seat)) for seat in hold.seats)
    return "; ".join(f"{seat} {where}" for seat, where in went if where)


def _where_it_went(state: EventState, ticket_type_id: TicketTypeId, seat: str) -> str:
    """What happened to a seat; "" if it is free."""
    seating = state.sections[ticket_type_id].seating
    if seating is None or seat not in seating:
        return "was not in the layout any more"
    if seating.is_free(seat):
        return ""
    for one in state.reservations.values():
        if one.status in s.LIVE and one.ticket_type_id == ticket_type_id and seat in one.seats:
            return f"had gone to the request at {position_text(one.partition, one.offset)} ({one.status})"
    return "had been held back or was another seller's"


def _refund_requested(_state: EventState, fact: f.RefundRequested, _at_: f.Envelope) -> str:
    why = REFUND_WORDS.get(fact.reason, str(fact.reason))
    return f"{why}: {formatted(fact.amount_minor, fact.currency)} to be given back"


def _declined(fact: f.PaymentDeclined) -> str:
    if fact.reason == Reason.PAYMENT_DIFFERS:
        return f"{REFUND_WORDS[fact.reason]}; another attempt may pay until the deadline"
    return "the payment provider declined; the hold stands until its deadline"


def _refunded(_state: EventState, fact: f.PaymentRefunded, _at_: f.Envelope) -> str:
    if fact.origin == RefundOrigin.PROVIDER:
        given = formatted(fact.amount_minor, fact.currency or "")
        return f"refunded at the payment provider, not asked for here: {given}, and so much less is left to refund"
    return "the payment provider has given the money back"


def _refund_failed(_state: EventState, fact: f.RefundFailed, _at_: f.Envelope) -> str:
    why = f" ({fact.reason})" if fact.reason else ""
    return f"{FAILED_WORDS.get(fact.origin, fact.origin)} failed{why}: {formatted(fact.amount_minor, fact.currency)}"


def _dispute(_state: EventState, fact: f.DisputeOpened | f.DisputeClosed, _at_: f.Envelope) -> str:
    return f"{DISPUTE_WORDS.get(fact.status, fact.status)} ({formatted(fact.amount_minor, fact.currency)})"


def _warned(_state: EventState, fact: f.HoldWarned, _at_: f.Envelope) -> str:
    return f"not paid for, and a minute or less before the deadline {rfc3339(fact.expires_at)}"


def _extended(_state: EventState, fact: f.HoldExtended, _at_: f.Envelope) -> str:
    return f"a hold is extended once, where the event allows it: to {rfc3339(fact.expires_at)}"


def _expired(state: EventState, fact: f.HoldExpired, _at_: f.Envelope) -> str:
    hold = state.reservations.get(fact.reservation_id)
    deadline = f" {rfc3339(hold.expires_at)}" if hold is not None else ""
    return (
        f"log time reached the deadline{deadline} and nothing was paid: {_places(fact.seats, fact.quantity)} free again"
    )


def _released(state: EventState, fact: f.HoldReleased, _at_: f.Envelope) -> str:
    why = "the event was cancelled" if state.status == EventStage.CANCELLED else "the buyer gave the hold back"
    return f"{why}: {_places(fact.seats, fact.quantity)} free again"


def _reacquired(_state: EventState, fact: f.HoldReacquired, _at_: f.Envelope) -> str:
    places = _places(fact.seats, fact.quantity)
    return f"paid after the deadline, but {places} were still free and within the limit: held again"


def _terms(state: EventState, fact: f.ReservationCancelled | f.TicketsCancelled) -> str:
    words = REFUND_WORDS.get(fact.reason, str(fact.reason))
    if fact.reason == Reason.BUYER_CANCELLED and state.details is not None and state.status != EventStage.CANCELLED:
        known = state.reservations.get(fact.reservation_id)
        kept = formatted(fact.kept_minor or 0, known.currency if known is not None else "")
        return f"{words}: {state.details.refund_percent} % go back, {kept} are kept"
    return words


def _cancelled(state: EventState, fact: f.ReservationCancelled, _at_: f.Envelope) -> str:
    words = CANCELLED_WORDS.get(fact.reason) or _terms(state, fact)
    if fact.withheld_minor:
        words += ", once the dispute of the payment is over"
    return f"{words}; {_places(fact.seats, fact.quantity)} free again"


def _tickets_cancelled(state: EventState, fact: f.TicketsCancelled, _at_: f.Envelope) -> str:
    terms = _terms(state, fact)
    return f"{terms}; {fact.quantity} of its tickets are void, {_places(fact.seats, fact.quantity)} free again"


def _transferred(_state: EventState, fact: f.TicketTransferred, _at_: f.Envelope) -> str:
    return (
        f"the ticket{_for(fact.seat)} was handed on: its code of version {fact.version} opens the door, no earlier one"
    )


def _ticket_offered(_state: EventState, fact: f.TransferOffered, _at_: f.Envelope) -> str:
    until = rfc3339(fact.expires_at)
    return f"the ticket{_for(fact.seat)} was offered to another user until {until}; its holder keeps it till then"


def _offer_ended(_state: EventState, fact: f.TransferEnded, _at_: f.Envelope) -> str:
    return f"the offer of the ticket{_for(fact.seat)} came to nothing: {OFFER_WORDS.get(fact.outcome, fact.outcome)}"


def _checked_in(_state: EventState, fact: f.CheckInAccepted, _at_: f.Envelope) -> str:
    return f"the first scan of the ticket{_for(fact.seat)} lets in: {_scan(fact.gate, fact.scanned_at)}"


def _check_in_refused(_state: EventState, fact: f.CheckInRefused, _at_: f.Envelope) -> str:
    words = SCAN_WORDS.get(fact.reason, str(fact.reason))
    return f"{words}: {_scan(fact.first_gate, fact.first_scanned_at)}" if fact.first_scanned_at else words


def _scan(gate: str, time_us: int) -> str:
    return f"{'gate ' + gate if gate else 'no gate named'}, {rfc3339(time_us)}"


def _for(seat: str) -> str:
    return f" for {seat}" if seat else ""


def _duplicated(_state: EventState, fact: f.CommandDuplicated, _at_: f.Envelope) -> str:
    return f"the same request ({fact.command_type}) came again: one key, one outcome, nothing changes"


def _refused(_state: EventState, fact: f.CommandRefused, _at_: f.Envelope) -> str:
    return f"{fact.command_type}: {REQUEST_WORDS.get(fact.reason, str(fact.reason))}"


def _told(_state: EventState, fact: f.HolderNotified, _at_: f.Envelope) -> str:
    changed = f" ({', '.join(fact.changed)})" if fact.changed else ""
    return CHORE_WORDS.get(fact.kind, fact.kind) + changed


def _always(words: str) -> Callable[[EventState, Any, f.Envelope], str]:
    return lambda _state, _fact, _at_: words


_WORDS: dict[type[f.Fact], Callable[[EventState, Any, f.Envelope], str]] = {
    f.WaitlistOffered: lambda state, fact, _at_: offered(state, fact),
    f.PaymentRequested: _payment_requested,
    f.PaymentDeclined: lambda _state, fact, _at_: _declined(fact),
    f.ReservationConfirmed: _confirmed,
    f.ConfirmationRefused: _confirmation_refused,
    f.RefundRequested: _refund_requested,
    f.PaymentRefunded: _refunded,
    f.RefundFailed: _refund_failed,
    f.DisputeOpened: _dispute,
    f.DisputeClosed: _dispute,
    f.HoldWarned: _warned,
    f.HoldExtended: _extended,
    f.HoldExpired: _expired,
    f.HoldReleased: _released,
    f.HoldReacquired: _reacquired,
    f.ReservationCancelled: _cancelled,
    f.TicketsCancelled: _tickets_cancelled,
    f.TicketTransferred: _transferred,
    f.TransferOffered: _ticket_offered,
    f.TransferEnded: _offer_ended,
    f.CheckInAccepted: _checked_in,
    f.CheckInRefused: _check_in_refused,
    f.CheckInReversed: _always("the door took a check-in back: the ticket opens the door again"),
    f.HolderNotified: _told,
    f.CommandDuplicated: _duplicated,
    f.CommandRefused: _refused,
}
