"""Inventory: pools, codes, blocks, and the waiting list."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from api.http.validation import Id, Line100, LineOrNone100, Time
from api.shapes.base import Now, PageQuery, Request
from api.shapes.reservations import CodeText, Quantity
from pipelines.reservations.core import limits
from schemas.ids import BlockId, CodeId, EntryId, EventId, PoolId, ReservationId, TicketTypeId
from schemas.statuses import CodeKind

TypeIds = Annotated[list[Id[TicketTypeId]], Meta(max_length=limits.TICKET_TYPES_PER_EVENT_MAX)]
BlockedSeats = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=12)]], Meta(min_length=1, max_length=limits.BLOCK_SEATS_MAX)
]
BlockedQuantity = Annotated[int, Meta(ge=1, le=limits.CAPACITY_MAX)]


class PoolIn(Request, frozen=True):
    """A capacity that ticket types share."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"name": "The whole house", "capacity": 500}

    name: Line100
    capacity: Annotated[int, Meta(ge=1, le=limits.CAPACITY_MAX)]


class PoolOut(msgspec.Struct, frozen=True):
    """A capacity that ticket types share, and how many of its places are held and sold."""

    id: PoolId
    name: str
    capacity: int
    used: int


class CodeIn(Request, frozen=True):
    """A promo or access code. Without ticket types it is valid for all; without `uses_max` for any number of orders.

    `places_max` limits the places of those orders together; 0 is no limit. If it is missing, a code that makes
    everything free for a number of orders (`value` 100, `uses_max`) allows as many places as orders: an order has up to
    ten.
    """

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "code": "SPRING", "kind": "percent", "value": 20, "uses_max": 100, "places_max": 250,
    }  # fmt: skip

    code: CodeText
    kind: CodeKind
    value: Annotated[int, Meta(ge=0, le=limits.PRICE_MINOR_MAX)] = 0
    uses_max: Annotated[int, Meta(ge=0, le=limits.CODE_USES_MAX)] = 0
    places_max: Annotated[int, Meta(ge=0, le=limits.CODE_PLACES_MAX)] | msgspec.UnsetType = msgspec.UNSET
    ticket_type_ids: TypeIds = msgspec.field(default_factory=list)
    valid_from: Time | None = None
    valid_until: Time | None = None


class CodeOut(msgspec.Struct, frozen=True, kw_only=True):
    """A code, and how many orders and places use it now. An expired or cancelled order no longer counts."""

    id: CodeId
    code: str
    kind: CodeKind
    value: int
    uses_max: int
    used: int
    places_max: int
    places_used: int
    ticket_type_ids: list[TicketTypeId]
    valid_from: datetime | None
    valid_until: datetime | None
    disabled: bool


class BlockIn(Request, frozen=True):
    """Free places to block: named seats, or a quantity of general admission; until a time, or until they are freed."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "ticket_type_id": "00000000-0000-4000-8000-000000000000",
        "seats": ["A-1", "A-2"],
        "label": "Sound desk",
    }

    ticket_type_id: Id[TicketTypeId]
    seats: BlockedSeats | msgspec.UnsetType = msgspec.UNSET
    quantity: BlockedQuantity | msgspec.UnsetType = msgspec.UNSET
    until: Time | None = None
    label: LineOrNone100 = ""


class UnblockIn(Request, frozen=True):
    """The places of a block to put on sale: named seats or a quantity; all places if both are missing."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"seats": ["A-2"]}

    seats: BlockedSeats | msgspec.UnsetType = msgspec.UNSET
    quantity: BlockedQuantity | msgspec.UnsetType = msgspec.UNSET


class BlockOut(msgspec.Struct, frozen=True, kw_only=True):
    """A block, and its places that are still blocked."""

    id: BlockId
    ticket_type_id: TicketTypeId
    seats: list[str]
    quantity: int
    until: datetime | None
    label: str


class WaitIn(Request, frozen=True):
    """The ticket type and the number of places to wait for."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"ticket_type_id": "00000000-0000-4000-8000-000000000000", "quantity": 2}

    ticket_type_id: Id[TicketTypeId]
    quantity: Quantity


class WaitlistQuery(PageQuery, frozen=True):
    """The caller's places on waiting lists, the latest first."""

    event_id: Id[EventId] | None = None


class EntryOut(msgspec.Struct, frozen=True, kw_only=True):
    """A place on a waiting list. After an offer, `reservation_id` is a hold until `expires_at`: pay or release it.

    `status`: waiting, offered, then the result of the offer: bought, released, expired (not paid) or cancelled (bought
    and cancelled later). Or ended without an offer: then `reason` has the cause (buyer-left, event-ended …). `ahead`
    is the number of earlier entries that wait for the same ticket type; null if it no longer waits.
    """

    id: EntryId
    event_id: EventId
    ticket_type_id: TicketTypeId
    quantity: int
    status: str
    ahead: int | None
    reservation_id: ReservationId | None
    expires_at: datetime | None
    reason: str | None
    created_at: datetime
    now: Now = msgspec.UNSET
