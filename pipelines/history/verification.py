"""Decides a partition's commands again and compares with the facts on the log, byte for byte. Pure.

Guarantee: if `PartitionVerifier` finds nothing, then `step` gives exactly the facts up to `through` for their commands,
in order and complete. Foreign seat locks are on the log: a SeatLocksObserved fact is folded before its command is
decided. A repeated fact with the same bytes is ignored (a broker without transactions shows aborted batches). A
repeated fact with other bytes is a divergence.

A fact is decoded only if its bytes differ from the expected ones, so agreement costs one comparison. If a decision
cannot be folded, its event has one divergence, `not-folded`. After that the event is `apart`, and its facts are not
verified.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import msgspec

from pipelines.history.rules_by_version import RULES, command_of, rules
from pipelines.history.states import States
from pipelines.reservations.core.decide import NotFolded, failed_before
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import DEFECTS, evolve
from schemas import facts as f
from schemas.codec import HEADER_BYTES, Codec, Undecodable
from schemas.commands import Command
from schemas.facts import Envelope, RecordedFact
from schemas.ids import NO_EVENT, NOBODY, EventId, LogTime, SubjectId, position_text, stamped
from schemas.record import LogRecord
from schemas.recorded_facts import envelopes

DIVERGENCES_KEPT_MAX = 1_000  # further ones are only counted
REMEMBERED_MAX = 20_000  # commands whose facts are kept, to compare repetitions; ten of the largest batches
DIGEST_BYTES = 16
TURN_EVERY = 4_000  # commands, as many as a chunk of records


class FactFeed(Protocol):
    """The records of the facts topic, one after the other."""

    def peek(self) -> LogRecord | None:
        """The next record; None when there is none (for now)."""

    def advance(self) -> None:
        """Go on to the record after it."""


class DivergenceKind(StrEnum):
    """The kinds of differences that a verification finds."""

    FACT_DIFFERS = "fact-differs"
    LOST_COMMAND = "lost-command"
    MISSING_FACT = "missing-fact"
    NOT_FOLDED = "not-folded"
    POSTGRES = "postgres"
    POSTGRES_AHEAD = "postgres-ahead"
    POSTGRES_BEHIND = "postgres-behind"
    REDIS = "redis"
    STRAY_FACT = "stray-fact"
    SURPLUS_FACT = "surplus-fact"
    CONFLICTING_FACT = "told-differently"
    UNKNOWN_RULES = "unknown-rules"
    UNREADABLE_FACT = "unreadable-fact"


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """One place where the log, or data derived from it, differs from what the rules give."""

    kind: DivergenceKind
    position: str
    event_id: EventId
    what: str
    record: str = ""
    recorded: dict[str, Any] | None = None
    decided: dict[str, Any] | None = None

    def text(self) -> str:
        """One line for a person, and the record it is about."""
        at = f" ({self.record})" if self.record else ""
        return f"{self.kind} at {self.position}{at}: {self.what}"


class UnfinishedCommand(NamedTuple):
    """A command that is decided here, but some of its facts are not on the log yet."""

    offset: int
    event_id: EventId
    facts: list[f.Fact]
    expected: list[bytes]


class Undecided(Exception):
    """The facts end before this command: it is not decided yet."""


class PartitionVerifier:
    """One partition, of `partitions`, from its first record on; `only` looks at a single event."""

    def __init__(
        self,
        partition: int,
        codec: Codec,
        facts: FactFeed,
        *,
        only: str | None = None,
        partitions: int | None = None,
        states: States | None = None,
    ) -> None:
        self.partition, self.through, self.log_time = partition, -1, 0
        self.states = States() if states is None else states
        self.commands = self.facts = self.repeated = self.failed = self.diverged = 0
        self.divergences: list[Divergence] = []
        self.apart: set[EventId] = set()
        self._codec, self._feed, self._partitions = codec, facts, partitions
        self._only = only.encode() if only is not None else None
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._recent: dict[int, list[bytes]] = {}
        self._older: dict[int, list[bytes]] = {}
        self._open: UnfinishedCommand | None = None
        self._passed: list[bytes] = []
        self._matched = 0
        locks = codec.encode_fact(
            Envelope(event_id=NO_EVENT, partition=0, offset=0, index=0, count=1, log_time=0, rules_version=0),
            f.SeatLocksObserved([], []),
        )
        refused = codec.encode_fact(
            Envelope(event_id=NO_EVENT, partition=0, offset=0, index=0, count=1, log_time=0, rules_version=0),
            f.CommandRefused(command_type="", subject_id=SubjectId(""), user_id=NOBODY, reason="", detail=""),
        )
        self._refused_prefix = refused[:HEADER_BYTES]
        self._locks_prefix = locks[:HEADER_BYTES]  # the wire format's schema id: gives the type without decoding

    @property
    def digest(self) -> str:
        """Digest of the bytes of all facts up to `through`, each once: the same on every broker and every copy."""
        return self._digest.hexdigest()

    @property
    def busy_event(self) -> str | None:
        """The event whose state here is one command ahead of `through`."""
        return None if self._open is None else self._open.event_id

    def skip(self, timestamp_ms: int) -> None:
        """Skip a record of another event: only its time counts."""
        self.log_time = max(self.log_time, stamped(timestamp_ms))

    def read(self, record: LogRecord) -> None:
        """Decide the command again and compare. Raises Undecided while some of its facts are missing: read it again."""
        offset, timestamp_ms, key, value = record
        if self._open is None:
            if self._only is not None and key != self._only and (value is None or self._only not in value):
                return self.skip(timestamp_ms)
            command = command_of(self._codec, value, self.partition, self._partitions)
            event_id = NO_EVENT if isinstance(command, Undecodable) else command.event_id
            if self._only is not None and event_id.encode() != self._only:
                return self.skip(timestamp_ms)
            first, version = self._first(offset)
            self.skip(timestamp_ms)
            at = At(self.partition, offset, LogTime(self.log_time))
            facts = [] if event_id in self.apart else self._decide_safely(at, command, first, version)
            if event_id in self.apart:
                return self._pass(offset)
            encode = partial(self._codec.encode_fact_under, version)
            numbered = envelopes(
                len(facts),
                event_id=event_id,
                partition=self.partition,
                offset=offset,
                log_time=at.log_time,
                rules_version=version,
            )
            expected = [encode(envelope, fact) for envelope, fact in zip(numbered, facts, strict=True)]
        else:
            assert self._open.offset == offset, f"command {self._open.offset} must be read again, not {offset}"
            _, event_id, facts, expected = self._open
        peek, advance = self._feed.peek, self._feed.advance
        for index in range(self._matched, len(expected)):
            found = peek()
            if found is not None and found.value == expected[index]:
                advance()
                continue
            self._matched = index
            self._open = UnfinishedCommand(offset, event_id, facts, expected)
            expected[index] = self._compare(offset, index, expected[index], facts[index], event_id)
        self._open, self._matched = None, 0
        return self._agreed(offset, expected)

    def finish(self) -> None:
        """All commands are read. Facts up to there without a command are divergences."""
        while (record := self._feed.peek()) is not None:
            recorded = self._codec.decode(record.value)
            if isinstance(recorded, RecordedFact) and recorded.envelope.offset > self.through:
                return
            self._out_of_order(record, recorded)
            self._feed.advance()

    def found(self, divergence: Divergence) -> None:
        """Note a divergence."""
        self.diverged += 1
        if self.diverged <= DIVERGENCES_KEPT_MAX:
            self.divergences.append(divergence)

    def _pass(self, offset: int) -> None:
        """Pass a command's facts without a check: its event is apart. Raises Undecided while some are missing."""
        while (record := self._feed.peek()) is not None:
            recorded = self._codec.decode(record.value)
            at = recorded.envelope if isinstance(recorded, RecordedFact) else None
            if at is not None and at.offset > offset:
                break
            self._feed.advance()
            if at is None or at.offset < offset:
                self._out_of_order(record, recorded)
                continue
            self._passed.append(record.value or b"")
            if at.index >= at.count - 1:
                break
        else:
            raise Undecided
        passed, self._passed = self._passed, []
        self._agreed(offset, passed)

    def _agreed(self, offset: int, values: list[bytes]) -> None:
        """The command at `offset` is finished, with these facts."""
        for value in values:
            self._digest.update(value)
        self.commands += 1
        self.facts += len(values)
        self.through = offset
        self._remember(offset, values)
        if self.commands % TURN_EVERY == 0:
            self.states.turn()

    # --- deciding -------------------------------------------------------------------------------------------------

    def _decide_safely(self, at: At, command: Command | Undecodable, first: LogRecord, version: int) -> list[f.Fact]:
        """`_decide`; if it fails, the event is apart from here on."""
        try:
            return self._decide(at, command, first, version)
        except (NotFolded, *DEFECTS) as error:
            assert not isinstance(command, Undecodable)
            event_id = command.event_id
            what = str(error) if isinstance(error, NotFolded) else f"event {event_id}: {type(error).__name__}: {error}"
            self._found(
                DivergenceKind.NOT_FOLDED, (at.offset, 0), event_id, f"{what}; nothing of it is verified from here on"
            )
            self.apart.add(event_id)
            self.states.forget(event_id)
            return []

    def _decide(self, at: At, command: Command | Undecodable, first: LogRecord, version: int) -> list[f.Fact]:
        """The facts of a command under the rules of that version. Changes the state."""
        if isinstance(command, Undecodable):
            return [f.CommandUnreadable(command.error)]
        locks = self._locks(first, at)
        state = self.states.of(command.event_id)
        if locks is not None:
            evolve(state, locks, at)
        failure = self._failure(first, at)
        self.failed += failure is not None
        facts = rules(version)(state, command, at) if failure is None else failed_before(state, command, at, failure)
        if state.details is None:
            self.states.forget(command.event_id)  # as the dataflow does: made-up ids must not fill the memory
        return [locks, *facts] if locks is not None else facts

    def _failure(self, first: LogRecord, at: At) -> f.CommandRefused | None:
        """The recorded refusal of a command, if the rules of its build raised an error.

        It stands, even if these rules raise no error. Such refusals are counted, so that a person can look at them.
        """
        if first.value is None or first.value[:HEADER_BYTES] != self._refused_prefix:
            return None
        recorded = self._codec.decode(first.value)
        if not isinstance(recorded, RecordedFact) or recorded.envelope.offset != at.offset:
            return None
        fact = recorded.fact
        return fact if isinstance(fact, f.CommandRefused) and fact.reason == f.Reason.COMMAND_FAILED else None

    def _locks(self, first: LogRecord, at: At) -> f.SeatLocksObserved | None:
        """The foreign locks that were observed before the command was decided; None if there were none."""
        if first.value is None or first.value[:HEADER_BYTES] != self._locks_prefix:
            return None
        recorded = self._codec.decode(first.value)
        if not isinstance(recorded, RecordedFact) or recorded.envelope.offset != at.offset:
            return None
        return recorded.fact if isinstance(recorded.fact, f.SeatLocksObserved) else None

    # --- comparing ------------------------------------------------------------------------------------------------

    def _first(self, offset: int) -> tuple[LogRecord, int]:
        """The next record that does not repeat one before `offset`, and a rules version. Raises Undecided at the end.

        The command at `offset` is decided under that version. It is the record's version, if the record belongs to that
        command and the version is known.
        """
        while (record := self._feed.peek()) is not None:
            at = self._codec.envelope_of(record.value)
            if at is not None and at.offset >= offset:
                known = at.offset == offset and at.rules_version in RULES
                return record, at.rules_version if known else f.RULES_VERSION
            self._out_of_order(record, self._codec.decode(record.value))
            self._feed.advance()
        raise Undecided

    def _compare(self, offset: int, index: int, wanted: bytes, fact: f.Fact, event_id: EventId) -> bytes:
        """Say why the next record is not the expected one. Raises Undecided if there is no next record.

        Returns the bytes of the fact: of an earlier build if it is the expected one, else the wanted ones.
        """
        while (record := self._feed.peek()) is not None:
            if record.value is not None and (record.value == wanted or self._is_earlier(record.value, wanted, fact)):
                self._feed.advance()
                return record.value
            recorded = self._codec.decode(record.value)
            at = recorded.envelope if isinstance(recorded, RecordedFact) else None
            if at is not None and (at.offset, at.index) > (offset, index):
                what = f"the rules give a {type(fact).__name__}, the log has nothing at this position"
                self._found(DivergenceKind.MISSING_FACT, (offset, index), event_id, what, decided=fact)
                return wanted
            if at is not None and (at.offset, at.index) == (offset, index):
                assert isinstance(recorded, RecordedFact)
                self._differs(record, recorded, wanted, fact)
                self._feed.advance()
                return wanted
            self._out_of_order(record, recorded)
            self._feed.advance()
        raise Undecided

    def _is_earlier(self, value: bytes, wanted: bytes, fact: f.Fact) -> bool:
        """Whether a record is the wanted fact, as a build under today's rules wrote it before the fact had a field."""
        found, expected = self._codec.decode(value), self._codec.decode(wanted)
        if not isinstance(found, RecordedFact) or not isinstance(expected, RecordedFact):
            return False
        at = found.envelope
        if at != expected.envelope or at.rules_version != f.RULES_VERSION:
            return False
        return value == self._codec.encode_fact_as(value[:HEADER_BYTES], at, fact)

    def _differs(self, record: LogRecord, recorded: RecordedFact, wanted: bytes, fact: f.Fact) -> None:
        expected = self._codec.decode(wanted)
        assert isinstance(expected, RecordedFact)
        at = recorded.envelope
        kind, what = DivergenceKind.FACT_DIFFERS, _difference(recorded, expected)
        if at.rules_version not in RULES:
            kind = DivergenceKind.UNKNOWN_RULES
            what = f"decided under rules version {at.rules_version}, this build has {list(RULES)}"
        self._found(kind, (at.offset, at.index), at.event_id, what, record, recorded.fact, fact)

    def _out_of_order(self, record: LogRecord, recorded: object) -> None:
        """A record of another command: a repetition, or a stray record."""
        if not isinstance(recorded, RecordedFact):
            error = recorded.error if isinstance(recorded, Undecodable) else f"a {type(recorded).__name__}, no fact"
            self._found(DivergenceKind.UNREADABLE_FACT, None, NO_EVENT, error, record)
            return
        at, name = recorded.envelope, type(recorded.fact).__name__
        former = self._recent.get(at.offset) or self._older.get(at.offset)
        if self._open is not None and self._open.offset == at.offset:
            former = self._open.expected
        if former is None:
            kind, what = DivergenceKind.STRAY_FACT, f"a {name} of no command, or far out of order"
        elif at.index >= len(former):
            kind, what = DivergenceKind.SURPLUS_FACT, f"a {name}; the rules give {len(former)} facts for this command"
        elif former[at.index] == record.value:
            self.repeated += 1
            return
        else:
            kind, what = DivergenceKind.CONFLICTING_FACT, f"this position is on the log again, as another {name}"
        self._found(kind, (at.offset, at.index), at.event_id, what, record, recorded.fact)

    def _found(
        self,
        kind: DivergenceKind,
        position: tuple[int, int] | None,
        event_id: EventId,
        what: str,
        record: LogRecord | None = None,
        recorded: f.Fact | None = None,
        decided: f.Fact | None = None,
    ) -> None:
        self.found(
            Divergence(
                kind=kind,
                position=f"{self.partition}-?" if position is None else position_text(self.partition, *position),
                event_id=event_id,
                what=what,
                record="" if record is None else f"tickets.facts[{self.partition}]@{record.offset}",
                recorded=_plain(recorded),
                decided=_plain(decided),
            )
        )

    def _remember(self, offset: int, expected: list[bytes]) -> None:
        recent = self._recent
        recent[offset] = expected
        if len(recent) >= REMEMBERED_MAX:
            self._older, self._recent = recent, {}


def _plain(fact: f.Fact | None) -> dict[str, Any] | None:
    if fact is None:
        return None
    fields: dict[str, Any] = msgspec.to_builtins(fact)
    return {"type": type(fact).__name__, **fields}


def _difference(recorded: RecordedFact, expected: RecordedFact) -> str:
    """Which fields differ, the log's value first."""
    if type(recorded.fact) is not type(expected.fact):
        return f"the log has a {type(recorded.fact).__name__}, the rules give a {type(expected.fact).__name__}"
    differences = []
    for of_log, of_rules in ((recorded.envelope, expected.envelope), (recorded.fact, expected.fact)):
        for name in of_log.__struct_fields__:
            here, there = getattr(of_log, name), getattr(of_rules, name)
            if here != there:
                differences.append(f"{name} is {here!r} on the log, {there!r} by the rules")
    kind = type(recorded.fact).__name__
    return f"{kind}: " + ("; ".join(differences) or "the same fields in other bytes")
