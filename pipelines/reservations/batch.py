"""A batch on its way through the dataflow: from records to placed commands, decided groups and outgoing facts. Pure.

Guarantee: a batch is decided in offset order at log time. The size of batches changes no fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipelines.reservations.core.claims import CLAIMED_ANEW, CLAIMS_OF, Claims, places
from pipelines.reservations.core.decide import NotFolded, step
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.outgoing import Decision, EncodedFact, RawRecord, ReplyAddress
from pipelines.reservations.partition import Partition, Placed
from pipelines.reservations.replies import answers_in_turn
from schemas import commands as c
from schemas import facts as f
from schemas import twins
from schemas.codec import Codec, Undecodable
from schemas.ids import EventId, stamped
from schemas.replies import REPLY_KEY, REPLY_TO, ReplyMessage
from schemas.statuses import ClaimStatus

if twins.compiled("pipelines.reservations.native_outgoing"):
    from pipelines.reservations.native_outgoing import encoded, replies
    from pipelines.reservations.native_outgoing import passed_on as passed_on

    ENCODER = "compiled"
else:  # there was no C compiler when this was installed
    from pipelines.reservations.outgoing import encoded, replies
    from pipelines.reservations.outgoing import passed_on as passed_on

    ENCODER = "plain"

_ADDRESS = frozenset({REPLY_TO, REPLY_KEY})
_OF_NOTHING = (f.Reason.RESERVATION_NOT_FOUND, f.Reason.PAYMENT_NOT_FOUND, f.Reason.CURRENCY_MISMATCH)


@dataclass(slots=True)
class Batch:
    """One poll's records, all partitions together, and the result of each step."""

    records: list[RawRecord]
    originals: Sequence[Any] = ()  # the client's own records, for the dead letters
    placed: list[Placed] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    spans: Any = None  # the open spans of the batch, while traces are on

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

    def settle(self, partitions: Mapping[int, Partition]) -> None:
        """After the commit: each partition watches the new deadlines of its events."""
        for group in self.groups:
            partitions[group.placed[0].at.partition].settle(group.state, failed=bool(group.failures))

    def facts(self) -> Iterator[Decision]:
        """Every record with its facts, in the order of the log."""
        of_event = {group.state.event_id: iter(group.facts) for group in self.groups}
        for record, placed in zip(self.records, self.placed, strict=True):
            if isinstance(placed.command, Undecodable):
                yield record, placed, [f.CommandUnreadable(placed.command.error)]
            else:
                yield record, placed, next(of_event[placed.command.event_id])

    def encoded(self, codec: Codec) -> Iterator[EncodedFact]:
        """Every fact with its envelope, ready for its topic, in the order of the log.

        A fact of requests in turn has no address for a reply: nothing comes of it that would answer their record.
        """
        return encoded(map(_without_address, self.facts()), codec)

    def replies(self) -> dict[ReplyAddress, ReplyMessage]:
        """The replies to waiting requests, one message for each address that they gave."""
        return replies(_one_by_one(self.facts()), {group.state.event_id: group.state for group in self.groups})


@dataclass(slots=True)
class Group:
    """One event's commands of a batch, their facts, and the changed seat claims.

    `facts` has one list for each command. `claims` maps "ticket_type_id/seat" (general admission:
    "ticket_type_id/#reservation_id") to the claim's status and reservation, or to None if the claim ends.
    """

    state: EventState
    placed: list[Placed]
    facts: list[list[f.Fact]] = field(default_factory=list)
    claims: Claims = field(default_factory=dict)
    failures: dict[int, Exception] = field(default_factory=dict)  # by the command's place: the error of the rules

    @property
    def asks_for_seats(self) -> bool:
        """Whether foreign locks can affect this group."""
        return any(isinstance(placed.command, c.ReserveTickets | c.ReserveInTurn) for placed in self.placed)

    def decide(self, observed: set[str] | None = None) -> None:
        """Decide every command on the state before the batch. After a refusal by Redis, decide again with `observed`.

        `observed` are the foreign locks in Redis. If the log has others, the difference becomes the first fact. If a
        fact cannot be folded, all these commands are refused.
        """
        try:
            self._decide(observed)
        except NotFolded:
            self._decide(None)

    def _decide(self, observed: set[str] | None) -> None:
        state = self.state
        if state.unfolded:
            observed = None
        elif observed is None:
            state.begin()
        else:
            state.take_back()
        self.facts, self.claims, self.failures = [], {}, {}
        raised: list[Exception] = []
        first = self._observe(observed)
        for number, placed in enumerate(self.placed):
            command = placed.command
            assert not isinstance(command, Undecodable)
            facts = step(state, command, placed.at, raised)
            if first:
                facts, first = [*first, *facts], []
            if raised:
                self.failures[number] = raised[0]
                raised.clear()
            self.facts.append(facts)
            for fact in facts:
                claims = CLAIMS_OF.get(type(fact))
                if claims is not None:
                    claims(self.claims, fact)
                elif isinstance(fact, CLAIMED_ANEW):
                    self._claim_anew(fact)

    def _observe(self, observed: set[str] | None) -> list[f.Fact]:
        """The fact of foreign locks that the log does not have, folded; none if it has them."""
        state = self.state
        if observed is None or observed == state.locked_places:
            return []
        locked, freed = observed - state.locked_places, state.locked_places - observed
        fact = f.SeatLocksObserved(sorted(locked), sorted(freed))
        evolve(state, fact, self.placed[0].at)
        return [fact]

    def _claim_anew(self, fact: f.HoldExtended | f.SeatsUnblocked) -> None:
        """Write a changed claim again: it has another deadline, or only a part of the block is left."""
        if isinstance(fact, f.HoldExtended):
            hold = self.state.reservations[fact.reservation_id]
            for place in places(hold.ticket_type_id, hold.id, hold.seats):
                self.claims[place] = (ClaimStatus.HELD, hold.id)
            return
        freed = places(fact.ticket_type_id, fact.block_id, fact.seats)
        if fact.seats or fact.block_id not in self.state.blocks:
            self.claims |= dict.fromkeys(freed)


def grouped(placed: Iterable[Placed], states: Mapping[EventId, EventState]) -> list[Group]:
    """The readable commands by event, each event's in offset order."""
    groups: dict[EventId, Group] = {}
    for one in placed:
        command = one.command
        if isinstance(command, Undecodable):
            continue
        group = groups.get(command.event_id)
        if group is None:
            group = groups[command.event_id] = Group(states[command.event_id], [])
        group.placed.append(one)
    return list(groups.values())


def _one_by_one(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """The decisions, with requests in turn as commands of their own."""
    for decision in decisions:
        record, placed, facts = decision
        if type(placed.command) is c.ReserveInTurn:
            for request, own in answers_in_turn(placed.command, facts):
                yield record, Placed(placed.at, placed.key, request), own
        else:
            yield decision


def _without_address(decision: Decision) -> Decision:
    record, placed, facts = decision
    if type(placed.command) is not c.ReserveInTurn:
        return decision
    others = [header for header in record.headers or () if header[0] not in _ADDRESS]
    return msgspec.structs.replace(record, headers=others), placed, facts


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
