"""The waiting turns of one lane of `api.fairness.shares`: each user's in order of arrival, the users by rank. Pure."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from api.fairness.owner import Who


class Turn:
    """One request's place, or its place in line. Each of its keys has a cap of places."""

    __slots__ = ("caps", "future", "keys", "lane", "rank", "state", "who")

    def __init__(self, who: Who, keys: tuple[str, ...], caps: tuple[int, ...], rank: int) -> None:
        self.who, self.lane, self.keys, self.caps, self.rank, self.state = who, who.lane, keys, caps, rank, ""
        self.future: asyncio.Future[None] | None = None


class WaitingTurns:
    """A queue of users. A user without a rank of an earlier refusal has the rank of the moment of asking."""

    __slots__ = ("_order", "_ranks", "_turns")

    def __init__(self) -> None:
        self._turns: dict[str, OrderedDict[Turn, None]] = {}
        self._ranks: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Turn]:
        """The first turn of each user."""
        for _, user in self._order:
            yield next(iter(self._turns[user]))

    def all(self) -> Iterator[Turn]:
        """Every turn."""
        for turns in self._turns.values():
            yield from turns

    def last(self, key: str) -> Turn | None:
        """The last user's last turn that counts for a key; "": for any."""
        for _, user in reversed(self._order):
            turn = next(reversed(self._turns[user]))
            if not key or key in turn.keys:
                return turn
        return None

    def add(self, turn: Turn) -> None:
        user = _first_key(turn)
        self._turns.setdefault(user, OrderedDict())[turn] = None
        if user not in self._ranks or turn.rank < self._ranks[user]:
            self._place(user, turn.rank)

    def remove(self, turn: Turn, rank: int) -> None:
        """The user's other turns wait with this rank."""
        user = _first_key(turn)
        del self._turns[user][turn]
        if self._turns[user]:
            self._place(user, rank)
        else:
            del self._turns[user]
            self._drop(user)

    def _place(self, user: str, rank: int) -> None:
        if user in self._ranks:
            self._drop(user)
        self._ranks[user] = rank
        insort(self._order, (rank, user))

    def _drop(self, user: str) -> None:
        del self._order[bisect_left(self._order, (self._ranks.pop(user), user))]


def _first_key(turn: Turn) -> str:
    return turn.keys[0] if turn.keys else ""
