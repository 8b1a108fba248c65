"""The scenarios of the suite: what each sends, and to how many places. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from ops.proof.load.open_loop import Arrivals, LoadPhase, zipf_shares

SEATS_PER_ROW, ROWS_MAX = 50, 40  # 2,000 seats a section
QUANTITY_MAX = 4
ALL_GRANTED = 1.3  # places for each requested place: a section has room for the last request, too
OVERLOAD_FACTOR = 10.0


class EventPlan(NamedTuple):
    """The sections of one event, all alike. With `general`, a section has so much capacity and no seats."""

    sections: int
    rows: int
    seats_per_row: int
    general: bool = False

    @property
    def section_places(self) -> int:
        return self.rows * self.seats_per_row

    @property
    def places(self) -> int:
        return self.sections * self.section_places


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load. `rate`, `seconds` and `events` are its defaults.

    `granted` is the number of places for each requested place. With `exact`, every request asks for one place, and
    there are as many places as requests. `overload_s` seconds of OVERLOAD_FACTOR times the rate follow the first
    `seconds`, and then the first rate for as long again.
    """

    name: str
    about: str
    rate: float
    seconds: float
    events: int
    arrivals: Arrivals = Arrivals.EVEN
    zipf: float = 0.0
    granted: float = ALL_GRANTED
    general: bool = False
    exact: bool = False
    overload_s: float = 0.0

    @property
    def quantity_max(self) -> int:
        return 1 if self.exact else QUANTITY_MAX

    @property
    def later(self) -> list[LoadPhase]:
        """The rates after the first one."""
        if not self.overload_s:
            return []
        return [LoadPhase(self.rate * OVERLOAD_FACTOR, self.overload_s), LoadPhase(self.rate, self.seconds)]

    @property
    def requests(self) -> int:
        """All requests of one round."""
        return sum(phase.requests for phase in (LoadPhase(self.rate, self.seconds), *self.later))

    def houses(self) -> list[EventPlan]:
        """The sections of each event, the most wanted event first."""
        if self.exact:
            return [exact_house(self.requests)]
        asked = self.requests * (self.quantity_max + 1) / 2 * self.granted
        shares = zipf_shares(self.events, self.zipf)
        return [house_of(max(QUANTITY_MAX, math.ceil(asked * share)), general=self.general) for share in shares]


def house_of(places: int, *, general: bool = False) -> EventPlan:
    """Sections with at least so many places together, and at most one row for each section more."""
    if general:
        return EventPlan(1, 1, places, general=True)
    rows = math.ceil(places / SEATS_PER_ROW)
    sections = math.ceil(rows / ROWS_MAX)
    return EventPlan(sections, math.ceil(rows / sections), math.ceil(places / rows))


def exact_house(seats: int) -> EventPlan:
    """Sections with exactly so many seats. Beyond one row, `seats` is a multiple of SEATS_PER_ROW."""
    if seats <= SEATS_PER_ROW:
        return EventPlan(1, 1, seats)
    rows = seats // SEATS_PER_ROW
    sections = next(count for count in range(math.ceil(rows / ROWS_MAX), rows + 1) if rows % count == 0)
    return EventPlan(sections, rows // sections, SEATS_PER_ROW)


def sized(
    scenario: Scenario, *, rate: float | None = None, seconds: float | None = None, overload_s: float | None = None
) -> Scenario:
    """The scenario at another rate and for another time. An exact one has whole rows of seats."""
    rate, seconds = rate or scenario.rate, seconds or scenario.seconds
    if scenario.exact:
        seats = max(1, round(rate * seconds))
        seats = seats if seats <= SEATS_PER_ROW else math.ceil(seats / SEATS_PER_ROW) * SEATS_PER_ROW
        seconds = seats / rate
    overload_s = overload_s if overload_s and scenario.overload_s else scenario.overload_s
    return msgspec.structs.replace(scenario, rate=rate, seconds=seconds, overload_s=overload_s)


DROP = Scenario(
    name="drop",
    about="a sale whose end is sold out: places for seven requests in ten",
    rate=300,
    seconds=10,
    events=8,
    granted=0.7,
)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="quiet", about="a few requests a second", rate=10, seconds=20, events=4),
        Scenario(
            name="steady",
            about="requests by chance, over a hundred events of unequal popularity",
            rate=200,
            seconds=20,
            events=100,
            arrivals=Arrivals.POISSON,
            zipf=1.1,
        ),
        Scenario(
            name="stampede",
            about="places for one request in twenty: nearly all answers are refusals",
            rate=1_000,
            seconds=10,
            events=8,
            granted=0.05,
        ),
        Scenario(
            name="hot",
            about="one event with one general ticket type",
            rate=500,
            seconds=10,
            events=1,
            general=True,
        ),
        Scenario(
            name="sellout",
            about="a seat for each request, until every reservation is persisted and in the inbox",
            rate=500,
            seconds=10,
            events=1,
            exact=True,
        ),
        Scenario(
            name="overload",
            about="ten times the rate for a while, and then the rate again",
            rate=500,  # ten times as much is more than two cores answer
            seconds=10,
            events=8,
            overload_s=30,
        ),
    )
}
