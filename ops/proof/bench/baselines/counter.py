"""The baseline of a counter in Redis: a sale is one Lua call that counts a section's places down.

It is what one gets without durability: no disk, no rows, no messages, and a crash forgets all sales. Seats are the
counter's next numbers, so a buyer cannot choose one. Guarantee, while Redis lives: no place is sold twice, and one key
has one answer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from connectors.redis_clients import connect_sharing
from ops.proof.bench.baselines.terms import FurnishedEvent, Given, SeatRequest
from pipelines.reservations.core.seating import row_label
from schemas.facts import Reason
from schemas.ids import EventId

SCRIPT = (Path(__file__).parent / "lua" / "counter.lua").read_text()
CONNECTIONS = 16
PATIENCE_S = 30.0  # a request waits so long for a connection: under overload the queue is here


class CounterLedger:
    """A client of Redis. Make one with `CounterLedger.open`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._sale = client.register_script(SCRIPT)

    @classmethod
    async def open(cls, url: str, *, connections: int = CONNECTIONS) -> Self:
        """It connects at its first use."""
        return cls(connect_sharing(url, connections, PATIENCE_S, decode_responses=True))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def create(self) -> None:
        """Does nothing: keys are made as they are written."""

    async def furnish(self, house: FurnishedEvent) -> None:
        """An event on sale."""
        for section in house.sections:
            fields = {
                "event": house.event_id, "remaining": house.section_places, "places": house.section_places,
                "price": house.price_minor, "currency": house.currency, "seconds": house.hold_ttl_s,
                "width": house.width, "limit": house.tickets_per_user_max, "reserved": 0,
            }  # fmt: skip
            await self._client.hset(f"section:{section}", mapping=fields)
            await self._client.sadd(f"sections:{house.event_id}", section)

    async def reserve(self, wanted: SeatRequest) -> Given:
        """The outcome, in the memory of Redis. Named seats are refused: a counter has none."""
        if wanted.seats:
            return Given(Reason.SEAT_UNKNOWN, [])
        event = wanted.event_id
        reason, first, price, currency, seconds, width, again = await self._sale(
            keys=[f"section:{wanted.section_id}", f"reservations:{event}", f"tickets:{event}"],
            args=[event, wanted.reservation_id, wanted.user_id, wanted.quantity, wanted.fingerprint],
        )
        if reason:
            return Given(reason, [], duplicate=bool(again))
        numbers = range(first, first + wanted.quantity)
        return Given(
            reason="", seats=[f"{row_label(number // width)}-{number % width + 1}" for number in numbers],
            amount_minor=price * wanted.quantity, currency=currency,
            expires_at=datetime.now(UTC) + timedelta(seconds=seconds), duplicate=bool(again),
        )  # fmt: skip

    async def persisted(self, events: list[EventId]) -> int:
        """Reservations in memory, refused ones too."""
        return sum([int(await self._client.hlen(f"reservations:{event}")) for event in events])

    async def notified(self, events: list[EventId]) -> int:
        """The same: there are no messages."""
        return await self.persisted(events)

    async def oversold(self, events: list[str]) -> int:
        """Reserved places beyond the capacity."""
        beyond = 0
        for event in events:
            for section in await self._client.smembers(f"sections:{event}"):
                places, reserved = await self._client.hmget(f"section:{section}", "places", "reserved")
                beyond += max(0, int(reserved) - int(places))
        return beyond
