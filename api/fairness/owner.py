"""The owner of a request and the lane that it takes, as `api.fairness.shares` counts them."""

from __future__ import annotations

from contextvars import ContextVar
from enum import IntEnum
from typing import NamedTuple


class Lane(IntEnum):
    """The purpose of a request, the most important first."""

    DOOR = 0  # people stand there and wait
    SALE = 1  # holds, payments, logins: the purpose of a drop
    READ = 2
    HEAVY = 3  # large or slow answers: seat maps, the past, documents


class Who(NamedTuple):
    """The owner of a request: its user, "" if not signed in, and its networks, the narrowest first."""

    user: str
    networks: tuple[str, ...]
    lane: Lane = Lane.READ


PLATFORM = Who("", (), Lane.DOOR)  # our own work: it counts in the total, in no share

asking: ContextVar[Who] = ContextVar("asking", default=PLATFORM)
"""The owner of the running request."""
