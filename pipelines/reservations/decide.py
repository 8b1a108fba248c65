"""`decide(state, command, now)`: the rules. Pure: no clock, no I/O, no randomness; the same log gives the same facts.

`step` is what a partition does with each command: first what is due by log time happens, then the command is decided
on what that leaves, then what is free is offered to whoever waits for it, each fact folded at once. A refusal is a
fact; every command yields at least one. The rules are numbered by `schemas.facts.RULES_VERSION`; whoever changes an
answer raises it and keeps the old answer (`former_rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipelines.reservations import limits
from pipelines.reservations.entities import At
from pipelines.reservations.evolve import evolve
from pipelines.reservations.rules import door, inventory, offers, organizer, paying, provider, reserving, waitlist
from pipelines.reservations.rules.due import due
from pipelines.reservations.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.ids import LogTime

Rule = Callable[[EventState, Any, LogTime], list[f.Fact]]
_STEPS_MAX = limits.EXPIRIES_PER_COMMAND_MAX


def step(state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """Do what is due, decide the command, offer what is free; fold all of it into `state`. At least one fact."""
    return step_by(RULES, state, command, at)


def step_by(rules: Mapping[type[c.Command], Rule], state: EventState, command: c.Command, at: At) -> list[f.Fact]:
    """`step` under the rules given."""
    facts: list[f.Fact] = []
    deadline = state.next_deadline()
    if deadline is not None and deadline <= at.log_time:
        _fold_some(state, at, facts, due(state, at.log_time, _STEPS_MAX), _STEPS_MAX)
    _fold(state, at, facts, rules[type(command)](state, command, at.log_time))
    state.more_work = bool(state.waiting_of) and _fold_some(
        state, at, facts, waitlist.offers(state, at.log_time), limits.OFFERS_PER_COMMAND_MAX
    )
    return facts


def decide(state: EventState, command: c.Command, now: LogTime) -> list[f.Fact]:
    """What becomes of `command` for an event in `state` at log time `now`. At least one fact; changes nothing."""
    return RULES[type(command)](state, command, now)


def _fold_some(state: EventState, at: At, facts: list[f.Fact], steps: Iterator[list[f.Fact]], limit: int) -> bool:
    """Fold at most `limit` steps, each before the next is decided. Whether there may be more of them."""
    for number, happened in enumerate(steps, 1):
        _fold(state, at, facts, happened)
        if number >= limit:
            return True
    return False


def _fold(state: EventState, at: At, facts: list[f.Fact], decided: list[f.Fact]) -> None:
    """Fold what was decided, and note it; where tickets are void with it, the offers of them end first."""
    for fact in decided:
        if state.transfers:
            for end in offers.ended_with(state, fact):
                evolve(state, end, at)
                facts.append(end)
        evolve(state, fact, at)
        facts.append(fact)


def _tick(_state: EventState, _command: c.Tick, _now: LogTime) -> list[f.Fact]:
    return [f.TickObserved()]


RULES: dict[type[c.Command], Rule] = {
    c.CreateEvent: organizer.create_event,
    c.UpdateEvent: organizer.update_event,
    c.PublishEvent: organizer.publish_event,
    c.DeleteEvent: organizer.delete_event,
    c.CancelEvent: organizer.cancel_event,
    c.SetSchedule: organizer.set_schedule,
    c.AddStaff: offers.invite,
    c.AnswerInvitation: offers.answer_invitation,
    c.RemoveStaff: offers.remove_staff,
    c.AddTicketType: inventory.add_ticket_type,
    c.UpdateTicketType: inventory.update_ticket_type,
    c.SetPool: inventory.set_pool,
    c.AddCode: inventory.add_code,
    c.DisableCode: inventory.disable_code,
    c.BlockSeats: inventory.block_seats,
    c.UnblockSeats: inventory.unblock_seats,
    c.ReserveTickets: reserving.reserve,
    c.ExtendHold: paying.extend,
    c.ConfirmReservation: paying.confirm,
    c.RecordPayment: provider.record_payment,
    c.RecordRefund: provider.record_refund,
    c.RecordProviderRefund: provider.record_provider_refund,
    c.RecordRefundFailure: provider.record_refund_failure,
    c.RecordDispute: provider.record_dispute,
    c.ReleaseReservation: paying.release,
    c.RefundAmount: provider.refund_amount,
    c.CancelTickets: paying.cancel_tickets,
    c.TransferTicket: offers.offer,
    c.AnswerTransfer: offers.answer,
    c.CheckIn: door.check_in,
    c.UndoCheckIn: door.undo_check_in,
    c.JoinWaitlist: waitlist.join,
    c.LeaveWaitlist: waitlist.leave,
    c.Tick: _tick,
}
"""By type of command, the rule that decides it."""
