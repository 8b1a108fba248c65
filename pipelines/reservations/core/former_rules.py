"""The rules of former versions, where their answers differ. They verify old logs and decide nothing new. Pure.

Version 1 (until 2026-11): a payment after a hold's deadline always went back. A buyer could cancel at any time. Events
did not end by themselves. There were no warnings, no reminders and no offers.

Version 3 (until 2026-11-29): a refusal had only words. It had no fields for what its words name.

Version 2 (until 2026-11-29): each share of a price was rounded down to the minor unit by itself. A payment token
counted even for a price of 0. Users did not have to wait after expired holds or declined cards. An event could have any
number of seats. An expired offer of a ticket ended only at a later command about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core import limits
from pipelines.reservations.core.decide import RULES, Rule, step_by
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.rules import door, inventory, organizer, paying, reserving, waitlist
from pipelines.reservations.core.rules.answers import Refusal, duplicate, expired, not_owner, refused, refused_for
from pipelines.reservations.core.shares import FORMER
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.event_terms import EventTerms
from schemas.facts import Reason
from schemas.ids import LogTime
from schemas.statuses import ReservationStatus
from schemas.terms import defaults, terms_of
from schemas.ticket_type_terms import TicketTypeTerms

_FIELDS = ("field", "at", "amount")
_TYPE_TERMS = ("max_per_order", "max_per_user", "hidden", "pool_id")


def step_1(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """The step of version 1: due holds end, then the command is decided."""
    facts: list[f.Fact] = [expired(hold) for hold in state.due(at.log_time, limits.EXPIRIES_PER_COMMAND_MAX)]
    for fact in facts:
        evolve(state, fact, at)
    decided = _RULES_1[type(command)](state, command, at.log_time)
    for fact in decided:
        evolve(state, fact, at)
    return facts + decided


def step_3(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """The step of version 3."""
    return step_by(_RULES_3, state, command, at)


def step_2(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """The step of version 2."""
    return step_by(_RULES_2, state, command, at, lapses=False)


def _create_event(state: EventState, command: c.CreateEvent, now: LogTime) -> list[f.Fact]:
    return [_without(fact, defaults(EventTerms)) for fact in organizer.create_event(state, command, now)]


def _update_event(state: EventState, command: c.UpdateEvent, _now: LogTime) -> list[f.Fact]:
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    assert state.details is not None
    details = organizer.changed(state.details, command)
    if details == state.details:
        return duplicate(command, command.event_id)
    problem = organizer.problem_of(details)
    if problem is not None:
        return refused_for(command, problem.why(Reason.INVALID_SCHEDULE))
    fact = f.EventUpdated(user_id=details.organizer_id, **terms_of(EventTerms, details))
    return [_without(fact, defaults(EventTerms))]


def _publish_event(state: EventState, command: c.PublishEvent, _now: LogTime) -> list[f.Fact]:
    return organizer.publish_event(state, command, LogTime(-1))  # over or not


def _add_ticket_type(state: EventState, command: c.AddTicketType, now: LogTime) -> list[f.Fact]:
    return [
        _without(fact, defaults(TicketTypeTerms))
        for fact in inventory.add_ticket_type(state, command, now, bounded=False)
    ]


def _record_payment(state: EventState, command: c.RecordPayment, now: LogTime) -> list[f.Fact]:
    facts = paying.record_payment(state, command, now)
    if not isinstance(facts[0], f.HoldReacquired):
        return facts
    hold = state.reservations[command.reservation_id]
    reason = Reason.HOLD_EXPIRED
    return [
        f.ConfirmationRefused(hold.id, hold.user_id, command.attempt_id, reason),
        paying.refund(hold, command.attempt_id, command.payment_id, command.amount_minor, reason),
    ]


def _release(state: EventState, command: c.ReleaseReservation, now: LogTime) -> list[f.Fact]:
    reservation = state.reservations.get(command.reservation_id)
    if (
        reservation is not None
        and reservation.user_id == command.user_id
        and reservation.status == ReservationStatus.CONFIRMED
    ):
        return paying.cancelled_whole(reservation, 100, Reason.BUYER_CANCELLED)
    return paying.release(state, command, now)


def _confirm_2(state: EventState, command: c.ConfirmReservation, now: LogTime) -> list[f.Fact]:
    """A payment token counted even for a price of 0, and a missing token was passed on to the provider."""
    hold = state.reservations.get(command.reservation_id)
    if hold is None or hold.user_id != command.user_id:
        return paying.confirm(state, command, now)
    if hold.attempt_id == command.attempt_id and hold.payment_token != command.payment_token:
        detail = "the same Idempotency-Key came with another payment_token"
        return refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, hold.id)
    return paying.confirm(state, command, now, token_required=False, budget=False)


def _without(fact: f.Fact, names: Iterable[str]) -> f.Fact:
    """A fact as it was before these fields were added."""
    present = [name for name in names if name in fact.__struct_fields__]
    return msgspec.structs.replace(fact, **dict.fromkeys(present)) if present else fact


def _add_staff(state: EventState, command: c.AddStaff, _now: LogTime) -> list[f.Fact]:
    """A user may work at the door at once, without an invitation."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if command.member_id in state.staff:
        return duplicate(command, command.member_id)
    if len(state.staff) >= limits.STAFF_PER_EVENT_MAX:
        return refused(
            command, Reason.TOO_MANY, f"an event has at most {limits.STAFF_PER_EVENT_MAX} people at its door"
        )
    return [f.StaffAdded(command.user_id, command.member_id)]


