"""Admission of commands to the log: while decisions take too long, later commands are refused, and queues stay short.

Every partition has a gate of its own, since one event's rush slows down one partition. A gate lets as many undecided
commands through as `api.fairness.delay_control` allows; further ones wait PATIENCE_S at most in a short line.

Guarantees, for each gate of a process:
- Users take turns in line, and no user and no network has more than its share of the gate (`api.fairness.shares`).
- A refusal says when its user's turn comes: at the rate of decisions, after all who were refused before. From then on
  the user goes before everybody who asked later, and a full line gives up its latest request for an earlier one.
- A worker may have become slower since. So a user whose turn has come waits as long as what goes on with a sale, in a
  line that does not shrink.
- A retry before that moment gains nothing: it is refused with the remaining time, and changes nothing.
- What goes on with a sale (a payment, a release, a change of a hold) has places of its own, is first in line and waits
  longer there: ADMISSION_HOLD_S. The door is never refused.
- Memory is bounded: REFUSED_MAX users are remembered, the ones refused longest ago are forgotten first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic

from api.fairness.delay_control import DelayControl
from api.fairness.limits import (
    ADMISSION_CALM_S,
    ADMISSION_HOLD_S,
    ADMISSION_LEAST,
    ADMISSION_PATIENCE_S,
    ADMISSION_REFUSED_MAX,
    ADMISSION_RETRY_S_MAX,
)
from api.fairness.loop_lag import LoopLag
from api.fairness.owner import Lane, Who, asking
from api.fairness.pools import UNDECIDED
from api.fairness.shares import IN, WAITING, FairShare, Full, Line, Why
from api.fairness.waiting_turns import Turn
from api.http.problem import Problem, retry_after
from api.metrics import METRICS
from schemas.commands import Command, JoinWaitlist, ReserveTickets
from schemas.ids import CommandId
from schemas.placement import home_of
from schemas.replies import Reply

BEGIN_A_SALE = (ReserveTickets, JoinWaitlist)
EARLY_S = 0.05  # clocks and timers differ by less
RETURN_S = 0.5  # after the moment that Retry-After names, for a client that obeys it
RETURNS_MIN = 0.05
RETURNS_COUNTED = 1_000
NO_COMMAND = CommandId("")


@dataclass(frozen=True, slots=True)
class _Refusal:
    rank: int
    until: float


class _Returns:
    """Which share of the refused users comes back when their turn has come. Only those need a turn."""

    __slots__ = ("_due", "_kept", "_passed")

    def __init__(self) -> None:
        self._due: deque[float] = deque(maxlen=ADMISSION_REFUSED_MAX)
        self._kept = self._passed = 0.0

    @property
    def share(self) -> float:
        """Between RETURNS_MIN and 1; 1 until something is known."""
        return min(1.0, max(RETURNS_MIN, (self._kept + 1) / (self._passed + 1)))

    def promised(self, until: float) -> None:
        self._due.append(until)

    def kept(self) -> None:
        self._kept += 1

    def look(self, now: float) -> None:
        """Count the turns that are over. Older turns count less."""
        while self._due and self._due[0] + RETURN_S < now:
            self._due.popleft()
            self._passed += 1
        if self._passed > RETURNS_COUNTED:
            self._kept, self._passed = self._kept / 2, self._passed / 2


class Passage:
    """One command's way through a gate. It is under way until it is decided, or given up."""

    __slots__ = ("_gate", "_held", "_turn", "command_id", "sent_at")

    def __init__(self, gate: PartitionGate | None, turn: Turn | None, sent_at: float) -> None:
        self._gate, self._turn, self.sent_at = gate, turn, sent_at
        self._held, self.command_id = False, NO_COMMAND

    def probes(self, command_id: CommandId) -> bool:
        """Whether a command whose request waits for no reply should ask for one. One at a time does, to measure."""
        gate = self._gate
        if gate is None or gate.probe is not None or not gate.hears():
            return False
        gate.probe, self.command_id = self, command_id
        return True

    def acknowledged(self, offset: int) -> None:
        """The log has the command at `offset`, and its request ends. The place stays taken until the decision."""
        if self._gate is not None and self._gate.hears():
            self._held = self._gate.holds(offset, self)

    def decided(self, offset: int) -> None:
        """The first reply has come. It also ends those that are before it on the log."""
        gate = self._gate
        if gate is not None:
            now = gate.clock()
            gate.control.decided(gate.worker_s(now - self.sent_at, now))
            self._end(gate)
            gate.decided_up_to(offset)

    def left(self) -> None:
        """The request ends. A command that is only acknowledged keeps its place."""
        if self._gate is not None and not self._held:
            self._end(self._gate)

    def expired(self) -> None:
        """No word of the decision came for too long."""
        if self._gate is not None:
            self._end(self._gate)

    def _end(self, gate: PartitionGate) -> None:
        self._gate = None
        gate.ended(self, self._turn)


