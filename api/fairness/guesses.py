"""Limits guesses of promo and access codes.

Wrong codes count for their user, their network and their event. Past a limit the answer is 429 before any look-up, also
for right codes, so it reveals nothing about the code.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from api.fairness.rate_limits import ADDRESS_GUESSES, EVENT_GUESSES, USER_GUESSES, Rate, rates_of_address
from api.fairness.shared_rate_limits import SharedLimiter
from api.http.client_address import ClientAddress
from api.http.problem import Problem, retry_after
from schemas.ids import EventId, UserId

SHUT_MAX = 50_000  # keys over their limit; about 10 MB


class Guesses:
    """Wrong codes, counted for all processes together. Each process remembers the keys over a limit."""

    def __init__(self, limiter: SharedLimiter, clock: Callable[[], float] = monotonic) -> None:
        self._limiter, self._clock = limiter, clock
        self._shut: OrderedDict[tuple[str, str], float] = OrderedDict()

    def check(self, event_id: EventId, user_id: UserId | None, address: ClientAddress) -> None:
        """Raises Problem rate-limited (429) while the user, the network or the event is over its limit."""
        if not self._shut:
            return
        now = self._clock()
        for rate, key in _keys(event_id, user_id, address):
            until = self._shut.get((rate.name, key), now)
            if until > now:
                raise _too_many(rate, until - now)

    async def wrong(self, event_id: EventId, user_id: UserId | None, address: ClientAddress) -> None:
        """Count a wrong code. Raises Problem rate-limited (429) if it goes over a limit."""
        for rate, key in _keys(event_id, user_id, address):
            try:
                await self._limiter.take(rate, key)
            except Problem as problem:
                wait = float(problem.extensions.get("retry_after_s", 1.0))
                self._shut[(rate.name, key)] = self._clock() + wait
                self._shut.move_to_end((rate.name, key))
                if len(self._shut) > SHUT_MAX:
                    self._shut.popitem(last=False)
                raise


def _keys(event_id: EventId, user_id: UserId | None, address: ClientAddress) -> list[tuple[Rate, str]]:
    keys = [*zip(rates_of_address(ADDRESS_GUESSES), address.keys, strict=False), (EVENT_GUESSES, event_id)]
    return keys if user_id is None else [(USER_GUESSES, user_id), *keys]


def _too_many(rate: Rate, wait: float) -> Problem:
    return Problem("rate-limited", f"too many {rate.name}", headers=retry_after(wait), retry_after_s=round(wait, 3))
