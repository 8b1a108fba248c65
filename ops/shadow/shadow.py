"""`circle replay shadow`: runs this program's reservations dataflow over the log's commands into a topic of its own.
Then it compares the facts with those of the log.

It is the live dataflow's own `build` with other parts. The source reads the log to the last decided command. The owner
takes its states from the shadow's own facts. The guard takes the foreign locks from the log. The sink writes to the
shadow's topic. Nothing live changes: no fact, no offset, no lock, no row, no reply. Memory holds one partition at a
time: the events of a batch, and the others that `States` keeps. A stopped shadow continues where its topic ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from connectors.errors import CircleError
from connectors.execution import execute
from connectors.kafka import Gate, StopFlag, producer
from connectors.log_reader import LogReader, chosen, few_collections, offset_of, partitions_of
from connectors.log_source import LogSource
from connectors.logs import Log
from connectors.schema_registry import codec_of
from connectors.scratch_file import ScratchFile
from connectors.settings import Settings
from connectors.topics import apply_topic, delete_topic
from ops.progress import Bar, ProgressBars
from ops.shadow.comparison import ShadowReport, by_command, compare
from ops.shadow.sink import ShadowSink
from pipelines.history.fold import Fold
from pipelines.history.states import KEPT_MAX, States
from pipelines.reservations.batch import Batch
from pipelines.reservations.core.state import EventState
from pipelines.reservations.flow import build
from pipelines.reservations.partition import Partition
from pipelines.reservations.wiring import ReservationsDeps
from schemas import facts as f
from schemas.codec import MAGIC, MANIFEST, Codec
from schemas.facts import RecordedFact
from schemas.ids import EventId, LogTime, TicketTypeId
from schemas.topics import COMMANDS, DAY_MS, FACTS, TopicSpec

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
KEPT_MS = 7 * DAY_MS  # a shadow is read once, then deleted
LAST_RECORDS = 100  # the last recorded facts; one of them should be readable
BAR_EVERY = 20_000

log = Log("shadow")


class BadShadow(CircleError):
    """Wrong usage: --group is no name for a topic."""

    exit_code = 2


class ShadowFailed(CircleError):
    """The dataflow ended with an error. The log line before names it."""


@dataclass(frozen=True)
class Recorded:
    """A partition on the log: the end of the decided part, and the foreign locks by the command of their fact."""

    end: int
    locks: Mapping[int, f.SeatLocksObserved]


def topic_of(group: str, partitions: int) -> TopicSpec:
    """The shadow's topic. Raises BadShadow."""
    if not NAME.fullmatch(group):
        raise BadShadow(f"--group {group}: small letters, digits and dashes, at most 40")
    name = f"{FACTS}.shadow.{group}"
    return TopicSpec(name=name, key="event_id", partitions=partitions, retention_ms=KEPT_MS, holds="a shadow's facts")


def shadow(
    settings: Settings,
    group: str,
    progress: ProgressBars,
    *,
    stop: StopFlag,
    partition: int | None = None,
    restart: bool = False,
    limit: int | None = None,
    dry_run: bool = False,
) -> ShadowReport:
    """Decide and compare. `limit`: the largest number of commands of each partition. `dry_run` only counts commands.

    Raises BadShadow, LogTruncated, NoSuchPartition, ServiceUnreachable, ShadowFailed.
    """
    spec = topic_of(group, partitions_of(settings, FACTS))
    report = ShadowReport(group=group, topic=spec.name)
    numbers = chosen(settings, COMMANDS, partition)
    if not dry_run:
        apply_topic(settings, spec, recreate=restart)
    for number in numbers:
        recorded = _recorded(settings, number, progress)
        if dry_run:
            report.commands += recorded.end if limit is None else min(recorded.end, limit)
            continue
        if recorded.end and not stop.requested:
            _decide(settings, spec, number, recorded, progress, stop, limit)
        if recorded.end:
            log_facts = _facts(settings, FACTS, number, progress, "compared")
            compare(report, by_command(log_facts), by_command(_facts(settings, spec.name, number)))
    report.stopped = stop.requested
    return report


def remove(settings: Settings, group: str) -> None:
    """Delete the shadow's topic. Raises BadShadow, ServiceUnreachable."""
    delete_topic(settings, topic_of(group, partitions_of(settings, FACTS)))


def _decide(
    settings: Settings,
    spec: TopicSpec,
    number: int,
    recorded: Recorded,
    progress: ProgressBars,
    stop: StopFlag,
    limit: int | None,
) -> None:
    codec, gate = codec_of(settings), Gate()
    with closing(ScratchFile[EventId]()) as shelf, few_collections():
        owner = ShadowOwner(number, spec.partitions, States(shelf, KEPT_MAX))
        with LogReader(settings, spec.name, number) as facts:
            owner.restore(codec, facts.from_the_start().values())
        end = recorded.end if limit is None else min(recorded.end, owner.decided + 1 + limit)
        bar = progress.bar(f"decided, partition {number}", end)
        sink = ShadowSink(
            producer(settings, **{"linger.ms": 0}),
            spec.name,
            codec,
            gate=gate,
            partitions=owner.partitions,
            told=lambda batch: bar.set(batch.records[-1].offset + 1),
        )
        with LogReader(settings, COMMANDS, number, start=owner.decided + 1) as reader:
            source = LogSource(
                reader,
                start=owner.decided + 1,
                end=end,
                gate=gate,
                stop=lambda: stop.requested,
                cuts=recorded.locks.keys(),
            )
            code = execute(
                build(
                    ReservationsDeps(
                        source=source, codec=codec, loader=owner, guard=ShadowGuard(recorded.locks), sink=sink.sink
                    )
                ),
                log,
            )
    bar.stop()
    if code != 0:
        raise ShadowFailed(f"{COMMANDS}[{number}] could not be decided to {end}: see the log")


