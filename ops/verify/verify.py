"""`circle verify`: decides the commands again, compares the facts, then compares PostgreSQL and Redis with the result.

Guarantee: it writes only a temporary file, for states that do not fit into memory. It verifies one partition at a time,
with a bounded number of reservations in memory. The platform may run: rows are compared at the position that they name,
and Redis only at a moment when it is at rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import redis
from confluent_kafka import Message

from connectors import redis_clients
from connectors.errors import ServiceUnreachable
from connectors.kafka import committed_offsets, consumer
from connectors.log_reader import (
    FactQueue,
    LogReader,
    chosen,
    few_collections,
    key_of,
    offset_of,
    partitions_of,
    record_of,
    stamp_of,
)
from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.scratch_file import ScratchFile
from connectors.settings import Settings
from connectors.sql_files import queries
from connectors.stoppable_wait import pause
from ops.progress import Bar, ProgressBars
from pipelines.history.agreement import claims_differ, rows_differ, tickets_differ
from pipelines.history.states import KEPT_MAX, States
from pipelines.history.verification import Divergence, DivergenceKind, PartitionVerifier, Undecided
from pipelines.reservations.core.state import EventState
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.snapshot_rows import EventSnapshot
from pipelines.reservations.snapshot_store import SnapshotStore
from pipelines.reservations.wiring import GROUP
from schemas.codec import Codec
from schemas.ids import NO_EVENT, US_PER_S, EventId, TicketId, UserId, position_text
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS

CATCH_UP_S = 10.0  # a projection that does not move for this long is not catching up
LOOK_S = 0.1  # rows and Redis do not announce that they have caught up; each wait is bounded
REDIS_LOOKS = 20  # the claims of a busy event are a moment ahead of the log; at rest they are equal
REDIS_BATCH = 500
BAR_EVERY = 5_000

SQL_FILE = Path(__file__).with_name("verify.sql")
SQL = queries(SQL_FILE)


class PartitionResult(msgspec.Struct, kw_only=True):
    """The result for one partition."""

    partition: int
    through: int
    digest: str
    commands: int
    facts: int
    repeated: int
    failed: int
    undecided: int
    events: int
    postgres_events: int = 0
    redis_events: int = 0
    not_compared: list[str] = msgspec.field(default_factory=list)
    divergences: list[Divergence] = msgspec.field(default_factory=list)
    diverged: int = 0


class VerifyReport(msgspec.Struct, kw_only=True):
    """The whole run."""

    event_id: EventId | None
    partitions: list[PartitionResult]
    seconds: float
    cpu_us_per_fact: float

    @property
    def ok(self) -> bool:
        return not any(one.diverged for one in self.partitions)

    @property
    def facts(self) -> int:
        return sum(one.facts for one in self.partitions)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """What to compare."""

    event_id: EventId | None = None
    partition: int | None = None
    postgres: bool = True
    redis: bool = True


@dataclass
class PartitionRun:
    """The verification of one partition. It continues where it stopped."""

    settings: Settings
    partition: int
    codec: Codec
    only: str | None = None
    bar: Bar | None = None
    follow: bool = False
    kept_max: int = KEPT_MAX
    _buffer: list[Message] = field(default_factory=list)
    _at: int = 0

    def __post_init__(self) -> None:
        self.commands = LogReader(self.settings, COMMANDS, self.partition, follow=self.follow).from_the_start()
        self.facts = LogReader(self.settings, FACTS, self.partition, follow=self.follow).from_the_start()
        queue = FactQueue(self.facts, only=self.only)
        count = partitions_of(self.settings, COMMANDS)
        self._shelf = ScratchFile[EventId]()
        states = States(self._shelf, self.kept_max)
        self.verifier = PartitionVerifier(
            self.partition, self.codec, queue, only=self.only, partitions=count, states=states
        )
        self.read_to = -1  # the last command that was read, of any event

    def advance(self, end: int | None = None) -> bool:
        """Verify to the end of the log, or below offset `end`. True when it stopped at a command without facts."""
        only = None if self.only is None else self.only.encode()
        read, skip = self.verifier.read, self.verifier.skip
        while True:
            while self._at < len(self._buffer):
                message = self._buffer[self._at]
                offset = offset_of(message)
                if end is not None and offset >= end:
                    return False
                if only is not None and key_of(message) not in (only, None):
                    skip(stamp_of(message))
                else:
                    try:
                        read(record_of(message))
                    except Undecided:
                        return True
                self._at += 1
                self.read_to = offset
                if self.bar is not None and offset % BAR_EVERY == 0:
                    self.bar.set(offset, f"{self.verifier.diverged} divergences" if self.verifier.diverged else "")
            self._buffer, self._at = self.commands.chunk(), 0
            if not self._buffer:
                return False

    @property
    def waiting(self) -> int:
        """The number of known commands after the last verified one."""
        return max(len(self._buffer) - self._at, self.commands.bounds()[1] - self.read_to - 1)

    def close(self) -> None:
        """Close the connections to the broker."""
        self.commands.close()
        self.facts.close()
        self._shelf.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def verify(settings: Settings, options: VerifyOptions, progress: ProgressBars) -> VerifyReport:
    """Verify partition after partition. Raises ServiceUnreachable, LogTruncated, NoSuchPartition."""
    started = time.monotonic()
    numbers = numbers_of(settings, options)
    decided = _decided(settings, numbers)
    codec, results = codec_of(settings), []
    fold_cpu = 0.0
    with ExitStack() as stack:
        database = stack.enter_context(closing(_database(settings))) if options.postgres else None
        client = stack.enter_context(closing(connect_redis(settings))) if options.redis else None
        for number in numbers:
            before = time.process_time()
            with PartitionRun(settings, number, codec, options.event_id) as run:
                run.bar = progress.bar(f"partition {number}", run.commands.high)
                with few_collections():
                    stopped = run.advance()
                fold_cpu += time.process_time() - before
                results.append(_finish(run, stopped, decided.get(number), database, client))
                run.bar.finish(run.read_to + 1, f"through {number}/{run.verifier.through}")
    facts = sum(one.facts for one in results)
    return VerifyReport(
        event_id=options.event_id,
        partitions=results,
        seconds=round(time.monotonic() - started, 3),
        cpu_us_per_fact=round(fold_cpu * US_PER_S / max(1, facts), 2),
    )


def _finish(
    run: PartitionRun, stopped: bool, decided: int | None, database: Database | None, client: redis.Redis | None
) -> PartitionResult:
    """After the partition's last record: commands without facts, then rows and Redis."""
    verifier, number = run.verifier, run.partition
    if stopped and decided is not None and decided > run.read_to + 1:
        what = f"the group {GROUP} has committed offset {decided}, and this command has no (complete) facts"
        verifier.found(
            Divergence(
                kind=DivergenceKind.LOST_COMMAND,
                position=position_text(number, run.read_to + 1),
                event_id=NO_EVENT,
                what=what,
            )
        )
    verifier.finish()
    undecided = run.waiting if stopped else 0
    result = PartitionResult(
        partition=number, through=0, digest="", commands=0, facts=0, repeated=0, failed=0, undecided=undecided, events=0
    )
    if database is not None:
        _compare_rows(run, SnapshotStore(database), result)
    if client is not None:
        compare_redis(run, client, result)
    result.through, result.digest = verifier.through, verifier.digest
    result.commands, result.facts, result.repeated = verifier.commands, verifier.facts, verifier.repeated
    result.failed = verifier.failed
    result.events = len(verifier.states)
    result.divergences, result.diverged = verifier.divergences, verifier.diverged
    return result


