"""Work that is due by log time, without a request: ends, warnings, reminders, and the rest of started work. Pure.

Guarantee: each fact is decided on the state after the facts before it. Only the state determines their order. Each
command does a bounded amount of this work. If work is left, the partition's owner writes a tick.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from pipelines.reservations.core import entities as e
from pipelines.reservations.core.entities import Chore, Reservation
from pipelines.reservations.core.rules.answers import expired, released
from pipelines.reservations.core.rules.inventory import unblocked
from pipelines.reservations.core.rules.paying import cancelled_whole
from pipelines.reservations.core.rules.waitlist import ended
from pipelines.reservations.core.shares import WHOLE
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import NOBODY, LogTime, UserId
from schemas.statuses import ChoreKind, EventStage, ReservationStatus


def due(state: EventState, now: LogTime, limit: int) -> Iterator[list[f.Fact]]:
    """The due work, step by step. The caller folds each step before it asks for the next."""
    for hold in state.due(now, limit):
        yield [expired(hold)]
    for key in state.warnings.due(now, limit):
        hold = state.reservations[key]
        if hold.status == ReservationStatus.HELD:
            yield [f.HoldWarned(hold.id, hold.user_id, hold.ticket_type_id, hold.expires_at)]
    for block_id in state.timed_blocks.due(now, limit):
        block = state.blocks[block_id]
        yield [unblocked(block, block.seats, block.quantity, NOBODY)]
    if state.status == EventStage.PUBLISHED and state.details is not None and state.details.ends_at <= now:
        yield [f.EventEnded()]
    yield from _reminder(state, now)
    for kind in sorted(state.chores):
        yield from _tell_everybody(state, state.chores[kind], limit)
    if state.status == EventStage.CANCELLED:
        yield from _undo(state, limit)
    if state.status in (EventStage.CANCELLED, EventStage.ENDED):
        reason = Reason.EVENT_CANCELLED if state.status == EventStage.CANCELLED else Reason.EVENT_ENDED
        waiting = (state.waitlist[entry] for entry in state.waiting_of.values())
        for entry in heapq.nsmallest(limit, waiting, key=lambda entry: (entry.offset, entry.id)):
            yield [ended(entry, reason)]


def _reminder(state: EventState, now: LogTime) -> Iterator[list[f.Fact]]:
    """The day before: remind all ticket holders, once for each date. A late reminder is recorded but not sent."""
    details = state.details
    if details is None or state.status != EventStage.PUBLISHED:
        return
    if details.reminder_at == state.reminded_for or details.reminder_at > now:
        return
    if details.reminder_at and now < details.starts_at:
        yield [f.ChoreStarted(ChoreKind.REMINDER, details.reminder_at, [])]
    else:
        yield [f.ChoreFinished(ChoreKind.REMINDER, details.reminder_at)]


def _tell_everybody(state: EventState, chore: Chore, limit: int) -> Iterator[list[f.Fact]]:
    """Messages to the next ticket holders, in the order of their requests; at the end, the chore is finished."""
    reached = (chore.told_offset, chore.told_id)
    rest = (
        one
        for one in state.reservations.values()
        if one.status == ReservationStatus.CONFIRMED and (one.offset, one.id) > reached
    )
    audience = heapq.nsmallest(limit, rest, key=lambda one: (one.offset, one.id))
    if state.status in (EventStage.CANCELLED, EventStage.DELETED):
        audience = []  # its holders get another message
    for reservation in audience:
        yield [_notified(state, reservation, user, chore) for user in _holders(state, reservation)]
    if len(audience) < limit:
        yield [f.ChoreFinished(chore.kind, chore.cause)]


def _undo(state: EventState, limit: int) -> Iterator[list[f.Fact]]:
    """Undo a cancelled event: holds end, tickets become void, payments go back, ticket holders get a message."""
    live = (one for one in state.reservations.values() if one.status in e.LIVE)
    for one in heapq.nsmallest(limit, live, key=lambda one: (one.offset, one.id)):
        if one.status == ReservationStatus.HELD:
            yield [released(one)]
            continue
        others = [user for user in _holders(state, one) if user != one.user_id]
        chore = Chore(ChoreKind.EVENT_CANCELLED, one.offset, [])
        notices: list[f.Fact] = [_notified(state, one, user, chore) for user in others]
        yield [*notices, *cancelled_whole(one, WHOLE, Reason.EVENT_CANCELLED, disputed=state.disputed(one.id))]


def _holders(state: EventState, reservation: Reservation) -> list[UserId]:
    """The current holders of a reservation's tickets."""
    if not state.tickets:
        return [reservation.user_id]
    return sorted({state.holder_of(reservation, ticket) for ticket in reservation.tickets()})


def _notified(state: EventState, reservation: Reservation, user: UserId, chore: Chore) -> f.HolderNotified:
    details = state.details
    assert details is not None
    return f.HolderNotified(
        kind=chore.kind,
        cause=chore.cause,
        reservation_id=reservation.id,
        user_id=user,
        changed=chore.changed,
        title=details.title,
        venue=details.venue,
        starts_at=details.starts_at,
        ends_at=details.ends_at,
        timezone=details.timezone,
    )
