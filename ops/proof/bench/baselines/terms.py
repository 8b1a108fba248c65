"""What the baselines with a store of their own have in common: a request, its outcome, and the calls of a ledger."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from schemas.ids import EventId, ReservationId, TicketTypeId, UserId


class Baseline(StrEnum):
    """The ways to sell that the platform is compared with."""

    ROW_LOCKS = "row-locks"
    CONDITIONAL_UPDATE = "conditional-update"
    REDIS_COUNTER = "redis-counter"
    CONSUMER_LOOP = "consumer-loop"


class Described(NamedTuple):
    """What a baseline does for a request, and what it does not do."""

    does: str
    lacks: str


_LACKED = "payments, holds that end, a live seat map, a log"
DESCRIBED = {
    Baseline.ROW_LOCKS: Described(
        does="one PostgreSQL transaction a request, with SELECT … FOR UPDATE on the section and on the buyer",
        lacks=_LACKED,
    ),
    Baseline.CONDITIONAL_UPDATE: Described(
        does="one PostgreSQL statement a request: UPDATE … WHERE remaining >= n, and seats by conditional claims",
        lacks=f"{_LACKED}; the best seats and seats next to each other: each buyer gets the first free ones",
    ),
    Baseline.REDIS_COUNTER: Described(
        does="one Lua call in Redis a request: the key, the buyer's limit, and a counter of places",
        lacks=f"{_LACKED}; named seats, messages, rows to query, and any record on disk: a crash forgets all sales",
    ),
    Baseline.CONSUMER_LOOP: Described(
        does="the whole platform, with a plain consumer loop in place of Bytewax",
        lacks="a dataflow with operators by name, and the flow health of `circle pipeline`",
    ),
}


class SeatRequest(NamedTuple):
    """One request: the best available `quantity` places, or exactly `seats`."""

    event_id: EventId
    section_id: TicketTypeId
    user_id: UserId
    reservation_id: ReservationId
    quantity: int
    seats: list[str]
    fingerprint: int


class Given(NamedTuple):
    """Its outcome: seats until a deadline, or a reason. `duplicate`: the request came before."""

    reason: str
    seats: list[str]
    amount_minor: int = 0
    currency: str = ""
    expires_at: datetime | None = None
    duplicate: bool = False


class FurnishedEvent(NamedTuple):
    """The sections of an event on sale, all of one size: `rows` of `width` seats."""

    event_id: EventId
    sections: list[TicketTypeId]
    rows: int
    width: int
    tickets_per_user_max: int
    hold_ttl_s: int
    price_minor: int = 4_250
    currency: str = "EUR"

    @property
    def section_places(self) -> int:
        return self.rows * self.width


class SalesLedger(Protocol):
    """The calls of a baseline with a store of its own."""

    async def create(self) -> None:
        """Make what the store needs, when it is empty."""

    async def furnish(self, house: FurnishedEvent) -> None:
        """Put an event on sale."""

    async def reserve(self, wanted: SeatRequest) -> Given:
        """The outcome, as durable as the store makes it."""

    async def persisted(self, events: list[EventId]) -> int:
        """How many reservations of these events the store has, refused ones too."""

    async def notified(self, events: list[EventId]) -> int:
        """How many messages it has. A store without messages gives the number of reservations."""

    async def oversold(self, events: list[str]) -> int:
        """Reserved places that have no claim, or are beyond the capacity."""

    async def close(self) -> None:
        """Close the connections."""
