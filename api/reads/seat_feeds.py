"""Seat maps that are watched: one reading for all watchers of an event, and the changes since a watcher's last message.

Guarantee: a feed reads an event's seats as PERIOD allows. A watcher has no queue: its next message holds all changes
since its last one, so a slow watcher gets fewer, larger messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from sanic import Request

from api.http.stream_groups import LiveStream
from api.reads.feeds import Feeds
from api.reads.seat_sections import SeatSection
from connectors.period import Period
from schemas.ids import TicketTypeId

PERIOD = Period(
    least_s=0.12,  # less than the tick of a stream: each look of a lone watcher reads, and many share a reading
    part_max=0.05,  # for one event
)
CHANGES_KEPT = 16  # of one picture: slow watchers differ in their last one

if TYPE_CHECKING:
    from api.reads.visibility import Sight  # it imports api.deps, which imports this

Changes = dict[TicketTypeId, list[tuple[int, str]]]
"""By section: runs of letters that differ, with the index of their first seat."""


@dataclass(frozen=True, slots=True)
class _Since:
    """What has changed since an earlier picture, and its messages by the sections that a watcher sees."""

    earlier: SeatPicture  # it is held, so that its id stays its own
    changes: Changes
    messages: dict[tuple[TicketTypeId, ...], bytes] = field(default_factory=dict)


class SeatPicture:
    """An event's sections at one moment, of all ticket types; `hidden` are those that only some callers see."""

    def __init__(self, sections: Sequence[SeatSection], hidden: dict[TicketTypeId, bool]) -> None:
        self.sections = {one.ticket_type_id: one for one in sections}
        self.hidden = hidden
        self.layout = [(one.ticket_type_id, one.name, one.rows, one.seats_per_row) for one in sections]
        self._changes: OrderedDict[int, _Since] = OrderedDict()

    def message_since(
        self, earlier: SeatPicture, seen: tuple[TicketTypeId, ...], message_of: Callable[[Changes], bytes]
    ) -> bytes | None:
        """The message of the changes in the sections `seen`, made once for all watchers who see these; b"" without
        changes. None for another layout."""
        if earlier.layout != self.layout or earlier.hidden != self.hidden:
            return None
        since = self._since(earlier)
        message = since.messages.get(seen)
        if message is None:
            shown = {key: since.changes[key] for key in seen if key in since.changes}
            message = since.messages[seen] = message_of(shown) if shown else b""
        return message

    def _since(self, earlier: SeatPicture) -> _Since:
        known = self._changes.get(id(earlier))
        if known is not None:
            return known
        changes = {key: runs(earlier.sections[key].letters, one.letters) for key, one in self.sections.items()}
        since = _Since(earlier, {key: found for key, found in changes.items() if found})
        self._changes[id(earlier)] = since
        if len(self._changes) > CHANGES_KEPT:
            self._changes.popitem(last=False)
        return since

    def is_as(self, other: SeatPicture) -> bool:
        """Whether both show the same."""
        return self.layout == other.layout and self.hidden == other.hidden and self.sections == other.sections

    def forget_changes(self) -> None:
        """Let earlier pictures go: watchers look for the changes of the newest one only."""
        self._changes.clear()


class SeatWatcher(LiveStream):
    """One live stream of an event's seats, and the picture that it has got last."""

    def __init__(self, request: Request, is_open: Callable[[], bool], eyes: Sight) -> None:
        """`eyes` are the ticket types that its caller sees."""
        super().__init__(request, is_open)
        self._eyes = eyes
        self._sent: SeatPicture | None = None
        self._shown_at = -inf

    def show(
        self, at: float, picture: SeatPicture, message_of: Callable[[SeatPicture, SeatPicture | None, Sight], bytes]
    ) -> bool:
        """Send what has changed; False if the client has not read what came before. `at` orders the readings: an
        earlier one than the last is left out."""
        if at < self._shown_at:
            return True
        message = message_of(picture, self._sent, self._eyes)
        if message and not self.send(message):
            return False
        self._sent, self._shown_at = picture, at
        return True


class SeatFeeds(Feeds[SeatPicture]):
    """The last picture of each watched event. One per process, for its event loop."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(PERIOD, clock)

    def _after(self, known: SeatPicture, found: SeatPicture) -> SeatPicture:
        if known.is_as(found):
            return known  # watchers that have it have no changes to look for
        known.forget_changes()
        return found


def runs(before: bytes, after: bytes) -> list[tuple[int, str]]:
    """The runs in which two equally long texts differ: index of the first letter, and the new letters."""
    if before == after:
        return []
    differing = int.from_bytes(before, "big") ^ int.from_bytes(after, "big")
    marks = differing.to_bytes(len(after), "big")
    found: list[tuple[int, str]] = []
    start = -1
    for index, mark in enumerate(marks):
        if mark and start < 0:
            start = index
        elif not mark and start >= 0:
            found.append((start, after[start:index].decode()))
            start = -1
    if start >= 0:
        found.append((start, after[start:].decode()))
    return found