UNLIMITED = Passage(None, None, 0.0)
"""The passage of our own records, and of all where admission is switched off."""


class PartitionGate:
    """The undecided commands of one partition, of this process."""

    def __init__(
        self,
        share: FairShare,
        *,
        target_s: float,
        hears: Callable[[], bool],
        clock: Callable[[], float],
        lag: LoopLag | None = None,
    ) -> None:
        self.clock, self.hears = clock, hears
        self._lag = lag or LoopLag(clock, METRICS.loop_lag.observe)
        now = clock()
        self.control = DelayControl(target_s=target_s, least=ADMISSION_LEAST, most=share.places, now=now)
        self.line = Line(share)
        self.probe: Passage | None = None
        self._share = share
        self._undecided: OrderedDict[Passage, None] = OrderedDict()
        self._acknowledged: deque[tuple[int, Passage]] = deque()
        self._decided_up_to = -1
        self._refused: OrderedDict[str, _Refusal] = OrderedDict()
        self._returns = _Returns()
        self._next_turn = self._refused_at = float("-inf")

    async def enter(self, who: Who, *, begins: bool) -> Passage:
        """Raises Problem busy (503), rate-limited and too-many-at-once (429), all with Retry-After."""
        if not self.hears():
            return UNLIMITED
        now = self.clock()
        self._look(now)
        self._returns.look(now)
        if who.lane is Lane.DOOR:
            return self._passed(None)
        if who.lane is Lane.SALE and not begins:
            who = who._replace(lane=Lane.DOOR)
        name = who.user or (who.networks[0] if who.networks else "")
        known = self._refused.get(name) if begins else None
        if known is not None:
            if now < known.until - EARLY_S and now - self._refused_at < ADMISSION_CALM_S:
                METRICS.share_refused(self._share.name, "early")
                raise _too_early(known.until - now)
            self._returns.kept()
        try:
            turn = self._ask(who, known)
        except Full as full:
            raise self._refuse(name, full, begins=begins) from None
        if turn.state == WAITING:
            await self._wait(turn, ADMISSION_PATIENCE_S if begins and known is None else ADMISSION_HOLD_S)
            if turn.state != IN:
                raise self._refuse(name, Full(Why.ALL, turn.rank), begins=begins)
        if known is not None:
            self._refused.pop(name, None)
        return self._passed(turn)

    def worker_s(self, delay_s: float, now: float) -> float:
        """The part of a delay, seen `now`, that is not this process's own: a reply waits until the loop looks at it."""
        return max(0.0, delay_s - self._lag.seconds(now))

    def ended(self, passage: Passage, turn: Turn | None) -> None:
        """A command is not under way any more."""
        if self.probe is passage:
            self.probe = None
        del self._undecided[passage]
        if turn is not None:
            self._let_in(self.line.leave(turn))

    def decided_up_to(self, offset: int) -> None:
        """The partition's commands up to `offset` are decided: decisions come in the log's order."""
        self._decided_up_to = max(self._decided_up_to, offset)
        while self._acknowledged and self._acknowledged[0][0] <= offset:
            self._acknowledged.popleft()[1].expired()

    def holds(self, offset: int, passage: Passage) -> bool:
        """Whether an acknowledged command is undecided yet. It then stays under way."""
        if offset <= self._decided_up_to:
            return False
        self._acknowledged.append((offset, passage))
        return True

    def refused(self, name: str, rank: int, until: float) -> None:
        """Remember a user's turn, and that it does not come before `until`."""
        self._refused[name] = _Refusal(rank, until)
        self._refused.move_to_end(name)
        if len(self._refused) > ADMISSION_REFUSED_MAX:
            self._refused.popitem(last=False)

    def remembered(self) -> int:
        """How many users wait for their turn."""
        return len(self._refused)

    def _passed(self, turn: Turn | None) -> Passage:
        now = self.clock()
        self._lag.use(now)
        passage = Passage(self, turn, now)
        self._undecided[passage] = None
        return passage

    def _look(self, now: float) -> None:
        while self._acknowledged and now - self._acknowledged[0][1].sent_at > ADMISSION_HOLD_S:
            self._acknowledged.popleft()[1].expired()
        oldest_s = now - next(iter(self._undecided)).sent_at if self._undecided else 0.0
        if self.control.adjusted(now, len(self._undecided), self.worker_s(oldest_s, now)):
            self._let_in(self.line.resize(self._share.scaled(self.control.limit)))

    def _ask(self, who: Who, known: _Refusal | None) -> Turn:
        invited = known is not None
        try:
            return self.line.ask(who, known.rank if known is not None else None, invited=invited)
        except Full as full:
            later = self.line.last_after(who.lane, full) if full.why is not Why.USER else None
            if later is None:
                raise
            self._let_in(self.line.leave(later))
            if later.future is not None and not later.future.done():
                later.future.set_result(None)
            return self.line.ask(who, full.rank, invited=invited)

    async def _wait(self, turn: Turn, patience_s: float) -> None:
        """Until the turn is in, or gone: its patience is over, or an earlier one took its place in line."""
        loop = asyncio.get_running_loop()
        turn.future = loop.create_future()
        timer = loop.call_later(patience_s, self._give_up, turn)
        try:
            await turn.future
        except asyncio.CancelledError:
            self._let_in(self.line.leave(turn))
            raise
        finally:
            timer.cancel()

    def _give_up(self, turn: Turn) -> None:
        if turn.state == WAITING:
            self._let_in(self.line.leave(turn))
            if turn.future is not None and not turn.future.done():
                turn.future.set_result(None)

    def _let_in(self, turns: list[Turn]) -> None:
        for turn in turns:
            if turn.future is not None and not turn.future.done():
                turn.future.set_result(None)

    def _refuse(self, name: str, full: Full, *, begins: bool) -> Problem:
        """The refusal. It gives its user a turn after those of the users that were refused before."""
        METRICS.share_refused(self._share.name, full.why)
        now = self.clock()
        self._refused_at = now
        wait_s = 1.0
        if begins:
            rate = max(self.control.rate_per_s, ADMISSION_LEAST / ADMISSION_HOLD_S)
            turn_s = self._returns.share / rate
            self._next_turn = min(max(self._next_turn, now) + turn_s, now + ADMISSION_RETRY_S_MAX)
            wait_s = float(max(1, ceil(self._next_turn - now)))  # as Retry-After says it
            self._returns.promised(now + wait_s)
            self.refused(name, full.rank, now + wait_s)
        if full.why is Why.USER:
            detail = "you have too many requests to the log under way; let some end first"
            return Problem("too-many-at-once", detail, headers=retry_after(wait_s), retry_after_s=wait_s)
        detail = f"more requests come than can be decided in time; your turn comes in {wait_s:.0f} s"
        return Problem("busy", detail, headers=retry_after(wait_s), retry_after_s=wait_s)


