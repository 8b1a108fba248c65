"""Facts about the waiting list. `schemas.facts` lists all facts."""

from __future__ import annotations

from schemas.field_types import Int32
from schemas.ids import EntryId, ReservationId, TicketTypeId, UserId
from schemas.recorded_facts import Fact


class WaitlistJoined(Fact, frozen=True, gc=False):
    """Somebody waits for places; first come, first offered. `mailbox` is TicketsHeld's, for what is offered."""

    entry_id: EntryId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    mailbox: int | None = None


class WaitlistOffered(Fact, frozen=True, gc=False):
    """Places are free for who waited longest: a hold (the TicketsHeld after this) until `expires_at`."""

    entry_id: EntryId
    user_id: UserId
    ticket_type_id: TicketTypeId
    quantity: Int32
    reservation_id: ReservationId
    expires_at: int


class WaitlistEnded(Fact, frozen=True, gc=False):
    """Somebody waits no longer; `reason` says why."""

    entry_id: EntryId
    user_id: UserId
    ticket_type_id: TicketTypeId
    reason: str
