"""The slowest requests of the last minutes, of every API process, with their traces. No payload and no id of a user.

Operators' own requests are left out: those to the log run where the processor is idle, and would fill the list.

Guarantee: a process keeps at most KEPT_MAX requests. A fast request costs one comparison.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

SLOW_REQUESTS = "circle:slow-requests"
KEPT_MAX = 20
KEPT_S = 600.0
OPERATORS = "/v1/operator/"
SLOW_S = 0.1  # an answer that takes longer is noticed by a person
TRACEPARENT_CHARS = 55  # W3C Trace Context


class SlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that took long. `at` is its end, seconds since the epoch; `trace` is "" without one."""

    at: float
    method: str
    route: str
    status: int
    seconds: float
    trace: str


class SlowRequests:
    """The slowest requests of this process."""

    def __init__(self) -> None:
        self._kept: list[SlowRequest] = []
        self.floor_s = SLOW_S

    def note(self, method: str, route: str, status: int, seconds: float, traceparent: str | None) -> None:
        """Keep a request that took longer than `floor_s`."""
        if route.startswith(OPERATORS):
            return
        trace = traceparent.split("-")[1] if traceparent and len(traceparent) == TRACEPARENT_CHARS else ""
        found = SlowRequest(
            at=time.time(), method=method, route=route, status=status, seconds=round(seconds, 4), trace=trace
        )
        self._kept = slowest([*self._kept, found], found.at)
        self.floor_s = self._kept[-1].seconds if len(self._kept) == KEPT_MAX else SLOW_S

    def report(self, now_s: float) -> bytes:
        """What is kept now, for Redis."""
        self._kept = slowest(self._kept, now_s)
        self.floor_s = self._kept[-1].seconds if len(self._kept) == KEPT_MAX else SLOW_S
        return msgspec.json.encode(self._kept)


def slowest(requests: Iterable[SlowRequest], now_s: float) -> list[SlowRequest]:
    """The slowest of the last KEPT_S, the slowest first, at most KEPT_MAX."""
    fresh = [one for one in requests if now_s - one.at <= KEPT_S]
    return sorted(fresh, key=lambda one: -one.seconds)[:KEPT_MAX]


def together(reports: Iterable[bytes], now_s: float) -> list[SlowRequest]:
    """The slowest of all processes. A report of another release counts as empty."""
    found: list[SlowRequest] = []
    for text in reports:
        try:
            found += msgspec.json.decode(text, type=list[SlowRequest])
        except msgspec.MsgspecError:
            continue
    return slowest(found, now_s)
