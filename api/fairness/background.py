"""Work that would hold the event loop up, in threads that are shared out: who does not fit is told to come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.fairness.shares import Places, Share, Who

T = TypeVar("T")


class Background:
    """As many threads as the share has places, and the calls that wait for one."""

    def __init__(self, share: Share, what: str) -> None:
        """`what` it does, in the plural, for those who are refused."""
        self._threads = ThreadPoolExecutor(share.places, share.name)
        self._places = Places(share, what)

    @property
    def busy(self) -> int:
        """How many threads are at work."""
        return self._places.line.running

    async def run(self, work: Callable[[], T], who: Who | None = None, *, patience_s: float | None = None) -> T:
        """What `work` returns or raises. Raises Problem too-many-at-once (429) when the share of `who` (whoever is
        asking) is in use, busy (503) when there is no room or no thread was free within `patience_s`."""
        turn = await self._places.enter(who, patience_s=patience_s)
        submitted = self._threads.submit(work)
        running = asyncio.wrap_future(submitted)

        def ended(future: asyncio.Future[T]) -> None:
            self._places.give_back(turn)
            if not future.cancelled():
                future.exception()  # an error that nobody waits for any more is nobody's

        # A caller that goes away does not give back a thread that still works.
        running.add_done_callback(ended)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            submitted.cancel()
            raise

    def close(self) -> None:
        """Forget what waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)
