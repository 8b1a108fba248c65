"""Categories, events, ticket types, availability, seats."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.http.validation import Id, Line100, Line200, LineOrNone100, LineOrNone200, Text5000, Time
from api.shapes.base import Now, PageQuery, Request, StreamQuery
from pipelines.reservations.core import limits
from schemas.ids import CategoryId, EventId, PoolId, TicketTypeId, UserId
from schemas.statuses import EventStage

HOLD_TTL_S_DEFAULT = 600  # ten minutes to pay
MAX_TICKETS_PER_USER_DEFAULT = 10

Timezone = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+(?!\s)$")]
HoldTtl = Annotated[int, Meta(ge=limits.HOLD_TTL_S_MIN, le=limits.HOLD_TTL_S_MAX, description="seconds")]
Terms = Annotated[int, Meta(ge=0, le=limits.HOLD_TTL_S_MAX, description="seconds; 0: none")]
PerOrder = Annotated[int, Meta(ge=0, le=limits.SEATS_PER_ORDER_MAX, description="0: the platform's limit")]
Percent = Annotated[int, Meta(ge=0, le=100)]
TicketsPerUser = Annotated[int, Meta(ge=1, le=limits.TICKETS_PER_USER_MAX)]


class EventStatus(StrEnum):
    """An event's status. Only its organizer sees a draft."""

    DRAFT = EventStage.DRAFT
    PUBLISHED = EventStage.PUBLISHED
    CANCELLED = EventStage.CANCELLED
    ENDED = EventStage.ENDED


class EventSort(StrEnum):
    """A minus sign reverses the order."""

    STARTS_AT = "starts_at"
    STARTS_AT_DOWN = "-starts_at"
    CREATED_AT = "created_at"
    CREATED_AT_DOWN = "-created_at"


class CategoryIn(Request, frozen=True):
    """The data of a new category."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"name": "Chamber music"}

    name: Line100


class CategoryOut(msgspec.Struct, frozen=True):
    """A category."""

    id: CategoryId
    name: str
    created_at: datetime


class EventIn(Request, frozen=True, kw_only=True):
    """A draft event. Without `sales_open_at` sales begin at publication; without `sales_close_at` they stay open."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "title": "Opening night",
        "description": "Two hours, one interval.",
        "venue": "Town hall",
        "starts_at": "2031-05-01T19:00:00+02:00",
        "ends_at": "2031-05-01T22:00:00+02:00",
        "timezone": "Europe/Vienna",
        "sales_open_at": "2031-03-01T10:00:00+01:00",
        "hold_ttl_s": 600,
        "max_tickets_per_user": 6,
    }

    title: Line200
    description: Text5000 = ""
    category_id: Id[CategoryId] | None = None
    venue: Line200
    starts_at: Time
    ends_at: Time
    timezone: Timezone = "UTC"
    sales_open_at: Time | None = None
    sales_close_at: Time | None = None
    hold_ttl_s: HoldTtl = HOLD_TTL_S_DEFAULT
    max_tickets_per_user: TicketsPerUser = MAX_TICKETS_PER_USER_DEFAULT
    max_tickets_per_order: PerOrder = 0
    refund_until: Time | None = None
    refund_percent: Percent = 100
    hold_extension_s: Terms = 0
    offer_ttl_s: Terms = 0


class EventPatch(Request, frozen=True):
    """Changes of an event; null removes a category or a limit of the sales window."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"venue": "Great hall", "sales_close_at": None}

    title: Line200 | UnsetType = UNSET
    description: Text5000 | UnsetType = UNSET
    category_id: Id[CategoryId] | UnsetType | None = UNSET
    venue: Line200 | UnsetType = UNSET
    starts_at: Time | UnsetType = UNSET
    ends_at: Time | UnsetType = UNSET
    timezone: Timezone | UnsetType = UNSET
    sales_open_at: Time | UnsetType | None = UNSET
    sales_close_at: Time | UnsetType | None = UNSET
    hold_ttl_s: HoldTtl | UnsetType = UNSET
    max_tickets_per_user: TicketsPerUser | UnsetType = UNSET
    max_tickets_per_order: PerOrder | UnsetType = UNSET
    refund_until: Time | UnsetType | None = UNSET
    refund_percent: Percent | UnsetType = UNSET
    hold_extension_s: Terms | UnsetType = UNSET
    offer_ttl_s: Terms | UnsetType = UNSET


class CancelIn(Request, frozen=True):
    """Why an event is cancelled. Ticket holders see this reason."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"reason": "The singer is ill."}

    reason: Line200


class Activity(Request, frozen=True, kw_only=True):
    """A part of an event's programme."""

    title: Line200
    speaker: LineOrNone200 = ""
    starts_at: Time
    ends_at: Time


class ScheduleIn(Request, frozen=True):
    """The whole programme: it replaces the former one. At most 60,000 bytes."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "items": [
            {
                "title": "Doors open",
                "starts_at": "2031-05-01T18:00:00+02:00",
                "ends_at": "2031-05-01T19:00:00+02:00",
            }
        ]
    }

    items: Annotated[list[Activity], Meta(max_length=limits.ACTIVITIES_PER_EVENT_MAX)]


class ActivityOut(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an event's programme."""

    title: str
    speaker: str
    starts_at: datetime
    ends_at: datetime


class EventsQuery(PageQuery, frozen=True):
    """The filter for events. `status` is published by default; only their organizer can list drafts."""

    q: LineOrNone100 | None = None
    category: Id[CategoryId] | None = None
    status: EventStatus = EventStatus.PUBLISHED
    from_: Time | None = msgspec.field(default=None, name="from")
    to: Time | None = None
    sort: EventSort = EventSort.STARTS_AT


