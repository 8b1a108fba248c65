"""Fair shares of what is bounded: so many places in all, so many for one user and for one client network.

Guarantee, for every `Share`: no user and no network has more places than its share, whatever it does, so strangers
always find the rest; no lane uses the places that are kept for those above it; a place that somebody who waits may
have is never empty. Who waits is let in by lane, the door and the sale first, and within a lane by turns among those
who wait, not by who asked most. A lower lane has every PASSED_OVER_MAX-th turn at least, except beside the door.
What does not fit is refused at once, with Retry-After: 429 when a user's own share is used up; 503 when their network's
is, which strangers share, or when there is no room at all. Memory is bounded by the places and the line: who is neither
in nor waiting is not remembered.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import TracebackType
from typing import NamedTuple

from api.http.problem import Problem, busy, retry_after
from api.metrics import METRICS

PASSED_OVER_MAX = 4  # turns that a lane may lose to lanes above it, one after the other


class Lane(IntEnum):
    """What a request is for, the most important first."""

    DOOR = 0  # somebody stands there and waits
    SALE = 1  # holds, payments, logins: what a drop is for
    READ = 2
    HEAVY = 3  # large or slow answers: seat maps, the past, documents


class Who(NamedTuple):
    """Whose a request is: the user if it is signed in, and the networks it comes from, the narrowest first."""

    user: str
    networks: tuple[str, ...]
    lane: Lane = Lane.READ


PLATFORM = Who("", (), Lane.DOOR)  # our own work: in the total, in nobody's share

asking: ContextVar[Who] = ContextVar("asking", default=PLATFORM)
"""Who the running request is from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """The bounds of one pool. A network's signed-in users have its share together, those who are not have it again; a
    wider network (a /48) has twice the share of the one inside."""

    name: str  # as the table in operations has it
    places: int
    user: int
    network: int
    line: int = 0  # who may wait for a place, in all
    user_line: int = 0
    network_line: int = 0
    kept: Mapping[Lane, int] = field(default_factory=dict)  # places that a lane leaves to those above it
    line_kept: Mapping[Lane, int] = field(default_factory=dict)  # and of the line


class Why(StrEnum):
    """Whose share is used up."""

    USER = "user"
    NETWORK = "network"
    ALL = "all"


class Full(Exception):
    """There is no room: none of the user's own, none of the network's, or none at all."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Turn:
    """One request's place, or its place in line. Each of its keys has its cap of places."""

    __slots__ = ("caps", "future", "keys", "lane", "state")

    def __init__(self, lane: Lane, keys: tuple[str, ...], caps: tuple[int, ...]) -> None:
        self.lane, self.keys, self.caps, self.state = lane, keys, caps, ""
        self.future: asyncio.Future[None] | None = None


IN, WAITING, GONE = "in", "waiting", "gone"


class _Counts:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = self.waiting = 0


class Line:
    """Who is in and who waits. No clock, no I/O: what happens depends on the order of the calls alone."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.running = self.waiting = 0
        self._counts: dict[str, _Counts] = {}
        self._lines: dict[Lane, OrderedDict[str, OrderedDict[Turn, None]]] = {lane: OrderedDict() for lane in Lane}
        self._passed_over = dict.fromkeys(Lane, 0)
        self._ceiling = {lane: share.places - share.kept.get(lane, 0) for lane in Lane}
        self._line_ceiling = {lane: share.line - share.line_kept.get(lane, 0) for lane in Lane}

    def ask(self, who: Who) -> Turn:
        """A turn, in at once or waiting. Raises Full."""
        share, keys = self.share, _keys(who)
        turn = Turn(who.lane, keys, _caps(who, share.user, share.network))
        if self._fits(turn):
            self._let_in(turn)
            return turn
        if not share.line:
            used_up = self._used_up(turn)
            raise Full(Why.ALL if used_up is None else _why(used_up))
        ceiling = self._line_ceiling[turn.lane]
        for key, cap in zip(keys, _caps(who, share.user_line, share.network_line), strict=True):
            # What a lane leaves of the whole line to those above it, it leaves of each network's part, too.
            if key in self._counts and self._counts[key].waiting >= max(1, cap * ceiling // share.line):
                raise Full(_why(key))
        if self.waiting >= ceiling:
            raise Full(Why.ALL)
        turn.state = WAITING
        self.waiting += 1
        for key in keys:
            self._counted(key).waiting += 1
        self._lines[turn.lane].setdefault(turn.keys[0] if keys else "", OrderedDict())[turn] = None
        return turn

    def leave(self, turn: Turn) -> list[Turn]:
        """Give the place, or the place in line, back. Whoever is in now because of it."""
        if turn.state == WAITING:
            self._out_of_line(turn)
        elif turn.state == IN:
            self.running -= 1
            for key in turn.keys:
                self._counts[key].running -= 1
                self._forget(key)
        turn.state = GONE
        let_in = []
        while self.waiting and self.running < self.share.places:
            found = self._next()
            if found is None:
                break
            self._out_of_line(found)
            self._let_in(found)
            let_in.append(found)
        return let_in

    def keys_known(self) -> int:
        """How many users and networks are remembered."""
        return len(self._counts)

    def _next(self) -> Turn | None:
        """Whose turn it is: the first lane with somebody who fits, unless one below it was passed over too often."""
        fitting = [(lane, turn) for lane in Lane if self._lines[lane] and (turn := self._first(lane)) is not None]
        if not fitting:
            return None
        chosen, turn = fitting[0]
        if chosen is not Lane.DOOR:
            for lane, other in fitting[1:]:
                if self._passed_over[lane] >= PASSED_OVER_MAX - 1:
                    chosen, turn = lane, other
                    break
            for lane, _ in fitting:
                self._passed_over[lane] = 0 if lane is chosen else self._passed_over[lane] + (lane > chosen)
        return turn

    def _first(self, lane: Lane) -> Turn | None:
        """The first in a lane who fits. One key's turns stand behind each other, and only the first is looked at."""
        if self.running >= self._ceiling[lane]:
            return None
        for turns in self._lines[lane].values():
            turn = next(iter(turns))
            if self._used_up(turn) is None:
                return turn
        return None

    def _fits(self, turn: Turn) -> bool:
        return self.running < self._ceiling[turn.lane] and self._used_up(turn) is None

    def _used_up(self, turn: Turn) -> str | None:
        """The first of a turn's keys that has all its places; None while each has one left."""
        for key, cap in zip(turn.keys, turn.caps, strict=True):
            counts = self._counts.get(key)
            if counts is not None and counts.running >= cap:
                return key
        return None

    def _let_in(self, turn: Turn) -> None:
        turn.state = IN
        self.running += 1
        for key in turn.keys:
            self._counted(key).running += 1

    def _out_of_line(self, turn: Turn) -> None:
        line, first = self._lines[turn.lane], turn.keys[0] if turn.keys else ""
        turns = line[first]
        del turns[turn]
        if turns:
            line.move_to_end(first)
        else:
            del line[first]
        self.waiting -= 1
        for key in turn.keys:
            self._counts[key].waiting -= 1
            self._forget(key)

    def _counted(self, key: str) -> _Counts:
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = _Counts()
        return counts

    def _forget(self, key: str) -> None:
        counts = self._counts[key]
        if not counts.running and not counts.waiting:
            del self._counts[key]


