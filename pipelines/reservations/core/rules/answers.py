"""Facts that many rules use as answers. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pipelines.reservations.core import entities as e
from pipelines.reservations.core import limits
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas import refusal_details
from schemas.facts import Reason
from schemas.ids import SubjectId
from schemas.statuses import EventStage


def duplicate(command: c.Command, subject: str) -> list[f.Fact]:
    """The same request came again. The first answer stands."""
    return [f.CommandDuplicated(type(command).__name__, SubjectId(subject), command.user_id)]


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A refusal by the rules: the reason, and in words what stands in the way.

    `field` of the request, the moment `at` and the `amount` are what the words name.
    """

    reason: Reason
    detail: str
    field: str | None = None
    at: int | None = None
    amount: int | None = None


class Flaw(NamedTuple):
    """A field of a request that is not valid, and what is wrong with it: "must be after starts_at"."""

    field: str
    text: str

    def why(self, reason: Reason) -> Refusal:
        """The refusal of the request."""
        return Refusal(reason, refusal_details.about(self.field, self.text), field=self.field)


def refused(command: c.Command, reason: Reason, detail: str, subject: str = "") -> list[f.Fact]:
    """A command other than a reservation is refused."""
    return refused_for(command, Refusal(reason, detail), subject)


def refused_for(command: c.Command, why: Refusal, subject: str = "") -> list[f.Fact]:
    """The same, for a reason whose words name a field, a moment or an amount."""
    return [
        f.CommandRefused(
            command_type=type(command).__name__,
            subject_id=SubjectId(subject or command.event_id),
            user_id=command.user_id,
            reason=why.reason,
            detail=why.detail[: limits.DETAIL_CHARS_MAX],
            field=why.field,
            at=why.at,
            amount=why.amount,
        )
    ]


def not_owner(state: EventState, command: c.Command) -> list[f.Fact] | None:
    """Why the caller may not change this event; None when they may."""
    if state.details is None or state.status == EventStage.DELETED:
        return refused(command, Reason.EVENT_NOT_FOUND, f"there is no event {command.event_id}")
    if state.details.organizer_id != command.user_id:
        return refused(command, Reason.NOT_OWNER, "only the event's organizer may do this")
    return None


def not_open(state: EventState, command: c.Command) -> list[f.Fact] | None:
    """Why the caller, or any user, may not change this event; None when the caller may."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if state.status == EventStage.CANCELLED:
        return refused(command, Reason.EVENT_CANCELLED, "the event is cancelled")
    if state.status == EventStage.ENDED:
        return refused(command, Reason.EVENT_ENDED, "the event is over")
    return None


def expired(hold: e.Reservation) -> f.HoldExpired:
    """The end of a hold whose deadline is reached."""
    return f.HoldExpired(
        reservation_id=hold.id,
        user_id=hold.user_id,
        ticket_type_id=hold.ticket_type_id,
        quantity=hold.quantity,
        seats=hold.seats,
    )


def released(hold: e.Reservation) -> f.HoldReleased:
    """The end of a hold before its deadline."""
    return f.HoldReleased(
        reservation_id=hold.id,
        user_id=hold.user_id,
        ticket_type_id=hold.ticket_type_id,
        quantity=hold.quantity,
        seats=hold.seats,
    )


def named(what: str, seats: list[str]) -> str:
    """A detail that names seats."""
    return f"{what}: {', '.join(seats)}"[: limits.DETAIL_CHARS_MAX]