class EventOut(msgspec.Struct, frozen=True, kw_only=True):
    """An event."""

    id: EventId
    organizer_id: UserId
    status: EventStatus
    title: str
    description: str
    category_id: CategoryId | None
    venue: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    sales_open_at: datetime | None
    sales_close_at: datetime | None
    hold_ttl_s: int
    max_tickets_per_user: int
    max_tickets_per_order: int
    refund_until: datetime | None
    refund_percent: int
    hold_extension_s: int
    offer_ttl_s: int
    created_at: datetime
    published_at: datetime | None
    cancelled_at: datetime | None
    cancel_reason: str | None
    now: Now = UNSET


CURRENCY = "an ISO 4217 currency in upper case, with a minor unit or counted in whole units"


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in the currency's minor units: 4250 EUR is 42.50 euro, 500 JPY 500 yen, 12340 KWD 12.340 dinar."""

    amount: Annotated[int, Meta(ge=0, le=limits.PRICE_MINOR_MAX)]
    currency: Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z]{3}(?!\n)$", description=CURRENCY)]


class Seated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="seated"):
    """Numbered seats: "A-1" is the first of the front row; after row Z comes AA."""

    rows: Annotated[int, Meta(ge=1, le=limits.ROWS_MAX)]
    seats_per_row: Annotated[int, Meta(ge=1, le=limits.SEATS_PER_ROW_MAX)]


class General(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="general"):
    """General admission."""

    capacity: Annotated[int, Meta(ge=1, le=limits.CAPACITY_MAX)]


class TicketTypeIn(Request, frozen=True):
    """A new ticket type. Without its own sales window it has the event's."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "name": "Stalls",
        "price": {"amount": 4500, "currency": "EUR"},
        "layout": {"kind": "seated", "rows": 5, "seats_per_row": 8},
    }

    name: Line100
    price: Price
    layout: Seated | General
    sales_open_at: Time | None = None
    sales_close_at: Time | None = None
    max_per_order: PerOrder = 0
    max_per_user: Annotated[int, Meta(ge=0, le=limits.TICKETS_PER_USER_MAX, description="0: the event's")] = 0
    hidden: bool = False
    pool_id: Id[PoolId] | None = None


class TicketTypePatch(Request, frozen=True):
    """Changes of a ticket type. Holds and tickets keep their price; a layout never loses a place in use."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"price": {"amount": 4900, "currency": "EUR"}}

    name: Line100 | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    layout: Seated | General | UnsetType = UNSET
    sales_open_at: Time | UnsetType | None = UNSET
    sales_close_at: Time | UnsetType | None = UNSET
    max_per_order: PerOrder | UnsetType = UNSET
    max_per_user: Annotated[int, Meta(ge=0, le=limits.TICKETS_PER_USER_MAX)] | UnsetType = UNSET
    hidden: bool | UnsetType = UNSET


class AccessCodeQuery(Request, frozen=True):
    """An access code, which unlocks hidden ticket types. The event's owner sees them without a code."""

    access_code: Annotated[str, Meta(min_length=1, max_length=limits.CODE_CHARS_MAX)] | None = None


class EventStreamQuery(StreamQuery, frozen=True):
    """The access code for a stream, and the values that an EventSource sends instead of headers."""

    access_code: Annotated[str, Meta(min_length=1, max_length=limits.CODE_CHARS_MAX)] | None = None


class TicketTypeOut(msgspec.Struct, frozen=True, kw_only=True):
    """A ticket type of an event."""

    id: TicketTypeId
    event_id: EventId
    name: str
    price: Price
    price_text: Annotated[str, Meta(description="for people to read, with the currency's decimal places")]
    layout: Seated | General
    sales_open_at: datetime | None
    sales_close_at: datetime | None
    max_per_order: int
    max_per_user: int
    hidden: bool
    pool_id: PoolId | None


class AvailabilityOut(msgspec.Struct, frozen=True):
    """The places of a ticket type: free, held, sold, blocked. A place that another seller has locked is none of these.

    `waiting` is the number of people who wait for a place.
    """

    id: TicketTypeId
    total: int
    available: int
    held: int
    sold: int
    blocked: int
    waiting: int


class EventAvailabilityOut(msgspec.Struct, frozen=True):
    """The availability of each ticket type. `source` is redis, or postgres if Redis has no data."""

    event_id: EventId
    items: list[AvailabilityOut]
    source: str
    next_cursor: None = None
    now: Now = UNSET


class SeatStatus(StrEnum):
    """A locked seat is held by another seller, a blocked one by the organizer."""

    AVAILABLE = "available"
    HELD = "held"
    SOLD = "sold"
    LOCKED = "locked"
    BLOCKED = "blocked"


class SeatOut(msgspec.Struct, frozen=True, gc=False):
    """One seat."""

    seat: str
    status: SeatStatus


class SectionOut(msgspec.Struct, frozen=True):
    """The seat map of one seated ticket type, front row first."""

    ticket_type_id: TicketTypeId
    name: str
    rows: int
    seats_per_row: int
    seats: list[SeatOut]


class SeatsOut(msgspec.Struct, frozen=True):
    """The seat map of an event. `source` is redis, or postgres if Redis has no data.

    For an earlier map (`at`) it is log. `position` is the last fact in the map, `time` its log time; null without one.
    """

    event_id: EventId
    items: list[SectionOut]
    source: str
    next_cursor: None = None
    position: str | None = None
    time: datetime | None = None


class SeatsQuery(Request, frozen=True):
    """`at`: a time with its offset (2030-05-01T20:00:00Z) or a position on the log (3-1200); without it, now."""

    at: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z:.+ -]+(?!\n)$")] | None = None
    access_code: Annotated[str, Meta(min_length=1, max_length=limits.CODE_CHARS_MAX)] | None = None
