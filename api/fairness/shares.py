"""Fair shares of a bounded pool: a number of places in all, for one user, and for one client network.

Guarantee, for every `FairShare`: no user and no network has more places than its share, so the rest stays for others.
No lane uses places that are reserved for the lanes above it. No place stays empty while a waiting request may have it.
Waiting requests enter by lane, the door and the sale first. Within a lane the users and networks take turns, however
many requests each has. A lower lane gets at least every PASSED_OVER_MAX-th turn, except when the door waits.
A request may have a rank from an earlier refusal: a user enters before all users with a later rank.
A line can be resized while it is used. Its shares, and what its lanes leave to others, shrink and grow with it. For a
request that was asked to come, the line stays as long as it was at first.
A request without a place is refused at once, with Retry-After: 429 if the user's own share is used up; 503 if the share
of their network, which others use too, or the whole pool is used up. Memory is bounded by the places and the line:
only keys that are in or waiting are remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType
from weakref import WeakSet

from api.fairness.owner import Lane, Who, asking
from api.fairness.waiting_turns import Turn, WaitingTurns
from api.http.problem import Problem, busy, retry_after
from api.metrics import METRICS

PASSED_OVER_MAX = 4  # turns in a row that a lane may lose to lanes above it


@dataclass(frozen=True, kw_only=True, slots=True)
class FairShare:
    """The bounds of one pool. A network's signed-in users share one network share, all its other clients a second one.
    A wider network (a /48) has twice the share of the one inside."""

    name: str  # as in the table in operations
    places: int
    user: int
    network: int
    line: int = 0  # how many requests may wait for a place, in all
    user_line: int = 0
    network_line: int = 0
    kept: Mapping[Lane, int] = field(default_factory=dict)  # places that a lane leaves to the lanes above it
    line_kept: Mapping[Lane, int] = field(default_factory=dict)  # the same for the line

    def scaled(self, places: int) -> FairShare:
        """The share with so many places, and all its other bounds in proportion. Each bound stays 1 at least."""

        def part(bound: int) -> int:
            return max(1, bound * places // self.places) if bound else 0

        return replace(
            self,
            places=places,
            user=part(self.user),
            network=part(self.network),
            line=part(self.line),
            user_line=part(self.user_line),
            network_line=part(self.network_line),
            kept={lane: kept * places // self.places for lane, kept in self.kept.items()},
            line_kept={lane: kept * places // self.places for lane, kept in self.line_kept.items()},
        )


class Why(StrEnum):
    """Which share is used up."""

    USER = "user"
    NETWORK = "network"
    ALL = "all"


class Full(Exception):
    """There is no place: the user's share, the network's share or the whole pool is used up.

    `rank` is the refused request's: with it, a later one is let in before all that come after this moment. `key` is
    the user or network whose share is used up, "" for the whole pool."""

    def __init__(self, why: Why, rank: int, key: str = "") -> None:
        super().__init__(why)
        self.why, self.rank, self.key = why, rank, key


IN, WAITING, GONE = "in", "waiting", "gone"


class _Counts:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = self.waiting = 0


LINES: WeakSet[Line] = WeakSet()
"""Every line of this process, for its metrics."""


def occupied() -> dict[str, tuple[int, int]]:
    """How many requests are in each share now, and how many wait."""
    found: dict[str, tuple[int, int]] = {}
    for line in LINES:
        running, waiting = found.get(line.share.name, (0, 0))
        found[line.share.name] = running + line.running, waiting + line.waiting
    return found


class Line:
    """The requests that are in and that wait. No clock, no I/O: the result depends only on the order of the calls."""

    def __init__(self, share: FairShare) -> None:
        self.running = self.waiting = 0
        LINES.add(self)
        self._counts: dict[str, _Counts] = {}
        self._lines = {lane: WaitingTurns() for lane in Lane}
        self._passed_over = dict.fromkeys(Lane, 0)
        self._ranks = 0
        self._whole_share = share
        self._bound(share)

    def _bound(self, share: FairShare) -> None:
        self.share = share
        self._ceiling = {lane: share.places - share.kept.get(lane, 0) for lane in Lane}

    def resize(self, share: FairShare) -> list[Turn]:
        """Use these bounds from now on. The turns that are in stay in. Returns the turns that are in because of it."""
        self._bound(share)
        for line in self._lines.values():
            for turn in line.all():
                turn.caps = _caps(turn.who, share.user, share.network)
        return self._fill()

    def ask(self, who: Who, rank: int | None = None, *, invited: bool = False) -> Turn:
        """A turn, in at once or waiting. Raises Full. `rank` is that of an earlier refusal, if there was one.

        `invited`: the refusal named this moment, so the line's bounds are those it had before it was resized."""
        share, keys = self.share, _keys(who)
        if rank is None:
            rank = self._ranks = self._ranks + 1
        turn = Turn(who, keys, _caps(who, share.user, share.network), rank)
        if self._fits(turn):
            self._let_in(turn)
            return turn
        if not share.line:
            used_up = self._used_up(turn)
            raise Full(Why.ALL if used_up is None else _why(used_up), rank, used_up or "")
        bounds = self._whole_share if invited else share
        ceiling = bounds.line - bounds.line_kept.get(turn.lane, 0)
        for key, cap in zip(keys, _caps(who, bounds.user_line, bounds.network_line), strict=True):
            # A lane leaves the same part of each network's line to the lanes above it as of the whole line.
            if key in self._counts and self._counts[key].waiting >= max(1, cap * ceiling // bounds.line):
                raise Full(_why(key), rank, key)
        if self.waiting >= ceiling:
            raise Full(Why.ALL, rank)
        turn.state = WAITING
        self.waiting += 1
        for key in keys:
            self._counted(key).waiting += 1
        self._lines[turn.lane].add(turn)
        return turn

    def last_after(self, lane: Lane, full: Full) -> Turn | None:
        """The last waiting turn of a lane whose share a refused request lacks, if it has a later rank."""
        turn = self._lines[lane].last(full.key)
        return turn if turn is not None and turn.rank > full.rank else None

    def leave(self, turn: Turn) -> list[Turn]:
        """Give back a place, or a place in line. Returns the turns that are in because of it."""
        if turn.state == WAITING:
            self._out_of_line(turn)
        elif turn.state == IN:
            self.running -= 1
            for key in turn.keys:
                self._counts[key].running -= 1
                self._forget(key)
        turn.state = GONE
        return self._fill()

    def _fill(self) -> list[Turn]:
        let_in = []
        while self.waiting and self.running < self.share.places:
            turn_in = self._next()
            if turn_in is None:
                break
            self._out_of_line(turn_in)
            self._let_in(turn_in)
            let_in.append(turn_in)
        return let_in

    def keys_known(self) -> int:
        """How many users and networks are remembered."""
        return len(self._counts)

    def _next(self) -> Turn | None:
        """The next turn: from the first lane with a turn that fits, unless a lower lane was passed over too often."""
        fitting = [(lane, turn) for lane in Lane if len(self._lines[lane]) and (turn := self._first(lane)) is not None]
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
        """The first turn in a lane that fits. The turns of one key form a queue, and only its first can enter."""
        if self.running >= self._ceiling[lane]:
            return None
        return next((turn for turn in self._lines[lane] if self._used_up(turn) is None), None)

    def _fits(self, turn: Turn) -> bool:
        return self.running < self._ceiling[turn.lane] and self._used_up(turn) is None

    def _used_up(self, turn: Turn) -> str | None:
        """The first of a turn's keys without a free place; None if each has one."""
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
        self._ranks += 1
        self._lines[turn.lane].remove(turn, self._ranks)
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
    """The user, then the networks. Signed-in users and other clients are counted separately."""
    if who.user:
        return (_USER + who.user, *["s" + network for network in who.networks])
    return tuple(["n" + network for network in who.networks])


def _caps(who: Who, user: int, network: int) -> tuple[int, ...]:
    """The caps of the keys. A wider network has twice as many places as the one inside."""
    networks = [network << place for place in range(len(who.networks))]
    return (user, *networks) if who.user else tuple(networks)


class Places:
    """A pool with fair shares: `async with places.of(who)` holds a place. Not for use outside its event loop."""

    def __init__(self, share: FairShare, what: str) -> None:
        """`what` names the work in the plural, for the text of a refusal: "drawings"."""
        self.line = Line(share)
        self._what = what

    def of(self, who: Who | None = None, *, patience_s: float | None = None) -> Held:
        """A place for `who`, by default the running request's owner, within `patience_s` seconds if given. Entering it
        raises Problem too-many-at-once (429) or busy (503)."""
        return Held(self, who, patience_s)

    async def enter(self, who: Who | None = None, *, patience_s: float | None = None) -> Turn:
        """Enter a place that the caller gives back elsewhere, with `give_back`."""
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
        """A place at once or none, for a pool without a line. Raises as `of` does."""
        try:
            turn = self.line.ask(who if who is not None else asking.get())
        except Full as full:
            raise self.refused(full.why) from None
        assert turn.state == IN, "a share with a line is waited for"
        return turn

    def give_back(self, turn: Turn) -> None:
        """Free the place, and let waiting turns in."""
        for other in self.line.leave(turn):
            assert other.future is not None
            if not other.future.done():
                other.future.set_result(None)

    def refused(self, why: Why) -> Problem:
        """The problem for a request without a place."""
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
