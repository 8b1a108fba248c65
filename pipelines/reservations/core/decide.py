"""`decide(state, command, now)`: the rules. Pure: no clock, no I/O, no randomness; the same log gives the same facts.

A partition calls `step` for each command. A step has four parts, and each fact is folded at once:
1. work that is due by log time happens;
2. the command is decided on the state that is left;
3. offers of tickets end if their time is over;
4. free places are offered to the waiting list.

A refusal is a fact. Every command yields at least one fact. `schemas.facts.RULES_VERSION` numbers the rules. A change
of an answer needs a new number, and the old answer stays in `former_rules`.

A rule that raises has a defect, and it would raise again after every restart. So the command is refused: its first fact
is a `COMMAND_FAILED` refusal that names the error's class. The command changes nothing and cannot end the process.
A `ReserveInTurn` has several requests. Each is decided by the rule of `ReserveTickets` on the state that the requests
before it have left, so the facts are those of the same requests in records of their own. If the rule raises, the
requests before it stand, and the refusal says how many these are. The others are not decided.

A fact that cannot be folded (`NotFolded`) breaks its event's state. All later commands of that event are refused in the
same way. This ends when the event's facts are loaded again and can be folded.
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
from schemas import former_details
from schemas.former_details import UNFOLDED as UNFOLDED
from schemas.ids import LogTime, SubjectId
from schemas.requests_in_turn import requests_of

Rule = Callable[[EventState, Any, LogTime], list[f.Fact]]
_STEPS_MAX = limits.EXPIRIES_PER_COMMAND_MAX


class NotFolded(Exception):
    """A fact cannot be folded, so the state is wrong. The message names the fact and the reason."""


def step(state: EventState, command: c.Command, at: At, failures: list[Exception] | None = None) -> list[f.Fact]:
    """Do the due work, decide the command, offer free places. Fold every fact into `state`. At least one fact.

    Errors of the rules are appended to `failures`; the caller reports them to operators. Raises NotFolded.
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
    """`step` under the given rules. With `lapses`, offers of tickets end by themselves when their time is over."""
    if state.unfolded:
        if failures is not None:
            failures.append(NotFolded(f"event {state.event_id}: {state.unfolded}"))
        return [_refused(command, UNFOLDED + state.unfolded, unfolded=1)]
    facts: list[f.Fact] = []
    in_turn: int | None = None
    try:
        deadline = state.next_deadline()
        if deadline is not None and deadline <= at.log_time:
            _fold_some(state, at, facts, due(state, at.log_time, _STEPS_MAX), _STEPS_MAX)
        if type(command) is c.ReserveInTurn:
            in_turn, decided, reserve = 0, [], rules[c.ReserveTickets]
            for request in requests_of(command):
                _fold(state, at, facts, reserve(state, request, at.log_time))
                in_turn += 1
        else:
            decided = rules[type(command)](state, command, at.log_time)
    except DEFECTS as error:
        if failures is not None:
            failures.append(error)
        return [failed(command, type(error).__name__, in_turn), *facts]
    _fold(state, at, facts, decided)
    if state.transfers and lapses:  # after the decision: a late answer is refused as late, not as unknown
        _fold_some(state, at, facts, offers.lapsed(state, at.log_time, _STEPS_MAX), _STEPS_MAX)
    if state.waiting_of:
        _offer(state, at, facts, failures)
    else:
        state.more_work = False
    return facts


def failed(command: c.Command, error: str, in_turn: int | None = None) -> f.CommandRefused:
    """The answer to a command on which a rule raised an error of this class.

    `in_turn` is how many requests of a ReserveInTurn were decided before that.
    """
    return _refused(command, f"the rules raised {error}", amount=in_turn)


def _refused(command: c.Command, why: str, unfolded: int | None = None, amount: int | None = None) -> f.CommandRefused:
    return f.CommandRefused(
        command_type=type(command).__name__,
        subject_id=SubjectId(command.event_id),
        user_id=command.user_id,
        reason=f.Reason.COMMAND_FAILED,
        detail=why,
        amount=amount,
        unfolded=unfolded,
    )


def failed_before(state: EventState, command: c.Command, at: At, recorded: f.CommandRefused) -> list[f.Fact]:
    """The facts that `step` gave when the rules of an earlier build raised the error in `recorded`.

    The due work had happened, and the command changed nothing. If a fact could not be folded, nothing had happened. Of
    a ReserveInTurn, the requests before the error had been decided.
    """
    if is_unfolded(recorded):
        return [recorded]
    left = recorded.amount or 0

    def raises(state: EventState, command: c.Command, now: LogTime) -> list[f.Fact]:
        nonlocal left
        if not left:
            raise ValueError(recorded.detail)
        left -= 1
        return RULES[type(command)](state, command, now)

    answered_by = c.ReserveTickets if isinstance(command, c.ReserveInTurn) else type(command)
    return [recorded, *step_by({answered_by: raises}, state, command, at)[1:]]


def is_unfolded(recorded: f.CommandRefused) -> bool:
    """Whether a fact of the event could not be folded, so that nothing was decided."""
    return bool(recorded.unfolded) or former_details.is_unfolded(recorded.detail)


def decide(state: EventState, command: c.Command, now: LogTime) -> list[f.Fact]:
    """The facts that answer `command` for an event in `state` at log time `now`. At least one; changes nothing.

    Raises KeyError for a ReserveInTurn: `step` decides its requests.
    """
    return RULES[type(command)](state, command, now)


def _offer(state: EventState, at: At, facts: list[f.Fact], failures: list[Exception] | None) -> None:
    """Offer free places to the waiting list. A defect here does not change the command's own answer."""
    state.more_work = False
    try:
        state.more_work = _fold_some(
            state, at, facts, waitlist.offers(state, at.log_time), limits.OFFERS_PER_COMMAND_MAX
        )
    except DEFECTS as error:
        if failures is not None:
            failures.append(error)


def _fold_some(state: EventState, at: At, facts: list[f.Fact], steps: Iterator[list[f.Fact]], limit: int) -> bool:
    """Fold at most `limit` steps, each before the next is decided. Returns whether there may be more."""
    for number, happened in enumerate(steps, 1):
        _fold(state, at, facts, happened)
        if number >= limit:
            return True
    return False


def _fold(state: EventState, at: At, facts: list[f.Fact], decided: Sequence[f.Fact]) -> None:
    """Fold the decided facts and append them to `facts`. If a fact voids tickets, the offers of them end first.

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
"""By type of command, the rule that decides it. The requests of a ReserveInTurn have the rule of ReserveTickets."""
