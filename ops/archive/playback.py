"""`circle replay load`: replays a recorded drop against another cluster, at its own speed or faster.

It writes the commands of buyers and organizers to the other cluster, in the recorded order. The other cluster makes the
platform's own commands (ticks, payment results, chores) itself. Times in the records move with the drop, and holds get
shorter with the speed. So sales open and holds end in the recorded order. Memory is that of the readers; the number of
commands under way is bounded.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

import msgspec
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from connectors import clock
from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, StopFlag, consumer, producer
from connectors.log_reader import LogReader, partitions_of, stamp_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.archive.export import BadArchive, manifest_of, other_headers, records_of
from ops.progress import ProgressBars
from ops.statistics import Latencies, latencies
from schemas import cloudevents
from schemas.codec import Codec
from schemas.commands import Command, ReserveInTurn
from schemas.event_terms import EVENT_TERMS
from schemas.facts import RecordedFact
from schemas.ids import MS_PER_S, US_PER_MS
from schemas.times import rfc3339
from schemas.topics import COMMANDS, FACTS

UNDER_WAY_MAX = 50_000  # commands without facts; above it the next commands wait, and the run falls behind
DRAIN_S = 30.0
WAIT_S = 0.02
FACTS_AT_ONCE = 5_000
LENGTHS = tuple(name for name in EVENT_TERMS if name.endswith("_s"))  # they shrink with the speed


class BadTarget(CircleError):
    """Wrong usage: --to is the cluster that is read, or there is nothing to read."""

    exit_code = 2


class NothingDecided(CircleError):
    """The other cluster takes commands but decides none."""


class RecordedCommand(NamedTuple):
    """A recorded command at its time."""

    timestamp_ms: int
    partition: int
    offset: int
    value: bytes | None


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Latency in ms, from the hand-over of a command to the client until its last fact arrives here."""

    to: str
    speed: float
    recorded_s: float
    commands: int
    played: int
    left_out: dict[str, int]
    seconds: float
    per_second: float
    behind_s: float
    unacknowledged: int
    decided: int
    latency: Latencies
    facts: dict[str, int]
    stopped: bool


def play(
    settings: Settings,
    to: str,
    progress: ProgressBars,
    *,
    speed: float,
    stop: StopFlag,
    directory: Path | None = None,
    new_ids: bool = False,
    dry_run: bool = False,
) -> LoadReport:
    """Play an export, or this cluster's own log. Raises BadTarget, BadArchive, ServiceUnreachable."""
    if directory is None and to == settings.kafka_bootstrap_servers:
        raise BadTarget(f"--to {to} is the cluster that is read: play an export there, or name another cluster")
    target = replace(settings, kafka_bootstrap_servers=to)
    source_codec = Codec() if directory is not None else codec_of(settings)
    player = _Player(target=target, speed=speed, new_ids=new_ids, dry_run=dry_run, source_codec=source_codec)
    bar = progress.bar("played", 1)
    with _Source(settings, directory) as source:
        bar.of(source.total)
        started = time.monotonic()
        try:
            for asked in heapq.merge(*source.streams()):
                if stop.requested:
                    break
                player.take(asked)
                if player.commands % 100 == 0:
                    bar.set(player.commands, f"{player.behind_s:.1f} s behind" if player.behind_s >= 1 else "")
            player.drain(stop)
        finally:
            player.close()
    bar.finish(player.commands)
    return player.report(to, time.monotonic() - started, stopped=stop.requested)


