"""Who is connected to a live stream, and waking them when there is something to read.

A stream holds a flag, not a queue: a slow client costs nothing but its connection, and reads what it missed from
Postgres in bounded batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from api.limits import SSE_CLIENTS_MAX
from api.problem import busy


class Notified(msgspec.Struct, frozen=True, gc=False):
    """A message on `circle:notified`; without users it may concern anybody."""

    user_id: str | None = None
    user_ids: list[str] | None = None
    users: list[str] | None = None


class Live:
    """The live streams of this process, by user."""

    def __init__(self) -> None:
        self._streams: dict[str, set[asyncio.Event]] = {}
        self.clients = 0
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
        """Every stream looks for news."""
        for events in self._streams.values():
            for event in events:
                event.set()

    @contextmanager
    def stream(self, user_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when there may be something for the user. Raises Problem busy (503)."""
        if self.clients >= SSE_CLIENTS_MAX:
            raise busy("too many live streams are open")
        event = asyncio.Event()
        self._streams.setdefault(user_id, set()).add(event)
        self.clients += 1
        try:
            yield event
        finally:
            self.clients -= 1
            self._streams[user_id].discard(event)
            if not self._streams[user_id]:
                del self._streams[user_id]
