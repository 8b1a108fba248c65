"""Runs slow work in threads, outside the event loop, with fair shares. A request without a place gets 429 or 503."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from api.fairness.limits import SWITCH_S
from api.fairness.owner import Who
from api.fairness.shares import FairShare, Places

T = TypeVar("T")


class Background:
    """As many threads as the share has places, and the calls that wait for one."""

    def __init__(self, share: FairShare, what: str) -> None:
        """`what` names the work in the plural, for the text of a refusal."""
        sys.setswitchinterval(SWITCH_S)
        self._threads = ThreadPoolExecutor(share.places, share.name)
        self._places = Places(share, what)

    @property
    def busy(self) -> int:
        """How many threads are working."""
        return self._places.line.running

    async def run(self, work: Callable[[], T], who: Who | None = None, *, patience_s: float | None = None) -> T:
        """What `work` returns or raises. `who` is by default the running request's owner. Raises Problem
        too-many-at-once (429) if their share is used up, busy (503) without a place or a thread in `patience_s`."""
        turn = await self._places.enter(who, patience_s=patience_s)
        submitted = self._threads.submit(work)
        running = asyncio.wrap_future(submitted)

        def ended(future: asyncio.Future[T]) -> None:
            self._places.give_back(turn)
            if not future.cancelled():
                future.exception()  # retrieve the error: no caller waits for it any more

        # If the caller disconnects, the thread keeps its place until its work ends.
        running.add_done_callback(ended)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            submitted.cancel()
            raise

    def close(self) -> None:
        """Drop the waiting work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