class _Source:
    """The recorded commands of each partition, in offset order."""

    def __init__(self, settings: Settings, directory: Path | None) -> None:
        self._readers: list[LogReader] = []
        self._files: list[tuple[Path, int]] = []
        self._headers: dict[bytes, bytes] = {}
        if directory is None:
            for partition in range(partitions_of(settings, COMMANDS)):
                self._readers.append(LogReader(settings, COMMANDS, partition).from_the_start())
            self.total = sum(reader.high for reader in self._readers)
            return
        manifest = manifest_of(directory)
        self._headers = other_headers(manifest, Codec())
        files = [one for one in manifest.files if one.topic == COMMANDS]
        if not files:
            raise BadArchive(f"{directory} has no {COMMANDS}: export that topic, too")
        self._files = [(directory / one.file, one.partition) for one in files]
        self.total = sum(one.records for one in files)

    def streams(self) -> list[Iterator[RecordedCommand]]:
        return [
            *(_of_log(reader, number) for number, reader in enumerate(self._readers)),
            *(_of_file(path, partition, self._headers) for path, partition in self._files),
        ]

    def __enter__(self) -> _Source:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.close()


def _of_log(reader: LogReader, partition: int) -> Iterator[RecordedCommand]:
    for message in reader.messages():
        yield RecordedCommand(stamp_of(message), partition, message.offset() or 0, message.value())


def _of_file(path: Path, partition: int, headers: Mapping[bytes, bytes]) -> Iterator[RecordedCommand]:
    for record in records_of(path, Codec(), headers):
        yield RecordedCommand(record.timestamp_ms, partition, record.offset, record.value)


