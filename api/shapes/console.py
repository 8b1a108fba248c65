"""The shapes of the console, for operators, and of an event's sales, for its organizer too."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.shapes.alerts import AlertOut
from api.shapes.base import Request
from api.shapes.events import AvailabilityOut, EventStatus
from pipelines.monitoring.figure_history import FigureRange, FigureSample
from schemas.ids import EventId, TicketTypeId


class FiguresQuery(Request, frozen=True):
    """How far back. `after` leaves out samples up to this second, which a client has already."""

    range: FigureRange = FigureRange.HOUR
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0


class FiguresOut(msgspec.Struct, frozen=True):
    """The platform's figures of a range, the oldest first, one sample for each `step_s` seconds."""

    range: FigureRange
    step_s: int
    samples: list[FigureSample]


class RequestTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Requests since the API began: answers by the first digit of their status, and those of reservations by time.

    `buckets` has, for each upper bound in seconds (null for the last one), how many reservation requests took at most
    that long.
    """

    answers: dict[str, int]
    reservations: int
    buckets: list[list[float | None]]
    waiting: int
    streams: int


class PlatformOut(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the platform. `age_bounds_s` are those of the ages in `monitoring.sample`. `alerts` is null while
    PostgreSQL does not answer; `monitoring` and `verify` are null while they do not run, or Redis does not answer."""

    at: datetime
    services: dict[str, dict[str, Any]]
    dying: dict[str, dict[str, Any]]
    alerts: list[AlertOut] | None
    monitoring: dict[str, Any] | None
    verify: dict[str, Any] | None
    requests: RequestTotals
    age_bounds_s: list[float]


class TicketTypeSales(AvailabilityOut, frozen=True, kw_only=True):
    """The places of a ticket type with its name and price. `name` is "" before its row is there."""

    name: str
    price_text: str


class OutcomeOut(msgspec.Struct, frozen=True):
    """How many reservations ended so. `reason` is "" where there is none."""

    status: str
    reason: str
    reservations: int
    places: int


class MoneyOut(msgspec.Struct, frozen=True, kw_only=True):
    """Minor units of a currency: taken by payments, given back, and held by reservations that are not paid."""

    currency: str
    taken: int
    given_back: int
    held: int
    taken_text: str
    given_back_text: str
    held_text: str


class MinuteOut(msgspec.Struct, frozen=True):
    """The reservations that were asked for in a minute, and how many of them are confirmed or rejected now."""

    at: datetime
    asked: int
    confirmed: int
    rejected: int


class SalesOut(msgspec.Struct, frozen=True, kw_only=True):
    """An event's sales. `commands_waiting` is the number of commands on the event's partition that are not decided;
    null for an organizer, because other events share the partition, and while the log does not answer."""

    event_id: EventId
    title: str
    status: EventStatus
    starts_at: datetime
    ticket_types: list[TicketTypeSales]
    outcomes: list[OutcomeOut]
    money: list[MoneyOut]
    minutes: list[MinuteOut]
    waiting: int
    commands_waiting: int | None
    source: str


class SeatLettersOut(msgspec.Struct, frozen=True):
    """A section: a letter for each seat, front row first. "." free, "h" held, "s" sold, "x" locked, "b" blocked."""

    ticket_type_id: TicketTypeId
    name: str
    rows: int
    seats_per_row: int
    letters: str


class SeatMapOut(msgspec.Struct, frozen=True):
    """The whole map, once at the beginning of a stream, and after a layout has changed."""

    sections: list[SeatLettersOut]


class SeatChangesOut(msgspec.Struct, frozen=True):
    """What has changed since the last message: by section, runs of letters and the index of their first seat."""

    sections: dict[TicketTypeId, list[tuple[int, str]]]
