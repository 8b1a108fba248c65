"""The commands that the kernel bench preloads: events, then reservations. The same seed gives the same order. Pure.

Phase 1 asks for as many places as there are, so that its reservations are granted; phase 2 meets sold-out events. A
share of the buyers of phase 1 releases its hold, as people do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import msgspec

from pipelines.reservations.core.limits import SEATS_PER_ROW_MAX, TICKET_TYPES_PER_EVENT_MAX, TICKETS_PER_USER_MAX
from schemas import ids
from schemas.commands import AddTicketType, Command, CreateEvent, PublishEvent, ReleaseReservation, ReserveTickets
from schemas.ids import DAY_S, US_PER_S, CategoryId, CommandId, EventId, ReservationId, TicketTypeId, UserId
from schemas.statuses import LayoutKind

SETUP, GRANTED, SOLD_OUT = 0, 1, 2
PHASES = {GRANTED: "granted", SOLD_OUT: "sold out"}
PLACES_MEAN = 2.5  # of 1 to 4, all as likely
GRANTED_SHARE = 0.7  # of all commands, if that does not need too many ticket types
RELEASE_SHARE = 0.05  # of the holds
HOLD_TTL_S = 3_600  # no hold runs out while the bench does
COMMANDS_PER_BUYER = 20
DAY_US = DAY_S * US_PER_S


class Layout(msgspec.Struct, frozen=True):
    """The number of events, of sections in an event, of seats in a section."""

    events: int
    sections: int
    seats: int

    @property
    def places(self) -> int:
        return self.events * self.sections * self.seats


@dataclass(frozen=True, slots=True)
class BenchEvent:
    """One event's ids."""

    event_id: EventId
    organizer_id: UserId
    sections: tuple[TicketTypeId, ...]


def layout(commands: int, events: int, seats: int, pending_holds: int) -> Layout:
    """As many sections as GRANTED_SHARE of the commands need, within an event's limit."""
    wanted = commands * GRANTED_SHARE * PLACES_MEAN + pending_holds * PLACES_MEAN
    sections = min(TICKET_TYPES_PER_EVENT_MAX, max(1, round(wanted / (events * seats))))
    return Layout(events, sections, seats)


def rows_of(seats: int) -> tuple[int, int]:
    """Rows and seats a row of a section of at least `seats` places, wide rather than deep."""
    per_row = min(SEATS_PER_ROW_MAX, max(1, round((2 * seats) ** 0.5)))
    while seats % per_row:
        per_row -= 1
    return seats // per_row, per_row


class Mix:
    """Commands from a seed. Read its methods in their order: houses, pending holds, load."""

    def __init__(self, shape: Layout, *, now_us: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a bench repeats itself
        self.shape = shape
        self._now_us = now_us
        self.houses = [
            BenchEvent(
                EventId(self._uuid()),
                UserId(self._uuid()),
                tuple(TicketTypeId(self._uuid()) for _ in range(shape.sections)),
            )
            for _ in range(shape.events)
        ]
        self._count = 0
        self.places_asked = 0

    def setup(self) -> Iterator[Command]:
        """Events with their sections, published."""
        rows, per_row = rows_of(self.shape.seats)
        starts_at = self._now_us + 30 * DAY_US
        for house in self.houses:
            yield CreateEvent(
                event_id=house.event_id,
                user_id=house.organizer_id,
                command_id=self._command(SETUP),
                title="Night of the Circle",
                description="",
                category_id=CategoryId(""),
                venue="Hall",
                starts_at=starts_at,
                ends_at=starts_at + DAY_US,
                timezone="UTC",
                sales_open_at=0,
                sales_close_at=0,
                hold_ttl_s=HOLD_TTL_S,
                max_tickets_per_user=TICKETS_PER_USER_MAX,
            )
            for section in house.sections:
                yield AddTicketType(
                    event_id=house.event_id,
                    user_id=house.organizer_id,
                    command_id=self._command(SETUP),
                    ticket_type_id=section,
                    name="Stalls",
                    price_minor=4_250,
                    currency="EUR",
                    kind=LayoutKind.SEATED,
                    rows=rows,
                    seats_per_row=per_row,
                    capacity=0,
                    sales_open_at=0,
                    sales_close_at=0,
                )
            yield PublishEvent(house.event_id, house.organizer_id, self._command(SETUP))

    def pending_holds(self, holds: int) -> Iterator[Command]:
        """Holds that stay open during the measurement."""
        buyers = self._buyers(holds)
        for _ in range(holds):
            yield self._reserve(SETUP, buyers)

    def touch(self) -> Iterator[Command]:
        """One hold of one place in each section, so that the measured commands meet no section for the first time."""
        buyers = self._buyers(len(self.houses) * self.shape.sections)
        for house in self.houses:
            for section in house.sections:
                yield self._asked(house, section, 1, SETUP, buyers)

    def load(self, commands: int) -> Iterator[Command]:
        """The measured commands: phase 1 until every place was requested, then phase 2."""
        buyers = self._buyers(commands)
        made = 0
        while made < commands:
            phase = GRANTED if self.places_asked < self.shape.places else SOLD_OUT
            wanted = self._reserve(phase, buyers)
            yield wanted
            made += 1
            if phase == GRANTED and made < commands and self._random.random() < RELEASE_SHARE:
                yield ReleaseReservation(wanted.event_id, wanted.user_id, self._command(GRANTED), wanted.reservation_id)
                self.places_asked -= wanted.quantity
                made += 1

    def _reserve(self, phase: int, buyers: list[UserId]) -> ReserveTickets:
        # Sections fill one after the other in each event, all events side by side.
        house = self.houses[self._count % len(self.houses)]
        full = min(self.places_asked / self.shape.places, 0.999_999)
        section = house.sections[int(full * len(house.sections))]
        return self._asked(house, section, self._random.randint(1, 4), phase, buyers)

    def _asked(
        self, house: BenchEvent, section: TicketTypeId, quantity: int, phase: int, buyers: list[UserId]
    ) -> ReserveTickets:
        self.places_asked += quantity
        return ReserveTickets(
            event_id=house.event_id,
            user_id=self._random.choice(buyers),
            command_id=self._command(phase),
            reservation_id=ReservationId(self._uuid()),
            ticket_type_id=section,
            quantity=quantity,
            seats=[],
            fingerprint=ids.fingerprint(section, quantity, []),
        )

    def _buyers(self, commands: int) -> list[UserId]:
        return [UserId(self._uuid()) for _ in range(max(1, commands // COMMANDS_PER_BUYER))]

    def _command(self, phase: int) -> CommandId:
        self._count += 1
        return CommandId(f"{phase}-{self._count:x}")

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def phase_of(command_id: CommandId) -> int:
    """The phase that a command of a Mix belongs to."""
    return int(command_id[0])
