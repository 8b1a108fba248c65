"""`circle bench kernel`: commands are preloaded, then one reservations process alone decides them all.

It measures the CPU of the worker process (with its threads) and the clock, from the first batch's replies to the last
one's. Replies name every command once and come in one message for each batch, so they also give the batch sizes.
Afterwards the bench reads the facts back: every command must be decided exactly once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec
import redis
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from connectors import clock, kafka, redis_clients
from connectors.errors import CircleError, SettingsError
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.proof.bench.mix import PHASES, SETUP, Layout, Mix, layout, phase_of
from ops.run.services.process import log_tail, spawn
from ops.run.services.stack import Stack
from ops.statistics import peak_mb, percentile, tree_cpu_s
from pipelines.configuration import settings_from_env
from schemas import cloudevents
from schemas.commands import Command
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S
from schemas.replies import REPLY_CHANNEL_PREFIX, decode_replies
from schemas.topics import COMMANDS, FACTS

CHANNEL = REPLY_CHANNEL_PREFIX + "bench"
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # every request of ours carries one
SILENCE_S_MAX = 60.0  # no batch for so long: the worker is stuck
FLUSH_S = 60.0
PURE = 0.95  # the share of a batch's commands that makes it count for a phase
EVENTS_MAX = 100_000
STOP_S = 15.0
DATAFLOW = ("-m", "ops.cli.main", "pipeline", "reservations")


class KernelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to preload."""

    commands: int = 200_000
    events: int = 8
    partitions: int = 8
    seats: int = 1_000
    pending_holds: int = 0
    broker: str = "embedded"
    seed: int = 1


class PhaseFigures(msgspec.Struct, frozen=True):
    """One phase, from the batches that belong to it (almost) completely."""

    phase: str
    commands: int
    batches: int
    commands_per_s: float
    cpu_us_per_command: float


class BatchSizes(msgspec.Struct, frozen=True):
    """The number of commands in one transaction."""

    batches: int
    p50: int
    p95: int
    largest: int


class KernelReport(msgspec.Struct, frozen=True, kw_only=True):
    """The figures. `measured` does not count commands before the clock starts: events, holds, the first batch."""

    options: KernelOptions
    layout: Layout
    preloaded: int
    decided: int
    measured: int
    seconds: float
    commands_per_s: float
    cpu_us_per_command: float
    commands_per_s_per_core: float
    phases: list[PhaseFigures]
    batch_sizes: BatchSizes
    facts: dict[str, int]
    positions_repeated: int

    @property
    def passed(self) -> bool:
        """Whether every command was decided once."""
        return self.decided == self.preloaded and not self.positions_repeated


@dataclass(frozen=True, slots=True)
class Observed:
    """One batch by its replies: when, the worker's CPU seconds until then, commands by phase, CPU of the services."""

    at: float
    cpu_s: float
    phases: Counter[int]
    services_s: Mapping[str, float] = field(default_factory=dict)


def run(options: KernelOptions, progress: ProgressBars) -> KernelReport:
    """Runs the bench on a stack of its own. Raises CircleError when the worker dies or gets stuck."""
    own_broker_only(options.broker)
    with Stack(options.broker, partitions=options.partitions) as stack:
        return run_on(stack, options, progress)


def own_broker_only(broker: str) -> None:
    """Raises SettingsError for a foreign broker, whose topics the bench would empty."""
    if ":" in broker:
        raise SettingsError(
            "--broker", "the bench empties its topics, so it only takes a broker of its own",
            got=broker, example="apache",
        )  # fmt: skip


def run_on(
    stack: Stack, options: KernelOptions, progress: ProgressBars, *, command: Sequence[str] = DATAFLOW
) -> KernelReport:
    """One run on a stack, which it empties first. `command`: the arguments of Python for the measured process."""
    shape = layout(options.commands, options.events, options.seats, options.pending_holds)
    env = stack.fresh()
    settings = settings_from_env(env)
    mix = Mix(shape, now_us=clock.now_us(), seed=options.seed)
    preloaded = preload(settings, _commands(mix, options), options.commands + options.pending_holds, progress)
    with new_worker(env, command) as worker, redis_clients.connect(settings.redis_url) as client:
        observed = watch(client, worker, preloaded, progress)
    facts, positions, repeated = _read_facts(settings, preloaded, progress)
    return report(options, shape, preloaded, observed, facts, positions, repeated)