@dataclass
class _Player:
    """Sends the commands that are due, and reads the facts."""

    target: Settings
    speed: float
    new_ids: bool
    dry_run: bool
    source_codec: Codec
    commands: int = 0
    played: int = 0
    behind_s: float = 0.0
    _left_out: Counter[str] = field(default_factory=Counter)
    _facts: Counter[str] = field(default_factory=Counter)
    _sent: dict[tuple[int, int], float] = field(default_factory=dict)
    _early: set[tuple[int, int]] = field(default_factory=set)  # facts that came before the acknowledgement
    _seconds: list[float] = field(default_factory=list)
    _unacknowledged: int = 0
    _failed: KafkaError | None = None
    _first_ms: int = -1
    _last_ms: int = 0
    _begun: float = 0.0
    _begun_us: int = 0
    _run: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self._codec = codec_of(self.target)
        self._producer: Producer | None = None
        self._reader: Consumer | None = None
        if not self.dry_run:
            partitions = partitions_of(self.target, FACTS)
            self._producer = producer(self.target)
            self._reader = consumer(self.target, group=None, **{"auto.offset.reset": "latest"})
            ends = [TopicPartition(FACTS, number) for number in range(partitions)]
            for place in ends:
                bounds = self._reader.get_watermark_offsets(place, timeout=METADATA_TIMEOUT_S)
                if bounds is None:
                    raise ServiceUnreachable(
                        "Kafka", self.target.kafka_bootstrap_servers, "no answer about its offsets"
                    )
                place.offset = max(0, bounds[1])
            self._reader.assign(ends)

    def take(self, asked: RecordedCommand) -> None:
        """Play one command when it is due."""
        self.commands += 1
        if self._first_ms < 0:
            self._first_ms, self._begun, self._begun_us = asked.timestamp_ms, time.monotonic(), clock.now_us()
        self._last_ms = max(self._last_ms, asked.timestamp_ms)
        command = self.source_codec.decode(asked.value)
        if not isinstance(command, Command):
            self._left_out["unreadable"] += 1
            return
        if not command.user_id and not isinstance(command, ReserveInTurn):
            self._left_out[type(command).__name__] += 1
            return
        self.played += 1
        if self.dry_run:
            return
        due = self._begun + (asked.timestamp_ms - self._first_ms) / MS_PER_S / self.speed
        while (left := due - time.monotonic()) > 0:
            self._look(min(WAIT_S, left))
        self._make_room()
        self.behind_s = max(self.behind_s, time.monotonic() - due)
        self._send(self._moved(command))

    def _make_room(self) -> None:
        """Wait while too many commands are under way. Raises NothingDecided when that does not end."""
        deadline = time.monotonic() + DRAIN_S
        while len(self._sent) + self._unacknowledged > UNDER_WAY_MAX:
            self._look(WAIT_S)
            if time.monotonic() > deadline:
                raise NothingDecided(
                    f"{UNDER_WAY_MAX:,} commands are under way on {self.target.kafka_bootstrap_servers} and stay so: "
                    "does its reservations dataflow run?"
                )

    def drain(self, stop: StopFlag) -> None:
        """Wait for the remaining acknowledgements and facts."""
        deadline = time.monotonic() + DRAIN_S
        while (self._unacknowledged or self._sent) and time.monotonic() < deadline and not stop.requested:
            self._look(WAIT_S)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def report(self, to: str, seconds: float, *, stopped: bool) -> LoadReport:
        return LoadReport(
            to=to,
            speed=self.speed,
            recorded_s=round((self._last_ms - max(0, self._first_ms)) / MS_PER_S, 1),
            commands=self.commands,
            played=self.played,
            left_out=dict(self._left_out.most_common()),
            seconds=round(seconds, 1),
            per_second=round(self.played / seconds, 1) if seconds else 0.0,
            behind_s=round(self.behind_s, 2),
            unacknowledged=self._unacknowledged,
            decided=len(self._seconds),
            latency=latencies(self._seconds),
            facts=dict(self._facts.most_common()),
            stopped=stopped,
        )

    def _send(self, command: Command) -> None:
        assert self._producer is not None
        value, key, sent = self._codec.encode(command), command.event_id.encode(), time.monotonic()
        now, kind = rfc3339(clock.now_us()), type(command).__name__
        headers = cloudevents.headers(cloudevents.OPERATORS, command.command_id, kind, now)
        while True:
            try:
                self._producer.produce(COMMANDS, value, key, headers=headers, on_delivery=self._delivered(sent))
                self._unacknowledged += 1
                return
            except BufferError:
                self._look(WAIT_S)

    def _delivered(self, sent: float) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            self._unacknowledged -= 1
            if error is not None:
                self._failed = error
                return
            place = (message.partition() or 0, message.offset() or 0)
            if place in self._early:
                self._early.discard(place)
                self._seconds.append(time.monotonic() - sent)
            else:
                self._sent[place] = sent

        return delivered

    def _look(self, wait_s: float) -> None:
        """Read acknowledgements and facts. Raises ServiceUnreachable when a command was not written."""
        assert self._producer is not None
        assert self._reader is not None
        self._producer.poll(0)
        if self._failed is not None:
            raise ServiceUnreachable("Kafka", self.target.kafka_bootstrap_servers, str(self._failed))
        first = self._reader.poll(wait_s)
        for message in [] if first is None else [first, *self._reader.consume(FACTS_AT_ONCE, 0)]:
            recorded = None if message.error() is not None else self._codec.decode(message.value())
            if not isinstance(recorded, RecordedFact):
                continue
            at = recorded.envelope
            self._facts[type(recorded.fact).__name__] += 1
            if at.index == at.count - 1:
                sent = self._sent.pop((at.partition, at.offset), None)
                if sent is not None:
                    self._seconds.append(time.monotonic() - sent)
                elif self._unacknowledged and len(self._early) < UNDER_WAY_MAX:
                    self._early.add((at.partition, at.offset))

    def _moved(self, command: Command) -> Command:
        """The command of this run: with other times and lengths, and with new ids when asked."""
        changes: dict[str, Any] = {}
        for name in command.__struct_fields__:
            value = getattr(command, name)
            if name.endswith("_at") and isinstance(value, int) and value > 0:
                since_us = value - self._first_ms * US_PER_MS
                changes[name] = max(1, self._begun_us + round(since_us / self.speed))
            elif name in LENGTHS and value:
                changes[name] = max(1, round(value / self.speed))
            elif self.new_ids and name in ("event_id", "reservation_id") and value:
                changes[name] = str(uuid5(self._run, value))
            elif self.new_ids and name == "reservation_ids":
                changes[name] = [str(uuid5(self._run, one)) for one in value]
        return msgspec.structs.replace(command, **changes) if changes else command
