"""A batch on its way through the dataflow: from records to placed commands, decided groups and outgoing facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.partition import Group, Partition, Placed, grouped
from pipelines.reservations.replies import reply_to
from schemas import cloudevents
from schemas import commands as c
from schemas import facts as f
from schemas.codec import Codec, Undecodable
from schemas.ids import NO_EVENT, EventId, stamped
from schemas.recorded_facts import envelopes
from schemas.replies import REPLY_KEY, REPLY_TO, Reply
from schemas.times import rfc3339
from schemas.topics import FACTS

PASSED_ON_BYTES_MAX = 1_024  # a longer header is not ours, and a fact must fit where its command did
_OF_NOTHING = (f.Reason.RESERVATION_NOT_FOUND, f.Reason.PAYMENT_NOT_FOUND, f.Reason.CURRENCY_MISMATCH)
Headers = list[tuple[str, str | bytes | None]]
TRACE = "traceparent"
PASSED_ON = frozenset({REPLY_TO, REPLY_KEY, TRACE})
REPLY_KEY_BYTES = range(16, 65)  # the key sizes of BLAKE2b that cannot be guessed


class RawRecord(NamedTuple):
    """A record of the commands topic. Only headers named in PASSED_ON are read."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class EncodedFact(NamedTuple):
    """A fact ready for its topic, with the fields that a sink sends."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers


@dataclass(slots=True)
class Batch:
    """One poll's records, all partitions together, and the result of each step."""

    records: list[RawRecord]
    originals: Sequence[Any] = ()  # the client's own records, for the dead letters
    placed: list[Placed] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    @property
    def first_offsets(self) -> dict[int, int]:
        """The batch's first offset on each partition."""
        return {record.partition: record.offset for record in reversed(self.records)}

    @property
    def next_offsets(self) -> dict[int, int]:
        """The offset behind the batch on each partition."""
        return {record.partition: record.offset + 1 for record in self.records}

    @property
    def unreadable(self) -> list[tuple[int, str]]:
        """Records for the dead letters: their place in the batch, and the error."""
        commands = enumerate(placed.command for placed in self.placed)
        return [(number, command.error) for number, command in commands if isinstance(command, Undecodable)]

    @property
    def failed(self) -> list[tuple[int, Exception]]:
        """Commands on which the rules raised an error, by their place in the batch."""
        if not any(group.failures for group in self.groups):
            return []
        raised = {group.placed[number].at: error for group in self.groups for number, error in group.failures.items()}
        return [(number, raised[placed.at]) for number, placed in enumerate(self.placed) if placed.at in raised]

    @property
    def strays(self) -> list[tuple[int, str]]:
        """Disputes of payments that paid for no reservation here: their place in the batch, and the reason.

        They become dead letters: the log only refuses them, and money is at stake.
        """
        if not any(isinstance(placed.command, c.RecordDispute) for placed in self.placed):
            return []
        letters = []
        for number, (_, placed, facts) in enumerate(self.facts()):
            command = placed.command
            if isinstance(command, c.RecordDispute) and (refusal := refused_dispute(facts)) is not None:
                about = f"dispute {command.dispute_id} ({command.status}) of payment {command.payment_id}"
                letters.append((number, f"{about} is of nothing here: {refusal.detail}"))
        return letters

    def place(self, codec: Codec, partitions: dict[int, Partition]) -> None:
        """Decode each record and give it its log time."""
        for record in self.records:
            partition = partitions[record.partition]
            log_time = partition.advance(stamped(record.timestamp_ms))
            at = At(record.partition, record.offset, log_time)
            self.placed.append(Placed(at, record.key, partition.read(codec, record.value)))

    def events(self) -> dict[EventId, int]:
        """The events of the placed commands and the partition of each, in the order of the log."""
        events: dict[EventId, int] = {}
        for placed in self.placed:
            if not isinstance(placed.command, Undecodable):
                events.setdefault(placed.command.event_id, placed.at.partition)
        return events

    def decide(self, states: Mapping[EventId, EventState]) -> None:
        """Decide every event's commands on its state; `states` has those of `events()`."""
        self.groups = grouped(self.placed, states)
        for group in self.groups:
            group.decide()

    def facts(self) -> Iterator[tuple[RawRecord, Placed, list[f.Fact]]]:
        """Every record with its facts, in the order of the log."""
        decided = {id(group.state): iter(group.facts) for group in self.groups}
        of_event = {group.state.event_id: decided[id(group.state)] for group in self.groups}
        for record, placed in zip(self.records, self.placed, strict=True):
            if isinstance(placed.command, Undecodable):
                yield record, placed, [f.CommandUnreadable(placed.command.error)]
            else:
                yield record, placed, next(of_event[placed.command.event_id])

    def encoded(self, codec: Codec) -> Iterator[EncodedFact]:
        """Every fact with its envelope, ready for its topic, in the order of the log."""
        encode, rules = codec.encode_fact, f.RULES_VERSION
        stamped, when = -1, ""
        for record, placed, facts in self.facts():
            partition, offset, log_time = placed.at
            event_id = NO_EVENT if isinstance(placed.command, Undecodable) else placed.command.event_id
            key = event_id.encode() if event_id else (record.key or b"")[:PASSED_ON_BYTES_MAX] or None
            same = [header for header in passed_on(record.headers) if len(header[1] or "") <= PASSED_ON_BYTES_MAX]
            if log_time != stamped:
                stamped, when = log_time, rfc3339(log_time)
            numbered = envelopes(
                len(facts),
                event_id=event_id,
                partition=partition,
                offset=offset,
                log_time=log_time,
                rules_version=rules,
            )
            for index, fact in enumerate(facts):
                identity, kind = f"{partition}-{offset}-{index}", type(fact).__name__
                headers: Headers = cloudevents.headers(cloudevents.RESERVATIONS, identity, kind, when) + same
                yield EncodedFact(
                    topic=FACTS, partition=partition, key=key, value=encode(numbered[index], fact), headers=headers
                )

    def replies(self) -> dict[tuple[str, bytes], list[Reply]]:
        """The replies to waiting requests, by channel and by the key that seals them (b"" for no key)."""
        states = {group.state.event_id: group.state for group in self.groups}
        replies: dict[tuple[str, bytes], list[Reply]] = {}
        for record, placed, facts in self.facts():
            command = placed.command
            if isinstance(command, Undecodable) or not record.headers:
                continue
            to = _reply_address(record.headers)
            if to is not None:
                reply = reply_to(states[command.event_id], command, facts, record.partition, record.offset)
                replies.setdefault(to, []).append(reply)
        return replies


def passed_on(headers: Sequence[tuple[str, Any]] | None) -> Headers:
    """The headers of a command that its facts and its reply need."""
    return [header for header in headers or () if header[0] in PASSED_ON]


def refused_dispute(facts: Sequence[f.Fact]) -> f.CommandRefused | None:
    """The refusal of a dispute of a payment that is not ours, among the facts of its command; None if there is none."""
    for fact in facts:
        if (
            isinstance(fact, f.CommandRefused)
            and fact.command_type == c.RecordDispute.__name__
            and fact.reason in _OF_NOTHING
        ):
            return fact
    return None


def _reply_address(headers: Headers) -> tuple[str, bytes] | None:
    """The channel for a command's reply and the key that seals it (b"" for no key); None if no request waits."""
    channel = key = b""
    for name, value in headers:
        if name == REPLY_TO and value:
            channel = _bytes(value)
        elif name == REPLY_KEY and value:
            key = _bytes(value)
    if not channel:
        return None
    return channel.decode("utf-8", "replace"), key if len(key) in REPLY_KEY_BYTES else b""


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
