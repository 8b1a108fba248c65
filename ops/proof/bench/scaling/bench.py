"""`circle bench scaling`: the CPU of a command as sections, events, pending holds and the log grow.

At each size, commands that find places are preloaded, and one reservations process decides them; then the read side
writes their rows. The CPU of both and of their services is divided by those commands. What was there before (events,
first touches of sections, pending holds, the log behind) is not counted. All sizes of a law take turns in each round.
The log behind is read by the read side first, so that the process takes over a partition as after a restart.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import msgspec

from connectors import clock, kafka, redis_clients
from connectors.log_reader import offset_of
from connectors.postgres import Database
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.proof.bench.history import PARTITION, HistoryWriter
from ops.proof.bench.kernel import Observed, new_worker, own_broker_only, preload, watch
from ops.proof.bench.mix import SETUP, Mix
from ops.proof.bench.read_side import counted, read_side, read_until
from ops.proof.bench.resume import commit
from ops.proof.bench.scaling.laws import (
    LAWS,
    Law,
    MeasuredCost,
    Point,
    charts_of,
    figures_of,
    goals_of,
    holds_of,
    layout_of,
)
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement
from ops.proof.bench.warm_up import BROKERS
from ops.proof.checker.quiescence import last_record
from ops.proof.load.target import services_of
from ops.run.services.stack import Stack
from ops.statistics import CpuMeter, tree_cpu_s
from pipelines.configuration import settings_from_env
from pipelines.flows import Flow
from pipelines.reservations.guard import DONE
from schemas.commands import Command, ReserveTickets
from schemas.ids import US_PER_S
from schemas.topics import COMMANDS

KERNEL = "kernel"
COMMANDS_MIN = 5_000  # full batches; the system counts CPU in ticks of 10 ms


class ScalingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The laws to measure, and the commands of each run."""

    laws: list[Law]
    commands: int = 20_000
    rounds: int = 3
    quick: bool = False
    broker: str = "embedded"
    seed: int = 1

    def sizes(self, law: Law) -> tuple[int, ...]:
        """The sizes of a law."""
        return LAWS[law].quick if self.quick else LAWS[law].full


class ScalingReport(msgspec.Struct, frozen=True, kw_only=True):
    """All runs, and the verdicts."""

    options: ScalingOptions
    machine: Machine
    points: list[Point]
    figures: list[Figure]
    goals: list[BenchCheck]

    @property
    def passed(self) -> bool:
        """Whether each command was decided and each reservation has its row. The verdicts change nothing here."""
        return bool(self.points) and all(point.sound for point in self.points)


def run(options: ScalingOptions, progress: ProgressBars) -> ScalingReport:
    """Measures every law. Raises CircleError when a process dies or stands still."""
    own_broker_only(options.broker)
    calibration, points = Calibration(options.broker), list[Point]()
    for law in options.laws:
        with ExitStack() as stacks:
            prepared = _prepared(law, options, stacks, progress)
            for number in range(options.rounds):
                calibration.measure()
                sizes = options.sizes(law)
                for size in sizes if number % 2 == 0 else reversed(sizes):
                    progress.say(f"{LAWS[law].about}: {size:,}, round {number + 1} of {options.rounds}")
                    stack, env = prepared[size]
                    points.append(_point(law, size, number, options, stack, env or stack.fresh(), progress))
    return ScalingReport(
        options=options, machine=calibration.machine(), points=points, figures=figures_of(points),
        goals=goals_of(points),
    )  # fmt: skip


