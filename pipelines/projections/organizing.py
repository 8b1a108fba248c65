"""Facts about events, ticket types, codes, blocks, staff and chores as row changes. Pure."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.projections.changes import (
    Changes,
    ChoreChange,
    CodeChange,
    EventChange,
    InvitationChange,
    PoolChange,
    ScheduleChange,
    SeatBlockChange,
    SeatLockChange,
    StaffChange,
    TicketTypeChange,
    as_json,
)
from schemas import facts as f
from schemas.event_terms import EventTerms
from schemas.facts import Envelope
from schemas.ids import NO_RESERVATION, UserId
from schemas.statuses import ChoreKind, CodeKind, EventStage, InvitationStatus
from schemas.terms import terms_of
from schemas.ticket_type_terms import FIXED, TICKET_TYPE_CHANGES, TicketTypeTerms

WHOLE_PERCENT = 100  # for a record without the refund term


def event_created(changes: Changes, at: Envelope, fact: f.EventCreated) -> None:
    """The event's row, as a draft."""
    change = _event(changes, at)
    change.organizer_id, change.status = fact.user_id, EventStage.DRAFT
    change.created_at, change.published_at, change.reminded_for = at.log_time, 0, 0
    change.cancelled_at, change.cancel_reason = 0, ""
    _described(change, fact)


def event_updated(changes: Changes, at: Envelope, fact: f.EventUpdated) -> None:
    """The event's row gets the terms of the fact."""
    _described(_event(changes, at), fact)


def event_published(changes: Changes, at: Envelope, _fact: f.EventPublished) -> None:
    """The event's row says that it is published, and since when."""
    change = _event(changes, at)
    change.status, change.published_at = EventStage.PUBLISHED, at.log_time


def event_cancelled(changes: Changes, at: Envelope, fact: f.EventCancelled) -> None:
    """The event's row says that it is cancelled, since when and why."""
    change = _event(changes, at)
    change.status, change.cancelled_at, change.cancel_reason = EventStage.CANCELLED, at.log_time, fact.reason


def event_is(status: EventStage) -> Callable[[Changes, Envelope, f.Fact], None]:
    """The change of a fact after which the event has this stage."""

    def change(changes: Changes, at: Envelope, _fact: f.Fact) -> None:
        _event(changes, at).status = status

    return change