@dataclass
class ShadowOwner:
    """One partition as a worker keeps it, from the shadow's own facts. `states` bounds the events in memory."""

    number: int
    of: int
    states: States
    decided: int = -1
    partitions: dict[int, Partition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.partitions[self.number] = Partition(self.number, 0, LogTime(0), set(), of=self.of)

    def restore(self, codec: Codec, facts: Iterable[list[tuple[int, bytes | None]]]) -> None:
        """Fold the facts that the shadow has decided already; whole commands only."""
        fold = Fold(codec, self.states)
        for chunk in facts:
            fold.take(chunk)
        self.partitions[self.number].advance(fold.log_time)
        self.decided = fold.through[0]

    def states_of(self, events: Mapping[EventId, int], firsts: Mapping[int, int]) -> dict[EventId, EventState]:
        """The states of a batch's events, new ones for unknown events. The batch before is written, so its events may
        leave memory."""
        lent = self.partitions[self.number].states
        for state in lent.values():
            self.states.give(state)
        lent.clear()
        self.states.turn()
        for event_id in events:
            state = self.states.take(event_id)
            lent[event_id] = state if state.details is not None else EventState(event_id)
        return dict(lent)


class ShadowGuard:
    """Takes no lock. Foreign locks come from the log: an event is decided again with the locks observed there."""

    def __init__(self, locks: Mapping[int, f.SeatLocksObserved]) -> None:
        self._locks = locks

    def claim(self, batch: Batch) -> Batch:
        """The batch with the foreign locks that were observed at its commands. The source begins a batch at each."""
        for group in batch.groups:
            observed = self._locks.get(group.placed[0].at.offset)
            if observed is not None:
                state = group.state
                state.take_back()
                locked = {place for place in observed.locked if _can_be_locked(state, place)}
                group.decide((state.locked_places | locked) - set(observed.freed))
        return batch


def _can_be_locked(state: EventState, place: str) -> bool:
    """False when a buyer has the seat in the shadow."""
    ticket_type_id, _, seat = place.partition("/")
    section = state.sections.get(TicketTypeId(ticket_type_id))
    seating = None if section is None else section.seating
    return seating is None or seat not in seating or seating.is_free(seat)


def _recorded(settings: Settings, number: int, progress: ProgressBars) -> Recorded:
    """Read the recorded facts. Decodes only the foreign locks and the last fact."""
    codec = codec_of(settings)
    of_locks = _headers_of(f.SeatLocksObserved)
    locks: dict[int, f.SeatLocksObserved] = {}
    last: list[bytes] = []
    with LogReader(settings, FACTS, number) as reader:
        reader.from_the_start()
        bar: Bar = progress.bar(f"recorded, partition {number}", reader.high)
        for message in reader.messages():
            value = message.value()
            if value is None:
                continue
            if value.startswith(of_locks):
                found = codec.decode(value)
                if isinstance(found, RecordedFact) and isinstance(found.fact, f.SeatLocksObserved):
                    locks.setdefault(found.envelope.offset, found.fact)
            last.append(value)
            if len(last) >= 2 * LAST_RECORDS:
                last = last[-LAST_RECORDS:]
            if offset_of(message) % BAR_EVERY == 0:
                bar.set(offset_of(message))
        bar.finish(reader.high)
    decided = [found.envelope.offset for value in last if isinstance(found := codec.decode(value), RecordedFact)]
    return Recorded(max(decided, default=-1) + 1, locks)


def _headers_of(record: type[f.Fact]) -> tuple[bytes, ...]:
    """The first bytes of this type of fact, for each of its schemas."""
    entries = json.loads(MANIFEST.read_text())["schemas"]
    ids = [entry["id"] for entry in entries if entry["schema"]["name"] == record.__name__]
    return tuple(bytes([MAGIC]) + number.to_bytes(4, "big") for number in ids)


def _facts(
    settings: Settings, topic: str, number: int, progress: ProgressBars | None = None, name: str = ""
) -> Iterator[tuple[int, RecordedFact]]:
    codec = codec_of(settings)
    with LogReader(settings, topic, number) as reader:
        reader.from_the_start()
        bar = progress.bar(f"{name}, partition {number}", reader.high) if progress is not None else None
        for message in reader.messages():
            offset = offset_of(message)
            if bar is not None and offset % BAR_EVERY == 0:
                bar.set(offset)
            recorded = codec.decode(message.value())
            if isinstance(recorded, RecordedFact):
                yield offset, recorded
        if bar is not None:
            bar.finish(reader.high)