def measurement(report: ScalingReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    options = report.options
    return Measurement(
        name="scaling",
        about="the CPU of a command as sections, events, pending holds and the log grow",
        load={
            "commands": options.commands,
            **{law.value: ", ".join(f"{size:,}" for size in options.sizes(law)) for law in options.laws},
        },
        machine=report.machine,
        figures=report.figures,
        checks=[BenchCheck("each command was decided, and each reservation has its row", report.passed)],
        goals=report.goals,
        charts=charts_of(report.points),
    )


def _prepared(
    law: Law, options: ScalingOptions, stacks: ExitStack, progress: ProgressBars
) -> dict[int, tuple[Stack, dict[str, str] | None]]:
    """A stack for each size, with its log behind; without an environment, each run empties its stack first.

    A long log is written once, and every round adds its own commands to it.
    """
    shared = stacks.enter_context(Stack(options.broker, partitions=1))
    prepared: dict[int, tuple[Stack, dict[str, str] | None]] = {}
    for size in options.sizes(law):
        if law is not Law.FACTS or not size:
            prepared[size] = shared, None
            continue
        stack = stacks.enter_context(Stack(options.broker, partitions=1))
        env = stack.fresh()
        settings = settings_from_env(env)
        history = HistoryWriter(settings, seed=options.seed)
        written = history.write(size, progress.bar(f"writing {size:,} facts", size))
        commit(settings, written.commands)
        with _Reading(settings, env, progress) as reading:
            reading.until(written.commands - 1)
        with redis_clients.connect(settings.redis_url) as client:
            client.set(f"circle:installed:{PARTITION}", DONE)  # as its former owner has left Redis
        prepared[size] = stack, env
    return prepared


def _point(
    law: Law, size: int, number: int, options: ScalingOptions, stack: Stack, env: dict[str, str],
    progress: ProgressBars,
) -> Point:  # fmt: skip
    """One run: preload, decide, write the rows."""
    settings, services = settings_from_env(env), services_of(stack)
    before = commands_on(settings)
    shape = layout_of(law, size, options.commands)
    mix = Mix(shape, now_us=clock.now_us(), seed=options.seed * 1_000 + number)
    setup = list(_setup(mix, holds_of(law, size)))
    load = list(mix.load(options.commands))
    asked = sum(isinstance(command, ReserveTickets) for command in (*setup, *load))
    preloaded = preload(settings, (*setup, *load), len(setup) + len(load), progress)

    def services_s() -> Mapping[str, float]:
        return {name: tree_cpu_s(pid) for name, pid in services.items()}

    with closing(Database(settings.postgres_url)) as database:
        rows, _ = counted(database)
        with new_worker(env) as worker, redis_clients.connect(settings.redis_url) as client:
            observed = watch(client, worker, preloaded, progress, services_s)
        decided = decided_us(observed)
        with _Reading(settings, env, progress) as reading:
            began = reading.until(before + len(setup) - 1)
            meter = CpuMeter({Flow.READ_SIDE.value: reading.pid}, services)
            meter.start()
            reading.until(before + preloaded - 1)
            written = {one.name: one.us_per_request for one in meter.read(before + preloaded - 1 - began)}
        after, _ = counted(database)
    cost = MeasuredCost(
        kernel=decided[KERNEL],
        valkey=decided.get("valkey", 0.0),
        broker=sum(decided.get(name, 0.0) for name in BROKERS),
        read_side=written[Flow.READ_SIDE.value],
        postgres=written.get("postgres", 0.0),
    )
    replied = sum(batch.phases.total() for batch in observed)
    sound = replied == preloaded and after - rows == asked
    return Point(law=law, size=size, round=number, commands=len(load), cost=cost, sound=sound)


def decided_us(observed: list[Observed]) -> dict[str, float]:
    """CPU for each measured command, of the worker (KERNEL) and of each service. Pure.

    Only batches count that have none of the commands before; the batch before them only begins the clock."""
    spent, commands = dict[str, float](), 0
    for before, batch in pairwise(observed):
        if batch.phases[SETUP]:
            continue
        commands += batch.phases.total()
        spent[KERNEL] = spent.get(KERNEL, 0.0) + batch.cpu_s - before.cpu_s
        for name, seconds in batch.services_s.items():
            spent[name] = spent.get(name, 0.0) + seconds - before.services_s.get(name, 0.0)
    return {name: round(seconds * US_PER_S / max(1, commands), 2) for name, seconds in spent.items()}


def _setup(mix: Mix, holds: int) -> Iterator[Command]:
    yield from mix.setup()
    yield from mix.touch()
    yield from mix.pending_holds(holds)


def commands_on(settings: Settings) -> int:
    """How many commands the partition has.

    The embedded broker names too low an end by up to a batch, so the last record is read."""
    reader = kafka.consumer(settings, group=None, **{"enable.partition.eof": True})
    try:
        last = last_record(reader, COMMANDS, PARTITION)
    finally:
        reader.close()
    return 0 if last is None else offset_of(last) + 1


class _Reading:
    """A read side that runs, and waits for its positions."""

    def __init__(self, settings: Settings, env: Mapping[str, str], progress: ProgressBars) -> None:
        self._settings, self._env, self._progress = settings, env, progress

    def __enter__(self) -> _Reading:
        with ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="circle-bench-"))
            self._log = Path(directory) / "read-side.log"
            self._database = stack.enter_context(closing(Database(self._settings.postgres_url)))
            self._process = stack.enter_context(read_side({**os.environ, **self._env}, self._log))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def until(self, position: int) -> int:
        """Wait until every branch has the facts of the command at `position`. Returns the position it then has."""
        bar = self._progress.bar("writing rows", position + 1)
        reached = read_until(self._database, self._process, at_least=position, log=self._log, bar=bar)
        bar.finish(reached + 1)
        return reached