def report(
    options: KernelOptions,
    shape: Layout,
    preloaded: int,
    observed: list[Observed],
    facts: Counter[str],
    decided: int,
    repeated: int,
) -> KernelReport:
    """The figures of the observed batches. Pure."""
    loads = [(before, batch) for before, batch in pairwise(observed) if not batch.phases[SETUP]]
    measured = sum(batch.phases.total() for _, batch in loads)
    seconds = sum(batch.at - before.at for before, batch in loads)
    cpu_us = sum(batch.cpu_s - before.cpu_s for before, batch in loads) * US_PER_S / max(1, measured)
    sizes = sorted(batch.phases.total() for batch in observed)
    return KernelReport(
        options=options,
        layout=shape,
        preloaded=preloaded,
        decided=decided,
        measured=measured,
        seconds=round(seconds, 3),
        commands_per_s=_rate(measured, seconds),
        cpu_us_per_command=round(cpu_us, 2),
        commands_per_s_per_core=_rate(US_PER_S, cpu_us),
        phases=[_phase(number, name, loads) for number, name in PHASES.items()],
        batch_sizes=BatchSizes(
            len(sizes), int(percentile(sizes, 0.5)), int(percentile(sizes, 0.95)), int(percentile(sizes, 1))
        ),
        facts=dict(facts.most_common()),
        positions_repeated=repeated,
    )


def _phase(number: int, name: str, loads: list[tuple[Observed, Observed]]) -> PhaseFigures:
    own = [(before, batch) for before, batch in loads if batch.phases[number] >= PURE * batch.phases.total()]
    commands = sum(batch.phases.total() for _, batch in own)
    seconds = sum(batch.at - before.at for before, batch in own)
    cpu_s = sum(batch.cpu_s - before.cpu_s for before, batch in own)
    return PhaseFigures(
        phase=name,
        commands=commands,
        batches=len(own),
        commands_per_s=_rate(commands, seconds),
        cpu_us_per_command=round(cpu_s * US_PER_S / max(1, commands), 2),
    )


def _rate(count: float, seconds: float) -> float:
    return round(count / seconds, 0) if seconds > 0 else 0.0


