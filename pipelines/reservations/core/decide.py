"""`decide(state, command, now)`: the rules. Pure: no clock, no I/O, no randomness; the same log gives the same facts.

`step` is what a partition does with each command: first what is due by log time happens, then the command is decided
on what that leaves, then offers of tickets that nobody answered in time end, then what is free is offered to whoever
waits for it, each fact folded at once. A refusal is a fact; every command yields at least one. The rules are numbered
by `schemas.facts.RULES_VERSION`; whoever changes an answer raises it and keeps the old answer (`former_rules`).

A rule that raises is a defect, and the same defect at every start: the command is answered by a refusal that names the
error's class (`COMMAND_FAILED`, the first of its facts) and has changed nothing, so that it cannot end the process for
ever. A fact that cannot be folded (`NotFolded`) breaks the state of its event: from there on that event's commands are
refused in the same way, and change nothing, until its facts are loaded and can be folded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import DEFECTS, evolve, not_folded
from pipelines.reservations.core.rules import door, inventory, offers, organizer, paying, provider, reserving, waitlist
from pipelines.reservations.core.rules.due import due
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.ids import LogTime

Rule = Callable[[EventState, Any, LogTime], list[f.Fact]]
_STEPS_MAX = limits.EXPIRIES_PER_COMMAND_MAX


UNFOLDED = "a fact of this event cannot be folded: "
"""How the detail of a refusal begins that says so."""


class NotFolded(Exception):
    """A fact cannot be folded: the state is not what the rules take it for. The message names the fact, and why."""


def step(state: EventState, command: c.Command, at: At, failures: list[Exception] | None = None) -> list[f.Fact]:
    """Do what is due, decide the command, offer what is free; fold all of it into `state`. At least one fact.

    What the rules raised is appended to `failures`, for whoever tells operators of it. Raises NotFolded.
    """
    return step_by(RULES, state, command, at, failures)


def step_by(
    rules: Mapping[type[c.Command], Rule],
    state: EventState,
    command: c.Command,
    at: At,
    failures: list[Exception] | None = None,
    *,
    lapses: bool = True,
) -> list[f.Fact]:
    """`step` under the rules given. `lapses`: whether offers of tickets end by themselves."""
    if state.unfolded:
        if failures is not None:
            failures.append(NotFolded(f"event {state.event_id}: {state.unfolded}"))
        return [_refused(command, UNFOLDED + state.unfolded)]
    facts: list[f.Fact] = []
    try:
        deadline = state.next_deadline()
        if deadline is not None and deadline <= at.log_time:
            _fold_some(state, at, facts, due(state, at.log_time, _STEPS_MAX), _STEPS_MAX)
        decided = rules[type(command)](state, command, at.log_time)
    except DEFECTS as error:
        if failures is not None:
            failures.append(error)
        return [failed(command, type(error).__name__), *facts]
    _fold(state, at, facts, decided)
    if state.transfers and lapses:  # behind the decision: an answer that comes too late is told so
        _fold_some(state, at, facts, offers.lapsed(state, at.log_time, _STEPS_MAX), _STEPS_MAX)
    if state.waiting_of:
        _offer(state, at, facts, failures)
    else:
        state.more_work = False
    return facts


def failed(command: c.Command, error: str) -> f.CommandRefused:
    """The answer to a command on which a rule raised an error of this class."""
    return _refused(command, f"the rules raised {error}")


def _refused(command: c.Command, why: str) -> f.CommandRefused:
    return f.CommandRefused(
        command_type=type(command).__name__,
        subject_id=command.event_id,
        user_id=command.user_id,
        reason=f.Reason.COMMAND_FAILED,
        detail=why,
    )


def failed_before(state: EventState, command: c.Command, at: At, recorded: f.CommandRefused) -> list[f.Fact]:
    """What `step` gave when a build's rules raised what `recorded` says, whatever these rules would do: what was due
    happened, and the command changed nothing. Where a fact could not be folded, nothing at all happened."""
    if recorded.detail.startswith(UNFOLDED):
        return [recorded]

    def raises(_state: EventState, _command: c.Command, _now: LogTime) -> list[f.Fact]:
        raise ValueError(recorded.detail)

    return [recorded, *step_by({type(command): raises}, state, command, at)[1:]]


def decide(state: EventState, command: c.Command, now: LogTime) -> list[f.Fact]:
    """What becomes of `command` for an event in `state` at log time `now`. At least one fact; changes nothing."""
    return RULES[type(command)](state, command, now)


def _offer(state: EventState, at: At, facts: list[f.Fact], failures: list[Exception] | None) -> None:
    """Offer what is free. A defect in that leaves the command's own answer as it is."""
    state.more_work = False
    try:
        state.more_work = _fold_some(
            state, at, facts, waitlist.offers(state, at.log_time), limits.OFFERS_PER_COMMAND_MAX
        )
    except DEFECTS as error:
        if failures is not None:
            failures.append(error)


def _fold_some(state: EventState, at: At, facts: list[f.Fact], steps: Iterator[list[f.Fact]], limit: int) -> bool:
    """Fold at most `limit` steps, each before the next is decided. Whether there may be more of them."""
    for number, happened in enumerate(steps, 1):
        _fold(state, at, facts, happened)
        if number >= limit:
            return True
    return False


def _fold(state: EventState, at: At, facts: list[f.Fact], decided: Sequence[f.Fact]) -> None:
    """Fold what was decided, and note it; where tickets are void with it, the offers of them end first.

    Raises NotFolded.
    """
    fact: f.Fact | None = None
    try:
        for fact in decided:
            if state.transfers:
                for end in offers.ended_with(state, fact):
                    evolve(state, end, at)
                    facts.append(end)
            evolve(state, fact, at)
            facts.append(fact)
    except DEFECTS as error:
        state.unfolded = not_folded(fact, at, error)
        raise NotFolded(f"event {state.event_id}: {state.unfolded}: {error}") from error


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
