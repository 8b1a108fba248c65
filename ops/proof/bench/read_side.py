"""`circle bench readside`: facts are preloaded, then the read side alone writes their rows, messages and totals.

It measures the CPU of that process and of its services, from the moment when it has the partition until every branch
has the last fact. Each round has a log and a database of its own. Afterwards each reservation must have its row.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from connectors.errors import CircleError, SettingsError
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.proof.bench.history import PARTITION, HistoryWriter, WrittenHistory
from ops.proof.bench.suite.figures import Figure, Machine, Scaling
from ops.proof.load.progress import Bar, ProgressBars
from ops.proof.load.statistics import CpuMeter, ProcessCpu, reference_ms
from ops.run.services.process import log_tail, spawn
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from pipelines.read_side.flow import NAME
from schemas.ids import US_PER_S

SQL = queries(Path(__file__).parent / "sql" / "read_side.sql")
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
        return next(process.us_per_request for process in self.cpu if process.name == NAME)


class ReadSideReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, and their figures."""

    options: ReadSideOptions
    machine: Machine
    rounds: list[ReadSideRound]
    figures: list[Figure]

    @property
    def passed(self) -> bool:
        """Whether each reservation has its row."""
        return all(one.reservations == one.rows and one.messages for one in self.rounds)


def run(options: ReadSideOptions, progress: ProgressBars) -> ReadSideReport:
    """Runs the rounds on a stack of its own. Raises CircleError when the read side ends or stands still."""
    if ":" in options.broker:
        raise SettingsError(
            "--broker", "the bench empties its topics, so it only takes a broker of its own",
            got=options.broker, example="apache",
        )  # fmt: skip
    rounds, calibration, load_average = list[ReadSideRound](), list[float](), os.getloadavg()[0]
    with Stack(options.broker, partitions=1) as stack, tempfile.TemporaryDirectory(prefix="circle-bench-") as directory:
        services = {
            service.name: pid for service in stack.services if isinstance(pid := getattr(service, "pid", None), int)
        }
        for number in range(options.rounds):
            env = stack.fresh()
            settings = settings_from_env(env)
            history = HistoryWriter(settings, seed=options.seed)
            written = history.write(options.facts, progress.bar("writing facts", options.facts))
            calibration.append(reference_ms())
            bar = progress.bar(f"round {number + 1}", written.commands)
            log = Path(directory) / f"read-side-{number}.log"
            rounds.append(_round(settings, {**os.environ, **env}, written, services, log=log, bar=bar))
    machine = Machine(
        cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        broker=options.broker,
        load_average=round(load_average, 2),
        calibration_ms=calibration,
    )
    return ReadSideReport(options=options, machine=machine, rounds=rounds, figures=figures_of(rounds))


def figures_of(rounds: list[ReadSideRound]) -> list[Figure]:
    """Facts a second, by the clock and for each core of CPU, and the CPU of each process. Pure."""
    names = [process.name for process in rounds[0].cpu]
    by_name = [{process.name: process.us_per_request for process in one.cpu} for one in rounds]
    return [
        Figure(
            name="facts",
            unit="/s",
            values=[round(one.facts / one.seconds, 1) for one in rounds],
            scaling=Scaling.RATE,
            higher_is_better=True,
        ),
        Figure(
            name="facts a core of the read side",
            unit="/s",
            values=[round(US_PER_S / one.own_us, 1) if one.own_us else 0.0 for one in rounds],
            scaling=Scaling.RATE,
            higher_is_better=True,
        ),
        *(
            Figure(name=f"CPU of {name}", unit="µs a fact", values=[cpu.get(name, 0.0) for cpu in by_name])
            for name in names
        ),
    ]


def _round(
    settings: Settings, env: dict[str, str], written: WrittenHistory, services: dict[str, int], *, log: Path, bar: Bar
) -> ReadSideRound:
    """One read side from the partition's assignment to the last fact."""
    database = Database(settings.postgres_url)
    command = [sys.executable, "-m", "ops.cli.main", "pipeline", NAME]
    process = spawn(command, log=log, env={**env, "CIRCLE_INSTANCE": "bench"})
    meter = CpuMeter({NAME: process.pid}, services)
    try:
        _until(database, process, at_least=-1, log=log, bar=bar)
        meter.start()
        began = time.monotonic()
        _until(database, process, at_least=written.commands - 1, log=log, bar=bar)
        seconds = time.monotonic() - began
        cpu = meter.read(written.facts)
        rows, messages = database.run(_counts, readonly=True)
    finally:
        database.close()
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    bar.finish(written.commands)
    return ReadSideRound(
        facts=written.facts,
        seconds=round(seconds, 3),
        reservations=written.reservations,
        rows=rows,
        messages=messages,
        cpu=cpu,
    )


def _until(database: Database, process: subprocess.Popen[bytes], *, at_least: int, log: Path, bar: Bar) -> None:
    """Wait until every branch has a position and has applied the commands up to `at_least`."""
    last, moved = -2, time.monotonic()
    while True:
        position = database.run(_position, readonly=True)
        if position is not None and position >= at_least:
            return
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


async def _counts(connection: Connection) -> tuple[int, int]:
    row = await connection.fetchrow(SQL["counts"])
    assert row is not None
    return row["reservations"], row["messages"]