def preload(settings: Settings, commands: Iterable[Command], about: int, progress: ProgressBars) -> int:
    """Writes every command, `about` so many. Returns how many, once all are acknowledged."""
    codec = codec_of(settings)
    client = kafka.producer(settings, **{"linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    made_at = clock.now_rfc3339()
    common = [("reply_to", CHANNEL.encode()), ("traceparent", TRACEPARENT)]
    bar = progress.bar("preloading", about)
    made = 0
    for command in commands:
        own = cloudevents.headers(cloudevents.API, command.command_id, type(command).__name__, made_at)
        headers = [*own, *common]
        value = codec.encode(command)
        while True:
            try:
                client.produce(COMMANDS, value, command.event_id.encode(), headers=headers)
                break
            except BufferError:
                client.poll(0.1)
        made += 1
        if made % 1_000 == 0:
            client.poll(0)
            bar.set(made)
    left = client.flush(FLUSH_S)
    if left:
        raise CircleError(f"{left} of {made} commands were not acknowledged in {FLUSH_S:.0f} s")
    bar.finish(made)
    return made


def _commands(mix: Mix, options: KernelOptions) -> Iterator[Command]:
    yield from mix.setup()
    yield from mix.pending_holds(options.pending_holds)
    yield from mix.load(options.commands)


@contextmanager
def new_worker(env: dict[str, str], command: Sequence[str] = DATAFLOW) -> Iterator[Worker]:
    """One reservations process, not started yet, so that its first reply is not missed."""
    with tempfile.TemporaryDirectory(prefix="circle-bench-") as directory:
        worker = Worker(
            {**os.environ, **env, "CIRCLE_INSTANCE": "bench"}, Path(directory) / "reservations.log", command
        )
        try:
            yield worker
        finally:
            worker.stop()


class Worker:
    """The measured process."""

    def __init__(self, env: dict[str, str], log: Path, command: Sequence[str] = DATAFLOW) -> None:
        self._env, self._log, self._command = env, log, command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it."""
        self._process = spawn([sys.executable, *self._command], log=self._log, env=self._env)

    def cpu_s(self) -> float:
        """The CPU that it has used so far."""
        assert self._process is not None
        return tree_cpu_s(self._process.pid)

    def peak_mb(self) -> float:
        """Its peak memory so far."""
        assert self._process is not None
        return peak_mb(self._process.pid)

    def check(self) -> None:
        """Raises CircleError with the end of its log when it is dead."""
        if self._process is not None and self._process.poll() is not None:
            raise CircleError(
                f"the reservations process ended with code {self._process.returncode}; the end of its log:\n"
                f"{log_tail(self._log)}"
            )

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when it does not end."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def watch(
    client: redis.Redis,
    worker: Worker,
    preloaded: int,
    progress: ProgressBars,
    services_s: Callable[[], Mapping[str, float]] = dict,
) -> list[Observed]:
    """Every batch until all commands have their reply, or nothing has come for SILENCE_S_MAX."""
    observed: list[Observed] = []
    replied = 0
    bar = progress.bar("deciding", preloaded)
    with client.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]
        channel.subscribe(CHANNEL)
        channel.get_message(timeout=1.0)
        worker.start()
        last = time.monotonic()
        while replied < preloaded and time.monotonic() - last < SILENCE_S_MAX:
            message = channel.get_message(timeout=0.5)
            now = time.monotonic()
            if message is None or message["type"] != "message":
                worker.check()
                continue
            cpu_s = worker.cpu_s()
            replies = decode_replies(message["data"])
            phases = Counter(phase_of(reply.command_id) for reply in replies)
            observed.append(Observed(now, cpu_s, phases, services_s()))
            replied += len(replies)
            last = now
            bar.set(replied)
        worker.check()
    bar.finish(replied)
    return observed


def _read_facts(settings: Settings, preloaded: int, progress: ProgressBars) -> tuple[Counter[str], int, int]:
    """Facts by type, commands decided, positions seen more than once; from the whole topic, end to end."""
    codec, reader = codec_of(settings), kafka.consumer(settings, group=None)
    parts = [TopicPartition(FACTS, partition, OFFSET_BEGINNING) for partition in range(settings.partitions)]
    ends = {part.partition: reader.get_watermark_offsets(part, timeout=10.0)[1] for part in parts}
    reader.assign(parts)
    types: Counter[str] = Counter()
    commands: set[tuple[int, int]] = set()
    positions: set[tuple[int, int, int]] = set()
    repeated = 0
    bar = progress.bar("reading the facts back", preloaded)
    open_ends = {partition for partition, end in ends.items() if end > 0}
    deadline = time.monotonic() + SILENCE_S_MAX
    while open_ends and time.monotonic() < deadline:
        for message in reader.consume(5_000, 0.2):
            if message.error() is not None:
                continue
            deadline = time.monotonic() + SILENCE_S_MAX
            recorded = codec.decode(message.value())
            if not isinstance(recorded, RecordedFact):
                raise CircleError(f"{FACTS}[{message.partition()}] at {message.offset()} is no fact: {recorded}")
            at = recorded.envelope
            position = (at.partition, at.offset, at.index)
            repeated += position in positions
            positions.add(position)
            commands.add(position[:2])
            types[type(recorded.fact).__name__] += 1
        # A transaction's end takes an offset of its own, so the last record need not be at the end.
        places = reader.position([TopicPartition(FACTS, partition) for partition in open_ends])
        open_ends -= {place.partition for place in places if place.offset >= ends[place.partition]}
        bar.set(len(commands))
        if len(commands) >= preloaded:
            break
    reader.close()
    bar.finish(len(commands))
    return types, len(commands), repeated
