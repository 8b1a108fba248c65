"""Rules for the organizer's commands about the event itself. Pure."""

from __future__ import annotations

import msgspec

from pipelines.reservations.core import limits
from pipelines.reservations.core.entities import Details
from pipelines.reservations.core.rules.answers import Flaw, duplicate, not_open, not_owner, refused, refused_for
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas.event_terms import EVENT_TERMS, EventTerms
from schemas.facts import Reason
from schemas.ids import LogTime
from schemas.statuses import ChoreKind, EventStage
from schemas.terms import terms_of

NOTIFIED_FIELDS = ("title", "venue", "starts_at", "ends_at", "timezone")
"""Ticket holders get a message when one of these fields changes."""
_REFUND_WHOLE = 100


def create_event(state: EventState, command: c.CreateEvent, _now: LogTime) -> list[f.Fact]:
    """Create a draft, unless the id is taken or the description contradicts itself."""
    if state.details is not None:
        if state.details.organizer_id == command.user_id and state.status != EventStage.DELETED:
            return duplicate(command, command.event_id)
        return refused(command, Reason.EVENT_EXISTS, "another organizer has an event with this id")
    details = Details(organizer_id=command.user_id, **terms_of(EventTerms, command))
    problem = problem_of(details)
    if problem is not None:
        return refused_for(command, problem.why(Reason.INVALID_SCHEDULE))
    return [f.EventCreated(user_id=details.organizer_id, **terms_of(EventTerms, details))]


def update_event(state: EventState, command: c.UpdateEvent, now: LogTime) -> list[f.Fact]:
    """Change the description. Ticket holders get a message if the change matters to them."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    assert state.details is not None
    details = changed(state.details, command)
    if details == state.details:
        return duplicate(command, command.event_id)
    problem = problem_of(details)
    if problem is None and state.status == EventStage.PUBLISHED and details.ends_at <= now:
        problem = Flaw("ends_at", "must not be in the past: the event is published")
    if problem is not None:
        return refused_for(command, problem.why(Reason.INVALID_SCHEDULE))
    facts: list[f.Fact] = [f.EventUpdated(user_id=details.organizer_id, **terms_of(EventTerms, details))]
    names = [name for name in NOTIFIED_FIELDS if getattr(details, name) != getattr(state.details, name)]
    if names and any(section.sold for section in state.sections.values()):
        facts.append(f.ChoreStarted(ChoreKind.EVENT_CHANGED, now, names))
    return facts


def publish_event(state: EventState, command: c.PublishEvent, now: LogTime) -> list[f.Fact]:
    """Publish a draft, once, and only before its end."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if state.status == EventStage.PUBLISHED:
        return duplicate(command, command.event_id)
    if state.status != EventStage.DRAFT:
        return refused(command, Reason.NOT_DRAFT, f"the event is {state.status}")
    assert state.details is not None
    if state.details.ends_at <= now:
        return refused(command, Reason.EVENT_ENDED, "the event is over")
    return [f.EventPublished(command.user_id)]


def delete_event(state: EventState, command: c.DeleteEvent, _now: LogTime) -> list[f.Fact]:
    """Delete a draft. A published event can only be cancelled."""
    if state.details is not None and state.status == EventStage.DELETED and _owns(state, command):
        return duplicate(command, command.event_id)
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if state.status != EventStage.DRAFT:
        return refused(command, Reason.NOT_DRAFT, f"the event is {state.status}; a published event can be cancelled")
    return [f.EventDeleted(command.user_id)]


def cancel_event(state: EventState, command: c.CancelEvent, _now: LogTime) -> list[f.Fact]:
    """Cancel the event. The rules in `due` then undo it, a bounded part with each command."""
    refusal = not_owner(state, command)
    if refusal is not None:
        return refusal
    if state.status == EventStage.CANCELLED:
        return duplicate(command, command.event_id)
    if state.status == EventStage.ENDED:
        return refused(command, Reason.EVENT_ENDED, "the event is over")
    if state.status != EventStage.PUBLISHED:
        return refused(command, Reason.EVENT_NOT_PUBLISHED, "a draft can be deleted")
    return [f.EventCancelled(command.user_id, command.reason)]


def set_schedule(state: EventState, command: c.SetSchedule, _now: LogTime) -> list[f.Fact]:
    """Replace the whole programme."""
    refusal = not_open(state, command)
    if refusal is not None:
        return refusal
    if len(command.activities) > limits.ACTIVITIES_PER_EVENT_MAX:
        return refused(
            command, Reason.TOO_MANY, f"a programme has at most {limits.ACTIVITIES_PER_EVENT_MAX} activities"
        )
    if command.activities == state.schedule:
        return duplicate(command, command.event_id)
    return [f.ScheduleChanged(command.user_id, command.activities)]


def changed(details: Details, command: c.UpdateEvent) -> Details:
    """The description after a command: what is None there stays."""
    given = {name: value for name in EVENT_TERMS if (value := getattr(command, name)) is not None}
    return msgspec.structs.replace(details, **given)


def problem_of(details: Details) -> Flaw | None:
    """The first contradiction in an event's description; None if there is none."""
    if details.ends_at <= details.starts_at:
        return Flaw("ends_at", "must be after starts_at")
    if details.sales_close_at and details.sales_close_at <= details.sales_open_at:
        return Flaw("sales_close_at", "must be after sales_open_at")
    if not limits.HOLD_TTL_S_MIN <= details.hold_ttl_s <= limits.HOLD_TTL_S_MAX:
        return Flaw("hold_ttl_s", f"must be {limits.HOLD_TTL_S_MIN} to {limits.HOLD_TTL_S_MAX}")
    if not 1 <= details.max_tickets_per_user <= limits.TICKETS_PER_USER_MAX:
        return Flaw("max_tickets_per_user", f"must be 1 to {limits.TICKETS_PER_USER_MAX}")
    if not 0 <= details.refund_percent <= _REFUND_WHOLE:
        return Flaw("refund_percent", f"must be 0 to {_REFUND_WHOLE}")
    for name in ("hold_extension_s", "offer_ttl_s"):
        if not 0 <= getattr(details, name) <= limits.HOLD_TTL_S_MAX:
            return Flaw(name, f"must be 0 to {limits.HOLD_TTL_S_MAX}")
    if not 0 <= details.max_tickets_per_order <= limits.SEATS_PER_ORDER_MAX:
        return Flaw("max_tickets_per_order", f"must be 0 to {limits.SEATS_PER_ORDER_MAX}")
    return None


def _owns(state: EventState, command: c.Command) -> bool:
    return state.details is not None and state.details.organizer_id == command.user_id