_USER = "u"


def _why(key: str) -> Why:
    return Why.USER if key[0] == _USER else Why.NETWORK


def _keys(who: Who) -> tuple[str, ...]:
    """The user, then the networks. Those who are signed in are counted apart from those who are not."""
    if who.user:
        return (_USER + who.user, *["s" + network for network in who.networks])
    return tuple(["n" + network for network in who.networks])


def _caps(who: Who, user: int, network: int) -> tuple[int, ...]:
    """What each of the keys may have; a wider network twice as much as the one inside."""
    networks = [network << place for place in range(len(who.networks))]
    return (user, *networks) if who.user else tuple(networks)


class Places:
    """A pool that is shared out: `async with places.of(who)` holds a place. Not for use outside its event loop."""

    def __init__(self, share: Share, what: str) -> None:
        """`what` is being used up, in the plural, for those who are refused: "drawings"."""
        self.line = Line(share)
        self._what = what

    def of(self, who: Who | None = None, *, patience_s: float | None = None) -> Held:
        """A place for `who` (whoever is asking, if nobody is named), within `patience_s` if it is given. Entering it
        raises Problem too-many-at-once (429) or busy (503)."""
        return Held(self, who, patience_s)

    async def enter(self, who: Who | None = None, *, patience_s: float | None = None) -> Turn:
        """The same for what ends elsewhere: whoever enters gives back."""
        try:
            turn = self.line.ask(who if who is not None else asking.get())
        except Full as full:
            raise self.refused(full.why) from None
        if turn.state == WAITING:
            turn.future = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(patience_s):
                    await turn.future
            except BaseException as error:
                self.give_back(turn)
                if isinstance(error, TimeoutError):
                    raise self.refused(Why.ALL) from None
                raise
        return turn

    def take(self, who: Who | None = None) -> Turn:
        """A place at once, or none: for what has no line. Raises as `of` does."""
        try:
            turn = self.line.ask(who if who is not None else asking.get())
        except Full as full:
            raise self.refused(full.why) from None
        assert turn.state == IN, "a share with a line is waited for"
        return turn

    def give_back(self, turn: Turn) -> None:
        """The place is free."""
        for other in self.line.leave(turn):
            assert other.future is not None
            if not other.future.done():
                other.future.set_result(None)

    def refused(self, why: Why) -> Problem:
        """The answer to who does not fit."""
        METRICS.share_refused(self.line.share.name, why)
        if why is Why.USER:
            detail = f"you have too many {self._what} under way; let some end first"
            return Problem("too-many-at-once", detail, headers=retry_after())
        return busy(f"too many {self._what} are under way{' from your network' if why is Why.NETWORK else ''}")


class Held:
    """A place, for the time of an `async with`."""

    __slots__ = ("_patience_s", "_places", "_turn", "_who")

    def __init__(self, places: Places, who: Who | None, patience_s: float | None) -> None:
        self._places, self._who, self._patience_s = places, who, patience_s
        self._turn: Turn | None = None

    async def __aenter__(self) -> None:
        self._turn = await self._places.enter(self._who, patience_s=self._patience_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._turn is not None
        self._places.give_back(self._turn)
