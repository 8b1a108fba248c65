"""Facts about the work itself: chores, ticks, and commands that repeat, are refused or cannot be read."""

from __future__ import annotations

from schemas.field_types import Flag
from schemas.ids import ReservationId, SubjectId, UserId
from schemas.recorded_facts import Fact


class ChoreStarted(Fact, frozen=True, gc=False):
    """Everybody with a ticket is to be told: `kind` "reminder" or "event-changed" (of the fields `changed`)."""

    kind: str
    cause: int
    changed: list[str]


class HolderNotified(Fact, frozen=True, gc=False):
    """One of them: `user_id` has tickets of this reservation. The event is described as it was decided on."""

    kind: str
    cause: int
    reservation_id: ReservationId
    user_id: UserId
    changed: list[str]
    title: str
    venue: str
    starts_at: int
    ends_at: int
    timezone: str


class ChoreFinished(Fact, frozen=True, gc=False):
    """All of them were told, or nobody has to be any more."""

    kind: str
    cause: int


class TickObserved(Fact, frozen=True, gc=False):
    """A tick was read; what fell due stands before it as facts of its own."""


class CommandDuplicated(Fact, frozen=True, gc=False):
    """The same request came again and changes nothing; `subject_id` is what it was about."""

    command_type: str
    subject_id: SubjectId
    user_id: UserId


class CommandRefused(Fact, frozen=True, gc=False):
    """A command other than a reservation was turned down; `detail` says what stood in the way, in words.

    What the words name: `field` of the request, the moment `at` in microseconds, the `amount` that was left or allowed.
    `unfolded` is 1 where a fact of the event cannot be folded, so that nothing was decided.
    """

    command_type: str
    subject_id: SubjectId
    user_id: UserId
    reason: str
    detail: str
    field: str | None = None
    at: int | None = None
    amount: int | None = None
    unfolded: Flag | None = None


class CommandUnreadable(Fact, frozen=True, gc=False):
    """The record at this position could not be decoded; its bytes are in the dead letters."""

    error: str