class Admission:
    """The gates of all partitions. Not for use outside its event loop."""

    def __init__(
        self, *, partitions: int, target_s: float, hears: Callable[[], bool], clock: Callable[[], float] = monotonic
    ) -> None:
        """`target_s`: how long a decision may take before later commands are refused; 0 lets all through. `hears`:
        whether replies reach this process."""
        lag = LoopLag(clock, METRICS.loop_lag.observe)
        self._gates = [
            PartitionGate(UNDECIDED, target_s=target_s, hears=hears, clock=clock, lag=lag)
            for _ in range(partitions if target_s else 0)
        ]

    async def enter(self, command: Command) -> Passage:
        """The running request's command passes its event's gate. Raises Problem busy (503), rate-limited and
        too-many-at-once (429)."""
        if not self._gates:
            return UNLIMITED
        gate = self._gates[home_of(command.event_id, len(self._gates))]
        return await gate.enter(asking.get(), begins=isinstance(command, BEGIN_A_SALE))

    def replied(self, reply: Reply) -> None:
        """A reply that no request waits for has come."""
        if self._gates:
            probe = self._gates[home_of(reply.event_id, len(self._gates))].probe
            if probe is not None and probe.command_id == reply.command_id:
                probe.decided(reply.offset)

    @property
    def limit(self) -> int:
        """How many undecided commands all gates together allow."""
        return sum(gate.control.limit for gate in self._gates)


def _too_early(wait_s: float) -> Problem:
    detail = f"your turn comes in {ceil(wait_s)} s; asking before does not bring it sooner"
    return Problem("rate-limited", detail, headers=retry_after(wait_s), retry_after_s=round(wait_s, 3))
