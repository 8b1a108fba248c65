"""The open live streams, and how they wake up when there is something to read.

A stream holds a flag, not a queue. So a slow client costs only its connection, and reads missed messages from Postgres
in bounded batches. Users and networks have shares of the streams, and streams of events leave some to the notifications
of buyers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from api.fairness.owner import Lane, asking
from api.fairness.pools import STREAMS
from api.fairness.shares import FairShare, Places
from schemas.ids import UserId


class Notified(msgspec.Struct, frozen=True, gc=False):
    """A message on `circle:notified`; without users it may concern every user."""

    user_id: UserId | None = None
    user_ids: list[UserId] | None = None
    users: list[str] | None = None


class Live:
    """The live streams of this process, by user."""

    def __init__(self, share: FairShare = STREAMS, *, wanted: Callable[[bool], None] = lambda _: None) -> None:
        """`wanted` is called when the first stream opens, with True, and when the last one closes, with False."""
        self._wanted = wanted
        self._streams: dict[str, set[asyncio.Event]] = {}
        self._places = Places(share, "live streams")
        self._decoder = msgspec.json.Decoder(Notified | list[Notified])

    def message(self, data: bytes) -> None:
        """A message of `circle:notified`."""
        found = self._decoder.decode(data)
        for notified in found if isinstance(found, list) else [found]:
            users = notified.user_ids or notified.users or ([notified.user_id] if notified.user_id else None)
            if users is None:
                self.wake_all()
                return
            for user in users:
                for event in self._streams.get(user, ()):
                    event.set()

    def wake_all(self) -> None:
        """Wake every stream."""
        for events in self._streams.values():
            for event in events:
                event.set()

    @property
    def clients(self) -> int:
        """How many streams are open."""
        return self._places.line.running

    @contextmanager
    def stream(self, key: str, lane: Lane = Lane.SALE) -> Iterator[asyncio.Event]:
        """An event that is set when there may be something to read for a user, or about "event/EVENT".

        Raises Problem too-many-at-once (429) and busy (503).
        """
        turn = self._places.take(asking.get()._replace(lane=lane))
        event = asyncio.Event()
        if not self._streams:
            self._wanted(True)
        self._streams.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._places.give_back(turn)
            self._streams[key].discard(event)
            if not self._streams[key]:
                del self._streams[key]
                if not self._streams:
                    self._wanted(False)
