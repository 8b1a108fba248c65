"""The rules of former versions, as far as they answered otherwise: what verifies old logs. Pure; decides nothing new.

Version 1 (until 2026-11): money that came after a hold's deadline always went back, a buyer could cancel at any time,
events did not end by themselves, and nobody was warned, reminded or offered anything.

Version 2 (until 2026-11-29): shares of a price were rounded down to the minor unit, each by itself; a payment token
counted even where nothing was to be paid; nobody had to wait after holds that ran out or cards that were declined;
an event had any number of seats; an offer of a ticket ended when somebody asked for it after its time, and else never.
"""

from __future__ import annotations

from functools import partial

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core import limits
from pipelines.reservations.core.decide import RULES, Rule, step_by
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.rules import door, inventory, organizer, paying, reserving, waitlist
from pipelines.reservations.core.rules.answers import duplicate, expired, not_owner, refused
from pipelines.reservations.core.shares import FORMER
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import LogTime

_TYPE_TERMS = ("max_per_order", "max_per_user", "hidden", "pool_id")


def step_1(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """What version 1 did with a command: holds that are due end, then it is decided."""
    facts: list[f.Fact] = [expired(hold) for hold in state.due(at.log_time, limits.EXPIRIES_PER_COMMAND_MAX)]
    for fact in facts:
        evolve(state, fact, at)
    decided = _RULES_1[type(command)](state, command, at.log_time)
    for fact in decided:
        evolve(state, fact, at)
    return facts + decided


def step_2(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """What version 2 did with a command."""
    return step_by(_RULES_2, state, command, at, lapses=False)


def _create_event(state: EventState, command: c.CreateEvent, now: LogTime) -> list[f.Fact]:
    return [_without(fact, organizer.TERMS) for fact in organizer.create_event(state, command, now)]


def _update_event(state: EventState, command: c.UpdateEvent, _now: LogTime) -> list[f.Fact]:
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    assert state.details is not None
    names = [name for name in c.UpdateEvent.__struct_fields__[3:] if getattr(command, name) is not None]
    details = msgspec.structs.replace(state.details, **{name: getattr(command, name) for name in names})
    if details == state.details:
        return duplicate(command, command.event_id)
    problem = organizer.problem_of(details)
    if problem:
        return refused(command, Reason.INVALID_SCHEDULE, problem)
    return [_without(f.EventUpdated(*organizer.fields_of(details)), organizer.TERMS)]


def _publish_event(state: EventState, command: c.PublishEvent, _now: LogTime) -> list[f.Fact]:
    return organizer.publish_event(state, command, LogTime(-1))  # over or not


def _add_ticket_type(state: EventState, command: c.AddTicketType, now: LogTime) -> list[f.Fact]:
    return [_without(fact, _TYPE_TERMS) for fact in inventory.add_ticket_type(state, command, now, bounded=False)]


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
    found = state.reservations.get(command.reservation_id)
    if found is not None and found.user_id == command.user_id and found.status == e.CONFIRMED:
        return paying.cancelled_whole(found, 100, Reason.BUYER_CANCELLED)
    return paying.release(state, command, now)


def _confirm_2(state: EventState, command: c.ConfirmReservation, now: LogTime) -> list[f.Fact]:
    """A token counted where nothing was to be paid, and none at all was asked for payment with."""
    hold = state.reservations.get(command.reservation_id)
    if hold is None or hold.user_id != command.user_id:
        return paying.confirm(state, command, now)
    if hold.attempt_id == command.attempt_id and hold.payment_token != command.payment_token:
        detail = "the same Idempotency-Key came with another payment_token"
        return refused(command, Reason.IDEMPOTENCY_KEY_REUSED, detail, hold.id)
    return paying.confirm(state, command, now, token_required=False, budget=False)


def _without(fact: f.Fact, names: tuple[str, ...]) -> f.Fact:
    """A fact as it was before these fields were added."""
    present = [name for name in names if name in fact.__struct_fields__]
    return msgspec.structs.replace(fact, **dict.fromkeys(present)) if present else fact


def _add_staff(state: EventState, command: c.AddStaff, _now: LogTime) -> list[f.Fact]:
    """Somebody may work at the door."""
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
    """They may no longer; who never could changes nothing."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if command.member_id not in state.staff:
        return duplicate(command, command.member_id)
    return [f.StaffRemoved(command.user_id, command.member_id)]


def _transfer(state: EventState, command: c.TransferTicket, _now: LogTime) -> list[f.Fact]:
    """A ticket was its receiver's at once."""
    found = door.to_hand_on(state, command)
    return found if isinstance(found, list) else [door.handed_on(found, command, None)]


def _reserve(state: EventState, command: c.ReserveTickets, now: LogTime) -> list[f.Fact]:
    """Drafts and hidden ticket types were told to whoever named them."""
    return reserving.reserve_by(_why_not, state, command, now, shares=FORMER)


def _why_not(
    state: EventState, section: e.Section | None, command: c.ReserveTickets, now: LogTime
) -> reserving.Why | None:
    why = reserving.not_on_offer(state, command)
    if why is not None or section is None:
        return why or reserving.no_type(command)
    return reserving.against(state, section, command, now)


def _join(state: EventState, command: c.JoinWaitlist, now: LogTime) -> list[f.Fact]:
    return waitlist.join_by(reserving.not_on_offer, state, command, now)


def _leave(state: EventState, command: c.LeaveWaitlist, _now: LogTime) -> list[f.Fact]:
    return waitlist.leave_waiting(state, command)


_RULES_2: dict[type[c.Command], Rule] = RULES | {
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
"""By type of command, where version 2 decided otherwise than the newest rules."""

_RULES_1: dict[type[c.Command], Rule] = _RULES_2 | {
    c.CreateEvent: _create_event,
    c.UpdateEvent: _update_event,
    c.PublishEvent: _publish_event,
    c.AddTicketType: _add_ticket_type,
    c.RecordPayment: _record_payment,
    c.ReleaseReservation: _release,
}
