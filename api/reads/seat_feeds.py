"""Seat maps that are watched: one reading for all watchers of an event, and the changes since a watcher's last message.

Guarantee: a feed reads an event's seats at most every FEED_PAUSE_S, and takes at most FEED_PART_MAX of the time for it.
A watcher has no queue: its next message holds all changes since its last one, so a slow watcher gets fewer, larger
messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from api.fairness.shared_fetch import SharedFetch
from api.reads.seat_sections import SeatSection
from schemas.ids import EventId, TicketTypeId

FEED_PAUSE_S = 0.25
FEED_PART_MAX = 0.05  # of the time, for one event
FEEDS_MAX = 100  # events whose last picture is kept
CHANGES_KEPT = 16  # of one picture: slow watchers differ in their last one

Changes = dict[TicketTypeId, list[tuple[int, str]]]


class SeatPicture:
    """An event's sections at one moment, of all ticket types; `hidden` are those that only some callers see."""

    def __init__(self, sections: Sequence[SeatSection], hidden: dict[TicketTypeId, bool]) -> None:
        self.sections = {one.ticket_type_id: one for one in sections}
        self.hidden = hidden
        self.layout = [(one.ticket_type_id, one.name, one.rows, one.seats_per_row) for one in sections]
        self._changes: OrderedDict[int, tuple[SeatPicture, Changes]] = OrderedDict()

    def changes_since(self, earlier: SeatPicture) -> Changes | None:
        """By section: runs of letters that differ, with the index of their first seat. None for another layout."""
        if earlier.layout != self.layout or earlier.hidden != self.hidden:
            return None
        known = self._changes.get(id(earlier))
        if known is not None:
            return known[1]
        changes = {key: runs(earlier.sections[key].letters, one.letters) for key, one in self.sections.items()}
        changes = {key: found for key, found in changes.items() if found}
        self._changes[id(earlier)] = earlier, changes  # holds the picture, so that its id stays its own
        if len(self._changes) > CHANGES_KEPT:
            self._changes.popitem(last=False)
        return changes

    def is_as(self, other: SeatPicture) -> bool:
        """Whether both show the same."""
        return self.layout == other.layout and self.hidden == other.hidden and self.sections == other.sections

    def forget_changes(self) -> None:
        """Let earlier pictures go: watchers look for the changes of the newest one only."""
        self._changes.clear()


class SeatFeeds:
    """The last picture of each watched event. One per process, for its event loop."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._pictures: OrderedDict[EventId, tuple[float, SeatPicture]] = OrderedDict()
        self._fetches: SharedFetch[SeatPicture] = SharedFetch()

    async def get(self, event_id: EventId, read: Callable[[], Awaitable[SeatPicture]]) -> SeatPicture:
        """The event's picture: the last one, or a new one if it may be read now. Raises what `read` raises."""
        known = self._pictures.get(event_id)
        if known is not None and self._clock() < known[0]:
            return known[1]
        return await self._fetches.get(event_id, lambda: self._read(event_id, read))

    async def _read(self, event_id: EventId, read: Callable[[], Awaitable[SeatPicture]]) -> SeatPicture:
        known, began = self._pictures.get(event_id), self._clock()
        if known is not None and began < known[0]:
            return known[1]  # read while this call waited
        picture = await read()
        ended = self._clock()
        if known is not None and known[1].is_as(picture):
            picture = known[1]  # watchers that have it have no changes to look for
        elif known is not None:
            known[1].forget_changes()
        self._pictures[event_id] = ended + max(FEED_PAUSE_S, (ended - began) / FEED_PART_MAX), picture
        self._pictures.move_to_end(event_id)
        if len(self._pictures) > FEEDS_MAX:
            self._pictures.popitem(last=False)
        return picture


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