def _remove_staff(state: EventState, command: c.RemoveStaff, _now: LogTime) -> list[f.Fact]:
    """A user may no longer work at the door. For a user who never could, nothing changes."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if command.member_id not in state.staff:
        return duplicate(command, command.member_id)
    return [f.StaffRemoved(command.user_id, command.member_id)]


def _transfer(state: EventState, command: c.TransferTicket, _now: LogTime) -> list[f.Fact]:
    """A ticket was its receiver's at once, without an offer."""
    handing = door.to_hand_on(state, command)
    return handing if isinstance(handing, list) else [door.handed_on(handing, command, None)]


def _reserve(state: EventState, command: c.ReserveTickets, now: LogTime) -> list[f.Fact]:
    """A caller who named a draft or a hidden ticket type learned that it exists."""
    return reserving.reserve_by(_why_not, state, command, now, shares=FORMER)


def _why_not(state: EventState, section: e.Section | None, command: c.ReserveTickets, now: LogTime) -> Refusal | None:
    why = reserving.not_on_offer(state, command)
    if why is not None or section is None:
        return why or reserving.no_type(command)
    return reserving.against(state, section, command, now)


def _join(state: EventState, command: c.JoinWaitlist, now: LogTime) -> list[f.Fact]:
    return waitlist.join_by(reserving.not_on_offer, state, command, now)


def _leave(state: EventState, command: c.LeaveWaitlist, _now: LogTime) -> list[f.Fact]:
    return waitlist.leave_waiting(state, command)


def _in_words(rules: Mapping[type[c.Command], Rule]) -> dict[type[c.Command], Rule]:
    """The rules, with refusals that have only words."""
    return {command: partial(_without_fields, rule) for command, rule in rules.items()}


def _without_fields(rule: Rule, state: EventState, command: c.Command, now: LogTime) -> list[f.Fact]:
    return [
        _without(fact, _FIELDS) if isinstance(fact, f.CommandRefused | f.ReservationRejected) else fact
        for fact in rule(state, command, now)
    ]


_RULES_3 = _in_words(RULES)
"""By type of command, the rules of version 3."""

_RULES_2: dict[type[c.Command], Rule] = _RULES_3 | _in_words(
    {
        c.RecordPayment: paying.record_payment,
        c.ReserveTickets: _reserve,
        c.JoinWaitlist: _join,
        c.AddStaff: _add_staff,
        c.RemoveStaff: _remove_staff,
        c.TransferTicket: _transfer,
        c.ConfirmReservation: _confirm_2,
        c.AddTicketType: partial(inventory.add_ticket_type, bounded=False),
        c.UpdateTicketType: partial(inventory.update_ticket_type, bounded=False),
        c.ReleaseReservation: partial(paying.release, shares=FORMER),
        c.CancelTickets: partial(paying.cancel_tickets, shares=FORMER),
        c.LeaveWaitlist: _leave,
    }
)
"""By type of command, the rules of version 2 that differ from the newest ones."""

_RULES_1: dict[type[c.Command], Rule] = _RULES_2 | _in_words(
    {
        c.CreateEvent: _create_event,
        c.UpdateEvent: _update_event,
        c.PublishEvent: _publish_event,
        c.AddTicketType: _add_ticket_type,
        c.RecordPayment: _record_payment,
        c.ReleaseReservation: _release,
    }
)