# --- Postgres -----------------------------------------------------------------------------------------------------


def _compare_rows(run: PartitionRun, store: SnapshotStore, result: PartitionResult) -> None:
    stored = store.load_partition(run.partition)
    strangers = set() if run.only is not None else set(stored.event_ids) - run.verifier.states.keys()
    for event_id in [*run.verifier.states, *sorted(strangers)]:
        if event_id in run.verifier.apart:
            result.not_compared.append(f"event {event_id}: a fact of it cannot be folded")
            continue
        rows, valid = _rows_at_our_position(run, store, event_id)
        folded = run.verifier.states.get(event_id) or EventState(event_id)
        at, through = rows.position.offset, run.verifier.through
        if not through <= at <= run.read_to or run.verifier.busy_event == event_id:
            what = f"Postgres is at {position_text(run.partition, at)}, the log is verified through {through}"
            result.not_compared.append(f"event {event_id}: {what}")
            if run.verifier.busy_event != event_id:
                _derived(
                    run,
                    DivergenceKind.POSTGRES_BEHIND if at < through else DivergenceKind.POSTGRES_AHEAD,
                    event_id,
                    [what],
                )
            continue
        if rows.incomplete:
            what = "facts of it were set aside, so it lacks rows: circle replay projections --promote"
            result.not_compared.append(f"event {event_id}: {what}")
            continue
        differences = rows_differ(folded, state_from(rows))
        differences += tickets_differ(folded, valid)
        _derived(run, DivergenceKind.POSTGRES, event_id, differences)
        result.postgres_events += 1


def _rows_at_our_position(
    run: PartitionRun, store: SnapshotStore, event_id: EventId
) -> tuple[EventSnapshot, dict[TicketId, tuple[UserId, int]]]:
    """The event's rows and valid tickets, with their holders and code versions, at one position.

    It is the position of the verified log, or the present one when time runs out.
    """
    deadline = time.monotonic() + CATCH_UP_S
    valid: dict[TicketId, tuple[UserId, int]] = {}

    async def tickets(connection: Connection) -> None:
        valid.clear()
        valid.update({row[0]: (row[1], row[2]) for row in await connection.fetch(SQL["valid_tickets"], event_id)})

    while True:
        rows = store.load_event(event_id, run.partition, also=tickets)
        at = rows.position.offset
        if at > run.read_to:
            run.advance(at + 1)
        if run.verifier.through <= at <= run.read_to or time.monotonic() > deadline:
            return rows, valid
        time.sleep(LOOK_S)


