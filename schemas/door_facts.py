"""Facts about tickets and the door: staff, transfers, check-ins. `schemas.facts` lists all facts."""

from __future__ import annotations

from schemas.field_types import Int32
from schemas.ids import ReservationId, TicketId, TicketTypeId, TransferId, UserId
from schemas.recorded_facts import Fact


class StaffAdded(Fact, frozen=True, gc=False):
    """`member_id` may check tickets in."""

    user_id: UserId
    member_id: UserId


class StaffRemoved(Fact, frozen=True, gc=False):
    """They may no longer."""

    user_id: UserId
    member_id: UserId


class StaffInvited(Fact, frozen=True, gc=False):
    """`member_id` is asked to work at the door, and may say yes until `expires_at`."""

    user_id: UserId
    member_id: UserId
    expires_at: int


class StaffInvitationEnded(Fact, frozen=True, gc=False):
    """An invitation came to nothing. `outcome`: declined, withdrawn or expired."""

    user_id: UserId
    member_id: UserId
    outcome: str


class TicketTransferred(Fact, frozen=True, gc=False):
    """A ticket is `to_user_id`'s; only its code of version `version` opens the door."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    ticket_id: TicketId
    seat: str
    to_user_id: UserId
    version: Int32
    transfer_id: TransferId | None = None


class TransferOffered(Fact, frozen=True, gc=False):
    """A ticket is offered to `to_user_id` until `expires_at`. It stays its holder's, and opens the door for them."""

    transfer_id: TransferId
    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    ticket_id: TicketId
    seat: str
    to_user_id: UserId
    expires_at: int


class TransferEnded(Fact, frozen=True, gc=False):
    """An offer came to nothing. `outcome`: declined, withdrawn, expired, or cancelled with its ticket."""

    transfer_id: TransferId
    reservation_id: ReservationId
    user_id: UserId
    ticket_type_id: TicketTypeId
    ticket_id: TicketId
    seat: str
    to_user_id: UserId
    outcome: str


class CheckInAccepted(Fact, frozen=True, gc=False):
    """The first scan of a ticket; `user_id` has the ticket, `by_user_id` let them in."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_id: TicketId
    seat: str
    by_user_id: UserId
    gate: str
    scanner: str
    scanned_at: int


class CheckInRefused(Fact, frozen=True, gc=False):
    """A scan that lets nobody in; for a second one, when and where the first was."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_id: TicketId
    reason: str
    gate: str
    scanner: str
    scanned_at: int
    first_scanned_at: int
    first_gate: str
    first_scanner: str


class CheckInReversed(Fact, frozen=True, gc=False):
    """A check-in is taken back; the ticket opens the door again."""

    reservation_id: ReservationId
    user_id: UserId
    ticket_id: TicketId
    by_user_id: UserId
