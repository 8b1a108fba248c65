"""One partition's history, command by command: positions, log time, outcomes, deadlines, rules. Pure.

`read` takes each command with the facts at its position, in the order of the log. Memory is that of the partition's
reservations, not of its log.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ops.proof.checker.event_ledger import EventLedger
from ops.proof.checker.expected_messages import INBOX, MessageKey, expected_messages
from ops.proof.checker.record_checks import fault_in
from ops.proof.checker.report import Report, ToldOutcome
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S, EventId, ReservationId, SubjectId
from schemas.statuses import ReservationStatus

TICK_BOUND_S = 2.0  # log time that a hold may outlive its deadline by: a poll, a tick's way through the log, slack
STRAY = (f.Reason.RESERVATION_NOT_FOUND, f.Reason.PAYMENT_NOT_FOUND, f.Reason.CURRENCY_MISMATCH)


class ReadFact(NamedTuple):
    """A fact from the facts topic: its place, its bytes, and the decoded record."""

    record_offset: int
    value: bytes
    recorded: RecordedFact


class DecidesAgain(Protocol):
    """Decides the commands a second time, one after the other. The checker itself decides nothing."""

    def differs(
        self,
        position: tuple[int, int, int],
        command: c.Command | Undecodable,
        values: Sequence[bytes],
        facts: Sequence[f.Fact],
    ) -> str | None:
        """The difference of the second decision, in words; None when there is none."""


def _is_stray_dispute(fact: f.Fact) -> bool:
    """Whether the fact refuses a dispute of a payment that the log does not have."""
    return isinstance(fact, f.CommandRefused) and fact.command_type == c.RecordDispute.__name__ and fact.reason in STRAY


class PartitionAudit:
    """One partition."""

    def __init__(
        self,
        number: int,
        report: Report,
        codec: Codec,
        *,
        told: Iterable[ToldOutcome] = (),
        tick_bound_s: float = TICK_BOUND_S,
        again: DecidesAgain | None = None,
        partitions: int | None = None,
    ) -> None:
        self.number, self.report, self.log_time = number, report, 0
        self.ledgers: dict[EventId, EventLedger] = {}
        self.inbox: dict[MessageKey, bytes] = {}  # the expected messages, and their contents
        self.mails: dict[MessageKey, bytes] = {}
        self.unreadable: set[int] = set()
        self._codec, self._bound_us, self._partitions = codec, int(tick_bound_s * US_PER_S), partitions
        self._told: dict[int, list[ToldOutcome]] = {}
        for one in told:
            self._told.setdefault(one.offset, []).append(one)
        self._again = again
        self._deadlines: list[tuple[int, EventId, ReservationId]] = []
        self._overdue: list[tuple[int, EventId, ReservationId]] = []  # since this log time
        self._now: tuple[int, int] = (0, 0)

    def read(self, offset: int, timestamp_us: int, value: bytes | None, facts: Sequence[ReadFact]) -> None:
        """Take in the command at `offset` and every fact that the facts topic has at that position."""
        self.log_time = max(self.log_time, timestamp_us)
        decoded = self._command(value)
        self.report.counts["commands"] += 1
        self._check_place(offset, decoded, facts)
        if isinstance(decoded, Undecodable):
            self.unreadable.add(offset)
            self.report.counts["unreadable"] += 1
        if any(_is_stray_dispute(one.recorded.fact) for one in facts):
            self.unreadable.add(offset)  # set aside, too
        self._fold(offset, facts)
        self._check_told(offset, decoded, facts)
        self._check_overdue()
        if self._again is not None:
            position = self.number, offset, self.log_time
            values, decided = [one.value for one in facts], [one.recorded.fact for one in facts]
            difference = self._again.differs(position, decoded, values, decided)
            if difference is not None:
                self._found("replay", difference, offset)

    def finish(self) -> None:
        """Report what the end of the log must not leave open."""
        for offset, answers in self._told.items():
            for one in answers:
                self._found(
                    "told", f"{one.reservation_id} has the answer {one.status}, but the log has no command", offset
                )
        for ledger in self.ledgers.values():
            if ledger.refunds_due:
                self._found(
                    "money", f"event {ledger.event_id}: these refunds are open: {sorted(ledger.refunds_due)[:5]}"
                )
            captured, refunded = sum(ledger.captured.values()), sum(ledger.refunds.values())
            confirmed = ledger.confirmed_minor
            if ledger.imbalance:
                self._found("money", f"event {ledger.event_id}: {ledger.imbalance}")
            for what in ledger.unfinished():
                self._found("unfinished", f"event {ledger.event_id}: {what}")
            self.report.captured_minor += captured
            self.report.refunded_minor += refunded
            self.report.confirmed_minor += confirmed
            self.report.counts["events"] += ledger.exists
            self.report.counts["reservations"] += len(ledger.entries)

    def _command(self, value: bytes | None) -> c.Command | Undecodable:
        """The command of a record; an error text if it is none, or is on another partition than its event's."""
        decoded = self._codec.decode(value)
        if isinstance(decoded, Undecodable):
            return decoded
        if not isinstance(decoded, c.Command):
            return Undecodable(f"a {type(decoded).__name__}, no command")
        why = fault_in(decoded, self.number, self._partitions)
        return Undecodable(why) if why else decoded

    # --- checks ---------------------------------------------------------------------------------------------------

    def _found(self, rule: str, what: str, offset: int | None = None, index: int | None = None) -> None:
        where = f"partition {self.number}" if offset is None else f"{self.number}-{offset}"
        self.report.add(rule, where if index is None else f"{where}-{index}", what)

    def _check_place(self, offset: int, command: c.Command | Undecodable, facts: Sequence[ReadFact]) -> None:
        if not facts:
            self._found("lost-command", "the command has no facts", offset)
            return
        indexes = [one.recorded.envelope.index for one in facts]
        counts = {one.recorded.envelope.count for one in facts}
        if indexes != list(range(len(facts))) or counts != {len(facts)}:
            self._found("positions", f"facts {indexes} of count {sorted(counts)}", offset)
        event_id = command.event_id if isinstance(command, c.Command) else ""
        for one in facts:
            at = one.recorded.envelope
            if at.partition != self.number or at.event_id != event_id:
                self._found("positions", f"a fact of event {at.event_id!r} in partition {at.partition}", offset)
            if at.log_time != self.log_time:
                self._found("log-time", f"decided at {at.log_time}, log time is {self.log_time}", offset, at.index)

    def _fold(self, offset: int, facts: Sequence[ReadFact]) -> None:
        for one in facts:
            at, fact = one.recorded.envelope, one.recorded.fact
            self.report.counts["facts"] += 1
            self.report.counts[type(fact).__name__] += 1
            if at.event_id:
                ledger = self.ledgers.get(at.event_id)
                if ledger is None:
                    ledger = self.ledgers[at.event_id] = EventLedger(at.event_id)
                self._now = (offset, at.index)
                ledger.apply(at, fact, self._found_here)
            if isinstance(fact, f.TicketsHeld | f.HoldExtended):
                heapq.heappush(self._deadlines, (fact.expires_at, at.event_id, fact.reservation_id))
            for key, content in expected_messages(one.recorded):
                messages = self.inbox if key.channel == INBOX else self.mails
                messages[key] = content

    def _found_here(self, rule: str, what: str) -> None:
        self._found(rule, what, *self._now)

    def _check_told(self, offset: int, command: c.Command | Undecodable, facts: Sequence[ReadFact]) -> None:
        answers = self._told.pop(offset, None)
        if answers is None:
            return
        for one in answers:
            self.report.counts["told"] += 1
            times = _asked_for(command).count(one.reservation_id)
            if not times:
                self._found(
                    "told", f"{one.reservation_id} has the answer {one.status}, but the log has another command", offset
                )
                continue
            outcomes = [fact for read in facts if _is_outcome(fact := read.recorded.fact, one.reservation_id)]
            if len(outcomes) != times or not all(isinstance(more, f.CommandDuplicated) for more in outcomes[1:]):
                what = f"{one.reservation_id} has {times} requests and {len(outcomes)} outcomes"
                self._found("told", what, offset)
                continue
            self._check_told_outcome(one, outcomes[0], offset)

    def _check_told_outcome(self, answer: ToldOutcome, outcome: f.Fact, offset: int) -> None:
        if isinstance(outcome, f.TicketsHeld):
            if answer.status == ReservationStatus.REJECTED or (answer.seats and list(answer.seats) != outcome.seats):
                what = (
                    f"{answer.reservation_id} has the answer {answer.status} {answer.seats}, but holds {outcome.seats}"
                )
                self._found("told", what, offset)
        elif isinstance(outcome, f.ReservationRejected) and answer.status == ReservationStatus.HELD:
            self._found(
                "told", f"{answer.reservation_id} has the answer held, but is rejected: {outcome.reason}", offset
            )

    def _check_overdue(self) -> None:
        """A hold must end within the bound after log time first passed its deadline."""
        now = self.log_time
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, event_id, reservation_id = heapq.heappop(self._deadlines)
            entry = self.ledgers[event_id].entries.get(reservation_id)
            if (
                entry is not None and entry.status == ReservationStatus.HELD and entry.expires_at == deadline
            ):  # not extended since
                self._overdue.append((now, event_id, reservation_id))
        if self._overdue and self._overdue[0][0] + self._bound_us < now:
            late = [one for one in self._overdue if one[0] + self._bound_us < now]
            self._overdue = [one for one in self._overdue if one[0] + self._bound_us >= now]
            for seen, event_id, reservation_id in late:
                if self._is_held(event_id, reservation_id):
                    what = f"{reservation_id} is still held {(now - seen) / US_PER_S:.1f} s after its deadline was seen"
                    self._found("hold-outlives-deadline", what)

    def _is_held(self, event_id: EventId, reservation_id: ReservationId) -> bool:
        entry = self.ledgers[event_id].entries.get(reservation_id)
        return entry is not None and entry.status == ReservationStatus.HELD


def _asked_for(command: c.Command | Undecodable) -> Sequence[ReservationId]:
    """The reservations that a command asks for."""
    if isinstance(command, c.ReserveInTurn):
        return command.reservation_ids
    return (command.reservation_id,) if isinstance(command, c.ReserveTickets) else ()


def _is_outcome(fact: f.Fact, reservation_id: ReservationId) -> bool:
    if isinstance(fact, f.TicketsHeld | f.ReservationRejected):
        return fact.reservation_id == reservation_id
    if isinstance(fact, f.CommandDuplicated | f.CommandRefused):
        return fact.command_type == c.ReserveTickets.__name__ and fact.subject_id == SubjectId(reservation_id)
    return False