def _derived(run: PartitionRun, kind: DivergenceKind, event_id: EventId, differences: list[str]) -> None:
    position = position_text(run.partition, run.verifier.through)
    for what in differences:
        run.verifier.found(
            Divergence(kind=kind, position=position, event_id=event_id, what=f"event {event_id}: {what}")
        )


# --- Redis --------------------------------------------------------------------------------------------------------


def compare_redis(run: PartitionRun, client: redis.Redis, result: PartitionResult) -> None:
    """Compare Redis with the log, again and again until both are at rest: Redis changes just before each commit.

    A worker that died in the middle of a batch leaves Redis ahead of the log, until its successor decides the batch.
    """
    left = list(run.verifier.states)
    result.redis_events = len(left)
    differing: dict[EventId, list[str]] = {}
    undecided = False
    for look in range(REDIS_LOOKS):
        if look:
            time.sleep(LOOK_S)
        run.advance()
        through = run.verifier.through
        differing = _redis_differences(run, client, left)
        undecided = run.advance()
        moved = run.verifier.through != through or run.verifier.busy_event is not None
        left = list(differing)
        if not differing or (not moved and look >= 2):
            break
    else:
        result.not_compared += [f"event {event_id}: Redis is busy with it" for event_id in differing]
        result.redis_events -= len(differing)
        return
    if undecided:
        why = "Redis may be ahead, commands are not decided yet"
        result.not_compared += [f"event {event_id}: {why}" for event_id in differing]
        result.redis_events -= len(differing)
        return
    for event_id, differences in differing.items():
        _derived(run, DivergenceKind.REDIS, event_id, differences)


def _redis_differences(run: PartitionRun, client: redis.Redis, event_ids: list[EventId]) -> dict[EventId, list[str]]:
    differing: dict[EventId, list[str]] = {}
    for start in range(0, len(event_ids), REDIS_BATCH):
        part = event_ids[start : start + REDIS_BATCH]
        pipeline = client.pipeline(transaction=False)
        for event_id in part:
            for name in ("meta", "claims", "availability"):
                pipeline.hgetall(f"circle:{{{event_id}}}:{name}")
        answers = pipeline.execute()
        for number, event_id in enumerate(part):
            meta, claims, availability = answers[3 * number : 3 * number + 3]
            if not meta:
                continue  # Redis was flushed: the event is installed again when it is next sold
            differences = claims_differ(run.verifier.states[event_id], claims, availability)
            if differences:
                differing[event_id] = differences
    return differing


def numbers_of(settings: Settings, options: VerifyOptions) -> list[int]:
    """The partitions to verify. Raises NoSuchPartition."""
    numbers = chosen(settings, COMMANDS, options.partition)
    if options.event_id is not None and options.partition is None:
        return [partition_of(options.event_id, len(numbers))]
    return numbers


def _database(settings: Settings) -> Database:
    """A connection after one try. A worker waits for PostgreSQL; a person wants the error at once."""

    async def ask(connection: Connection) -> None:
        await connection.execute("SELECT 1")

    database = Database(settings.postgres_url)
    database.run(ask)
    return database


def connect_redis(settings: Settings) -> redis.Redis:
    """A client after one try. Raises ServiceUnreachable, RedisIsACluster."""
    client: redis.Redis = redis_clients.connect(settings.redis_url, decode_responses=True, socket_timeout=5)
    try:
        client.ping()
    except redis_clients.RedisIsACluster:
        raise
    except redis.RedisError as error:
        address = settings.redis_url.rpartition("@")[2]
        raise ServiceUnreachable("Redis", address, f"{error}; is CIRCLE_REDIS_URL right?") from error
    return client


def _decided(settings: Settings, partitions: list[int]) -> dict[int, int | None]:
    client = consumer(settings, group=GROUP)
    try:
        return dict(committed_offsets(client, COMMANDS, partitions))
    finally:
        client.close()


# --- following ----------------------------------------------------------------------------------------------------


def follow(
    settings: Settings,
    options: VerifyOptions,
    *,
    told: Callable[[list[PartitionRun]], None],
    stop: Callable[[], bool],
    interval_s: float = 1.0,
) -> bool:
    """Verify new facts until `stop`, and call `told` after each round. True when nothing diverged."""
    codec, numbers = codec_of(settings), numbers_of(settings, options)
    kept_max = KEPT_MAX // len(numbers)
    runs = [
        PartitionRun(settings, number, codec, options.event_id, follow=True, kept_max=kept_max) for number in numbers
    ]
    try:
        while not stop():
            for run in runs:
                run.advance()
            told(runs)
            pause(interval_s, stop)
    finally:
        for run in runs:
            run.close()
    return not any(run.verifier.diverged for run in runs)
