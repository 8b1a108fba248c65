"""The terms of an event: their one definition, and the commands and facts that have them.

A new term goes into each struct here but `EventCreated` and `EventUpdated`, which inherit it; CONTRIBUTING has all
steps. Entities, rows and columns follow `EventTerms`, and shapes are compared with it. The docstrings of commands and
facts are part of the Avro schemas: another text makes another schema id.
"""

from __future__ import annotations

import msgspec

from schemas import terms
from schemas.command_base import Command
from schemas.field_types import Int32
from schemas.ids import CategoryId, UserId
from schemas.recorded_facts import Fact


class EventTerms(msgspec.Struct, frozen=True, gc=False):
    """An event as its organizer describes it. Times are microseconds since the epoch; 0 is "no bound".

    The default of a term holds for records that were written before the term existed.
    """

    title: str
    description: str
    category_id: CategoryId  # "": none
    venue: str
    starts_at: int
    ends_at: int
    timezone: str  # an IANA name
    sales_open_at: int  # 0: from publication
    sales_close_at: int  # 0: until the event ends
    hold_ttl_s: Int32  # how long a hold lasts
    max_tickets_per_user: Int32
    refund_until_at: int = 0  # until when buyers may cancel; 0: until it begins
    refund_percent: Int32 = 100  # what a buyer who cancels gets back
    hold_extension_s: Int32 = 0  # by how much a hold may be extended, once; 0: it may not
    offer_ttl_s: Int32 = 0  # how long an offer from the waiting list stands; 0: as a hold
    max_tickets_per_order: Int32 = 0  # 0: the platform's limit
    reminder_at: int = 0  # when holders get a reminder; 0: never


EVENT_TERMS = terms.names(EventTerms)
"""The names of an event's terms, in the order of the wire."""


class EventTermsFact(Fact, frozen=True, gc=False):
    """A fact that has all terms of an event. None: it was written before the term existed."""

    DEFINITION = EventTerms

    user_id: UserId
    title: str
    description: str
    category_id: CategoryId
    venue: str
    starts_at: int
    ends_at: int
    timezone: str
    sales_open_at: int
    sales_close_at: int
    hold_ttl_s: Int32
    max_tickets_per_user: Int32
    refund_until_at: int | None = None
    refund_percent: Int32 | None = None
    hold_extension_s: Int32 | None = None
    offer_ttl_s: Int32 | None = None
    max_tickets_per_order: Int32 | None = None
    reminder_at: int | None = None


class EventCreated(EventTermsFact, frozen=True, gc=False):
    """A draft event exists; `user_id` organizes it."""


class EventUpdated(EventTermsFact, frozen=True, gc=False):
    """The event's description as it is from here on, whole."""


class CreateEvent(Command, frozen=True, gc=False):
    """Make a draft event. Refused when the id exists or the dates contradict each other.

    The buyers' terms: cancelling is possible until `refund_until_at` (0: until it begins) and gives `refund_percent`
    back; a hold may be extended once by `hold_extension_s`; an offer from the waiting list stands `offer_ttl_s`.
    `reminder_at` is the day before in the event's own time zone, which the API works out: the core knows no zones.
    """

    title: str
    description: str
    category_id: CategoryId
    venue: str
    starts_at: int
    ends_at: int
    timezone: str
    sales_open_at: int
    sales_close_at: int
    hold_ttl_s: Int32
    max_tickets_per_user: Int32
    refund_until_at: int | None = None
    refund_percent: Int32 | None = None
    hold_extension_s: Int32 | None = None
    offer_ttl_s: Int32 | None = None
    max_tickets_per_order: Int32 | None = None
    reminder_at: int | None = None


class UpdateEvent(Command, frozen=True, gc=False):
    """Change what is not None. Only the owner may; a published event keeps its currency of promises (see decide)."""

    title: str | None = None
    description: str | None = None
    category_id: CategoryId | None = None
    venue: str | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    timezone: str | None = None
    sales_open_at: int | None = None
    sales_close_at: int | None = None
    hold_ttl_s: Int32 | None = None
    max_tickets_per_user: Int32 | None = None
    refund_until_at: int | None = None
    refund_percent: Int32 | None = None
    hold_extension_s: Int32 | None = None
    offer_ttl_s: Int32 | None = None
    max_tickets_per_order: Int32 | None = None
    reminder_at: int | None = None