def schedule_changed(changes: Changes, at: Envelope, fact: f.ScheduleChanged) -> None:
    """The row of the event's schedule, with all its activities."""
    activities = as_json(fact.activities)
    changes.schedules[at.event_id] = ScheduleChange(
        event_id=at.event_id,
        partition=at.partition,
        activities_json=activities,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def ticket_type_added(changes: Changes, at: Envelope, fact: f.TicketTypeAdded) -> None:
    """The ticket type's row."""
    changes.ticket_types[at.event_id, fact.ticket_type_id] = TicketTypeChange(
        id=fact.ticket_type_id,
        event_id=at.event_id,
        partition=at.partition,
        terms=TicketTypeTerms(**terms_of(TicketTypeTerms, fact)),
        ordinal=fact.ordinal,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def ticket_type_updated(changes: Changes, at: Envelope, fact: f.TicketTypeUpdated) -> None:
    """The ticket type's row gets the terms of the fact. Its fixed terms and its ordinal stay."""
    key = (at.event_id, fact.ticket_type_id)
    former = changes.ticket_types.get(key)
    fixed = dict.fromkeys(FIXED, "") if former is None else terms_of(TicketTypeTerms, former.terms, FIXED)
    changes.ticket_types[key] = TicketTypeChange(
        id=fact.ticket_type_id,
        event_id=at.event_id,
        partition=at.partition,
        terms=TicketTypeTerms(**terms_of(TicketTypeTerms, fact, TICKET_TYPE_CHANGES), **fixed),
        ordinal=None if former is None else former.ordinal,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def pool_changed(changes: Changes, at: Envelope, fact: f.PoolChanged) -> None:
    """The pool's row, with its name and capacity."""
    changes.pools[at.event_id, fact.pool_id] = PoolChange(
        event_id=at.event_id,
        id=fact.pool_id,
        partition=at.partition,
        name=fact.name,
        capacity=fact.capacity,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def code_added(changes: Changes, at: Envelope, fact: f.CodeAdded) -> None:
    """The code's row."""
    changes.codes[at.event_id, fact.code_id] = CodeChange(
        event_id=at.event_id,
        id=fact.code_id,
        partition=at.partition,
        code=fact.code,
        kind=CodeKind(fact.kind),
        value=fact.value,
        uses_max=fact.uses_max,
        places_max=fact.places_max or 0,
        ticket_type_ids_json=as_json(fact.ticket_type_ids),
        valid_from_at=fact.valid_from_at,
        valid_until_at=fact.valid_until_at,
        disabled=False,
        created_at=at.log_time,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def code_disabled(changes: Changes, at: Envelope, fact: f.CodeDisabled) -> None:
    """The code's row says that the code is disabled."""
    key = (at.event_id, fact.code_id)
    change = changes.codes.get(key)
    if change is None:
        change = changes.codes[key] = CodeChange(at.event_id, fact.code_id, at.partition)
    change.disabled, change.updated_offset, change.updated_index = True, at.offset, at.index


def seats_blocked(changes: Changes, at: Envelope, fact: f.SeatsBlocked) -> None:
    """The block's row, with its seats or its quantity."""
    changes.seat_blocks[at.event_id, fact.block_id] = SeatBlockChange(
        event_id=at.event_id,
        id=fact.block_id,
        partition=at.partition,
        offset=at.offset,
        ticket_type_id=fact.ticket_type_id,
        seats=fact.seats,
        quantity=fact.quantity,
        until_at=fact.until_at,
        label=fact.label,
        created_at=at.log_time,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def seats_unblocked(changes: Changes, at: Envelope, fact: f.SeatsUnblocked) -> None:
    """The block's row loses the seats or the quantity that the fact names. The name of the release stays in it."""
    key = (at.event_id, fact.block_id)
    change = changes.seat_blocks.get(key)
    if change is None:
        change = changes.seat_blocks[key] = SeatBlockChange(at.event_id, fact.block_id, at.partition)
    change.updated_offset, change.updated_index = at.offset, at.index
    if fact.release_id:
        change.releases = [*change.releases, fact.release_id]
    if change.seats is None:
        change.seats_gone = change.seats_gone + fact.seats
        change.quantity_less += fact.quantity
    else:
        gone = set(fact.seats)
        change.seats = [seat for seat in change.seats if seat not in gone]
        change.quantity -= fact.quantity


def staff_added(changes: Changes, at: Envelope, fact: f.StaffAdded) -> None:
    """The member's row among the staff. An invitation of the member, if there was one, is accepted."""
    changes.staff[at.event_id, fact.member_id] = StaffChange(
        event_id=at.event_id,
        member_id=fact.member_id,
        partition=at.partition,
        active=True,
        added_at=at.log_time,
        updated_offset=at.offset,
        updated_index=at.index,
    )
    _invitation_ended(changes, at, fact.member_id, InvitationStatus.ACCEPTED)


def staff_invited(changes: Changes, at: Envelope, fact: f.StaffInvited) -> None:
    """The invitation's row."""
    changes.invitations[at.event_id, fact.member_id] = InvitationChange(
        event_id=at.event_id,
        member_id=fact.member_id,
        partition=at.partition,
        status=InvitationStatus.INVITED,
        expires_at=fact.expires_at,
        invited_at=at.log_time,
        ended_at=0,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def staff_invitation_ended(changes: Changes, at: Envelope, fact: f.StaffInvitationEnded) -> None:
    """The invitation's row gets its outcome and its end."""
    _invitation_ended(changes, at, fact.member_id, InvitationStatus(fact.outcome))


def _invitation_ended(changes: Changes, at: Envelope, member_id: UserId, status: InvitationStatus) -> None:
    """End an invitation. Without one (under the rules before version 3) nothing changes."""
    key = (at.event_id, member_id)
    change = changes.invitations.get(key)
    if change is None:
        change = changes.invitations[key] = InvitationChange(at.event_id, member_id, at.partition, status)
    change.status, change.ended_at = status, at.log_time
    change.updated_offset, change.updated_index = at.offset, at.index


def staff_removed(changes: Changes, at: Envelope, fact: f.StaffRemoved) -> None:
    """The member's row among the staff is not active any more."""
    key = (at.event_id, fact.member_id)
    former = changes.staff.get(key)
    added_at = former.added_at if former is not None else 0
    changes.staff[key] = StaffChange(
        event_id=at.event_id,
        member_id=fact.member_id,
        partition=at.partition,
        active=False,
        added_at=added_at,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def locks_observed(changes: Changes, at: Envelope, fact: f.SeatLocksObserved) -> None:
    """The rows of the places that another seller has locked or freed."""
    for places, locked in ((fact.freed, False), (fact.locked, True)):
        for place in places:
            changes.seat_locks[at.event_id, place] = SeatLockChange(
                event_id=at.event_id,
                place=place,
                partition=at.partition,
                locked=locked,
                updated_offset=at.offset,
                updated_index=at.index,
            )


def chore_started(changes: Changes, at: Envelope, fact: f.ChoreStarted) -> None:
    """The chore's row. A started reminder is noted in the event's row, too."""
    kind = ChoreKind(fact.kind)
    changes.chores[at.event_id, kind] = ChoreChange(
        event_id=at.event_id,
        kind=kind,
        partition=at.partition,
        cause=fact.cause,
        changed_json=as_json(fact.changed),
        told_id=NO_RESERVATION,
        finished=False,
        started_at=at.log_time,
        updated_offset=at.offset,
        updated_index=at.index,
    )
    _reminded(changes, at, fact)


def holder_notified(changes: Changes, at: Envelope, fact: f.HolderNotified) -> None:
    """The chore's row names the last reservation whose holder has the message."""
    _chore(changes, at, ChoreKind(fact.kind)).told_id = fact.reservation_id  # a cancelled event has no such chore


def chore_finished(changes: Changes, at: Envelope, fact: f.ChoreFinished) -> None:
    """The chore's row is finished. A finished reminder is noted in the event's row, too."""
    _chore(changes, at, ChoreKind(fact.kind)).finished = True
    _reminded(changes, at, fact)


def _reminded(changes: Changes, at: Envelope, fact: f.ChoreStarted | f.ChoreFinished) -> None:
    if fact.kind == ChoreKind.REMINDER:
        _event(changes, at).reminded_for = fact.cause


def _chore(changes: Changes, at: Envelope, kind: ChoreKind) -> ChoreChange:
    key = (at.event_id, kind)
    change = changes.chores.get(key)
    if change is None:
        change = changes.chores[key] = ChoreChange(at.event_id, kind, at.partition)
    change.updated_offset, change.updated_index = at.offset, at.index
    return change


def _event(changes: Changes, at: Envelope) -> EventChange:
    change = changes.events.get(at.event_id)
    if change is None:
        change = changes.events[at.event_id] = EventChange(at.event_id, at.partition)
    change.updated_offset, change.updated_index = at.offset, at.index
    return change


def _described(change: EventChange, fact: f.EventCreated | f.EventUpdated) -> None:
    change.terms = EventTerms(**terms_of(EventTerms, fact))
