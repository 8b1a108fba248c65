"""The terms of a ticket type: their one definition, and the commands and facts that have them.

A new term goes into each struct here, but a fixed one not into `UpdateTicketType` and `TicketTypeUpdated`. Entities,
rows and columns follow `TicketTypeTerms`, and shapes are compared with it. The docstrings of commands and facts are
part of the Avro schemas: another text makes another schema id.
"""

from __future__ import annotations

import msgspec

from schemas import terms
from schemas.command_base import Command
from schemas.field_types import Flag, Int32
from schemas.ids import PoolId, TicketTypeId, UserId
from schemas.recorded_facts import Fact


class TicketTypeTerms(msgspec.Struct):
    """What is sold, and its rules. Times are microseconds since the epoch, money is in minor units.

    The default of a term holds for records that were written before the term existed. A section of the core has the
    terms as fields that change, so this struct is not frozen.
    """

    name: str
    price_minor: int
    currency: str
    kind: str  # seated: rows × seats_per_row; general: capacity
    rows: Int32
    seats_per_row: Int32
    capacity: Int32
    sales_open_at: int  # 0: as the event
    sales_close_at: int  # 0: as the event
    max_per_order: Int32 = 0  # 0: as the event
    max_per_user: Int32 = 0  # 0: as the event
    hidden: Flag = 0  # 1: an access code unlocks it
    pool_id: PoolId = PoolId("")  # a capacity that several ticket types share; "": none


TICKET_TYPE_TERMS = terms.names(TicketTypeTerms)
"""The names of a ticket type's terms, in the order of the wire."""
FIXED = ("currency", "kind", "pool_id")
"""The terms that a ticket type keeps for ever."""
TICKET_TYPE_CHANGES = tuple(name for name in TICKET_TYPE_TERMS if name not in FIXED)
"""The names of the terms that an organizer may change."""


class AddTicketType(Command, frozen=True, gc=False):
    """Add something to sell: `kind` "seated" uses rows × seats_per_row, "general" uses capacity."""

    ticket_type_id: TicketTypeId
    name: str
    price_minor: int
    currency: str
    kind: str
    rows: Int32
    seats_per_row: Int32
    capacity: Int32
    sales_open_at: int
    sales_close_at: int
    max_per_order: Int32 | None = None
    max_per_user: Int32 | None = None
    hidden: Flag | None = None
    pool_id: PoolId | None = None


class UpdateTicketType(Command, frozen=True, gc=False):
    """Change what is not None. A layout may grow; it never loses a claimed or blocked seat. Holds keep their price."""

    ticket_type_id: TicketTypeId
    name: str | None = None
    price_minor: int | None = None
    rows: Int32 | None = None
    seats_per_row: Int32 | None = None
    capacity: Int32 | None = None
    sales_open_at: int | None = None
    sales_close_at: int | None = None
    max_per_order: Int32 | None = None
    max_per_user: Int32 | None = None
    hidden: Flag | None = None


class TicketTypeAdded(Fact, frozen=True, gc=False):
    """Something to sell; `ordinal` is its place among the event's ticket types, from 0."""

    DEFINITION = TicketTypeTerms

    user_id: UserId
    ticket_type_id: TicketTypeId
    ordinal: Int32
    name: str
    price_minor: int
    currency: str
    kind: str
    rows: Int32
    seats_per_row: Int32
    capacity: Int32
    sales_open_at: int
    sales_close_at: int
    max_per_order: Int32 | None = None
    max_per_user: Int32 | None = None
    hidden: Flag | None = None
    pool_id: PoolId | None = None


class TicketTypeUpdated(Fact, frozen=True, gc=False):
    """A ticket type as it is from here on, whole."""

    DEFINITION = TicketTypeTerms

    user_id: UserId
    ticket_type_id: TicketTypeId
    name: str
    price_minor: int
    rows: Int32
    seats_per_row: Int32
    capacity: Int32
    sales_open_at: int
    sales_close_at: int
    max_per_order: Int32
    max_per_user: Int32
    hidden: Flag
