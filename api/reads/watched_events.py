"""An event that live streams watch: its state can be newer when the rows of its partition are."""

from __future__ import annotations

from typing import TypeVar

from api.deps import ApiDeps
from api.http.stream_groups import LiveFeed, LiveStream
from schemas.ids import EventId

S = TypeVar("S", bound=LiveStream)


class WatchedEvent(LiveFeed[S]):
    """What all kinds of streams of an event share."""

    def __init__(self, deps: ApiDeps, event_id: EventId, partition: int) -> None:
        self.deps, self.event_id, self.partition = deps, event_id, partition

    def position(self) -> int:
        """The last position of the event's partition whose rows are there."""
        return self.deps.watermarks.applied(self.partition)

    async def changed(self, position: int, patience_s: float) -> bool:
        """Whether rows of a later position come."""
        return await self.deps.watermarks.wait(self.partition, position + 1, patience_s, ask=False)
