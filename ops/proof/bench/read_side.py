"""`circle bench readside`: facts are preloaded, then the read side alone writes their rows, messages and totals.

It measures the CPU of that process and of its services, from the moment when it has the partition until every branch
has the last fact. Each round has a log and a database of its own. Afterwards each reservation must have its row.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from connectors.errors import CircleError
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.progress import Bar, ProgressBars
from ops.proof.bench.history import PARTITION, HistoryWriter, WrittenHistory
from ops.proof.bench.kernel import own_broker_only
from ops.proof.bench.replay import measure
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, cpu_figures, rate_figure, rounds_chart
from ops.proof.load.target import services_of
from ops.run.services.process import log_tail, spawn
from ops.run.services.stack import Stack
from ops.statistics import CpuMeter, ProcessCpu
from pipelines.configuration import settings_from_env
from pipelines.flows import Flow
from schemas.ids import US_PER_S

SQL = queries(Path(__file__).parent / "sql" / "read_side.sql")
PER_FACT = "µs a fact"
BRANCHES = 3  # rows, messages, totals: each has a position
SILENCE_S_MAX = 120.0  # without progress for so long, the bench gives up
LOOK_S = 0.05
STOP_S = 15.0


class ReadSideOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The log to write and read."""

    facts: int = 100_000
    rounds: int = 3
    broker: str = "embedded"
    seed: int = 1


class ReadSideRound(msgspec.Struct, frozen=True, kw_only=True):
    """One log. `reservations` were asked for, `rows` of them are in PostgreSQL."""

    facts: int
    seconds: float
    reservations: int
    rows: int
    messages: int
    cpu: list[ProcessCpu]  # for each fact

    @property
    def own_us(self) -> float:
        """CPU of the read side, in µs a fact."""
        return next(process.us_per_request for process in self.cpu if process.name == Flow.READ_SIDE.value)


class ReadSideReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, and their figures. `baseline_us`: CPU of a process that only reads and decodes, in µs a fact."""

    options: ReadSideOptions
    machine: Machine
    rounds: list[ReadSideRound]
    baseline_us: list[float]
    figures: list[Figure]

    @property
    def passed(self) -> bool:
        """Whether each reservation has its row."""
        return all(one.reservations == one.rows and one.messages for one in self.rounds)


def run(options: ReadSideOptions, progress: ProgressBars) -> ReadSideReport:
    """Runs the rounds on a stack of its own. Raises CircleError when the read side ends or stands still."""
    own_broker_only(options.broker)
    rounds, baseline, calibration = list[ReadSideRound](), list[float](), Calibration(options.broker)
    with Stack(options.broker, partitions=1) as stack, tempfile.TemporaryDirectory(prefix="circle-bench-") as directory:
        for number in range(options.rounds):
            env = stack.fresh()
            settings = settings_from_env(env)
            history = HistoryWriter(settings, seed=options.seed)
            written = history.write(options.facts, progress.bar("writing facts", options.facts))
            calibration.measure()
            bar = progress.bar(f"round {number + 1}", written.commands)
            log = Path(directory) / f"read-side-{number}.log"
            if number % 2 == 0:
                baseline.append(measure("read", written.facts, env, progress).cpu_us_per_fact)
            rounds.append(_round(settings, {**os.environ, **env}, written, services_of(stack), log=log, bar=bar))
            if number % 2:
                baseline.append(measure("read", written.facts, env, progress).cpu_us_per_fact)
    figures = figures_of(rounds, baseline)
    return ReadSideReport(
        options=options, machine=calibration.machine(), rounds=rounds, baseline_us=baseline, figures=figures
    )


def measurement(report: ReadSideReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    options = report.options
    detail = ", ".join(f"{one.reservations} reservations, {one.rows} rows" for one in report.rounds)
    return Measurement(
        name="readside",
        about="facts are preloaded, then the read side alone writes rows, messages and totals",
        load={"facts": options.facts, "seed": options.seed},
        machine=report.machine,
        figures=report.figures,
        checks=[BenchCheck("each reservation has its row", report.passed, detail)],
        charts=[rounds_chart("readside", report.figures, lambda figure: figure.unit == PER_FACT)],
    )


def figures_of(rounds: list[ReadSideRound], baseline_us: list[float]) -> list[Figure]:
    """Facts a second, by the clock and for each core of CPU, and the CPU of each process. Pure."""
    a_core = [round(US_PER_S / one.own_us, 1) if one.own_us else 0.0 for one in rounds]
    return [
        rate_figure("facts", [round(one.facts / one.seconds, 1) for one in rounds]),
        rate_figure("facts a core of the read side", a_core),
        *cpu_figures([one.cpu for one in rounds], PER_FACT),
        Figure(name="baseline: read and decoded alone", unit=PER_FACT, values=baseline_us),
    ]


def _round(
    settings: Settings, env: dict[str, str], written: WrittenHistory, services: dict[str, int], *, log: Path, bar: Bar
) -> ReadSideRound:
    """One read side from the partition's assignment to the last fact."""
    with closing(Database(settings.postgres_url)) as database, read_side(env, log) as process:
        meter = CpuMeter({Flow.READ_SIDE.value: process.pid}, services)
        read_until(database, process, at_least=-1, log=log, bar=bar)
        meter.start()
        began = time.monotonic()
        read_until(database, process, at_least=written.commands - 1, log=log, bar=bar)
        seconds = time.monotonic() - began
        cpu = meter.read(written.facts)
        rows, messages = counted(database)
    bar.finish(written.commands)
    return ReadSideRound(
        facts=written.facts,
        seconds=round(seconds, 3),
        reservations=written.reservations,
        rows=rows,
        messages=messages,
        cpu=cpu,
    )


@contextmanager
def read_side(env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The read side as a process, which ends with the block."""
    command = [sys.executable, "-m", "ops.cli.main", "pipeline", Flow.READ_SIDE.value]
    process = spawn(command, log=log, env={**env, "CIRCLE_INSTANCE": "bench"})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_until(database: Database, process: subprocess.Popen[bytes], *, at_least: int, log: Path, bar: Bar) -> int:
    """Wait until every branch has a position and has applied the commands up to `at_least`. Returns the position.

    Raises CircleError when the process ends or stands still.
    """
    last, moved = -2, time.monotonic()
    while True:
        position = database.run(_position, readonly=True)
        if position is not None and position >= at_least:
            return position
        if position is not None and position > last:
            last, moved = position, time.monotonic()
            bar.set(position + 1)
        if process.poll() is not None or time.monotonic() - moved > SILENCE_S_MAX:
            raise CircleError(f"the read side stands at {position}; the end of its log:\n{log_tail(log)}")
        time.sleep(LOOK_S)


async def _position(connection: Connection) -> int | None:
    """The last command that every branch has applied; None before all of them have a position."""
    position: int | None = await connection.fetchval(SQL["slowest_position"], PARTITION, BRANCHES)
    return position


def counted(database: Database) -> tuple[int, int]:
    """The reservations and the messages of the database."""
    return database.run(_counts, readonly=True)


async def _counts(connection: Connection) -> tuple[int, int]:
    row = await connection.fetchrow(SQL["counts"])
    assert row is not None
    return row["reservations"], row["messages"]
