"""Sell-through, money and open holds from the rows. Figures only: the log decides, the rows follow it.

The queries read all held reservations and valid tickets of events that are not over. So they run as PERIOD allows.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from connectors.period import Period
from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from schemas.ids import EventId

PERIOD = Period(least_s=10.0, part_max=0.01)  # of PostgreSQL's time
EVENTS_COUNTED_MAX = 5_000  # the next events to begin; more than a platform has on sale at once
EVENTS_SHOWN_MAX = 20  # series of one metric: those that sell most

SQL = queries(Path(__file__).parent / "sql" / "sales.sql")


class HoldCounts(NamedTuple):
    """Open holds, those that end within a minute, and those whose end has passed and is not decided yet."""

    open: int
    expiring: int
    overdue: int


class EventSales(NamedTuple):
    """An event's places and money, in minor units by currency."""

    event_id: EventId
    total: int
    held: int
    sold: int
    taken_minor: dict[str, int]
    given_back_minor: dict[str, int]


class Sales(NamedTuple):
    """The result of one survey of the rows."""

    holds: HoldCounts
    events: list[EventSales]
    oversold_places: int


class SalesSurvey:
    """Asks for the sales now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due = 0.0
        self._took_s = 0.0
        self._last: Sales | None = None

    def look(self, now_us: int) -> Sales | None:
        """The last result, a new one if it is time. Raises ServiceUnreachable when PostgreSQL is away."""
        began = time.monotonic()
        if self._last is None or began >= self._due:
            self._last = self._database.run(lambda connection: sales(connection, now_us), readonly=True)
            before_s, self._took_s = self._took_s, time.monotonic() - began
            self._due = began + PERIOD.after_s(self._took_s, before_s)
        return self._last


async def sales(connection: Connection, now_us: int) -> Sales:
    """Places, money and holds at this moment."""
    (holds,) = await connection.fetch(SQL["open_holds"], now_us)
    places: dict[EventId, list[int]] = defaultdict(lambda: [0, 0, 0])
    oversold = 0
    for row in await connection.fetch(SQL["sales_by_ticket_type"], now_us, EVENTS_COUNTED_MAX):
        total, held, sold = row["total"], row["held"], row["sold"]
        oversold += max(0, held + sold - total)
        for number, value in enumerate((total, held, sold)):
            places[EventId(row["event_id"])][number] += value
    most = sorted(places, key=lambda event_id: (-places[event_id][2] - places[event_id][1], event_id))
    shown = most[:EVENTS_SHOWN_MAX]
    taken: dict[str, dict[str, int]] = defaultdict(dict)
    given_back: dict[str, dict[str, int]] = defaultdict(dict)
    for row in await connection.fetch(SQL["money_by_event"], shown):
        taken[row["event_id"]][row["currency"]] = row["taken"]
        given_back[row["event_id"]][row["currency"]] = row["given_back"]
    events = [
        EventSales(
            event_id=event_id,
            total=places[event_id][0],
            held=places[event_id][1],
            sold=places[event_id][2],
            taken_minor=taken.get(event_id, {}),
            given_back_minor=given_back.get(event_id, {}),
        )
        for event_id in shown
    ]
    return Sales(HoldCounts(holds["open"], holds["expiring"], holds["overdue"]), events, oversold)
