"""`circle bench replay`: logs of several sizes, each read, folded and verified by one process of its own.

It measures the CPU of that process, with the Kafka client's threads, from its first record to its last, and its peak
memory. Reading alone (records are decoded and dropped) shows the cost without the states.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from statistics import median

import msgspec

from connectors.errors import CircleError
from connectors.log_reader import LogReader, few_collections
from connectors.scratch_file import ScratchFile
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.proof.bench.history import PARTITION, HistoryWriter
from ops.proof.bench.kernel import own_broker_only
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Curves, Measurement
from ops.run.services.stack import Stack
from ops.statistics import peak_mb, reference_ms
from ops.verify.verify import PartitionRun
from pipelines.configuration import settings_from_env
from pipelines.history.fold import Fold
from pipelines.history.states import States
from schemas.codec import DECODER, Codec
from schemas.ids import US_PER_S, EventId
from schemas.topics import FACTS

SIZES = (100_000, 300_000, 1_000_000)
FOLDED_GOAL = 100_000
REPORTED_EVERY = 50_000


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The logs to write and read."""

    sizes: tuple[int, ...]
    rounds: int = 1
    broker: str = "embedded"
    seed: int = 1


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One process over one log."""

    what: str
    facts: int
    seconds: float
    cpu_s: float
    peak_mb: float
    digest: str = ""
    diverged: int = 0

    @property
    def cpu_us_per_fact(self) -> float:
        return round(self.cpu_s * US_PER_S / max(1, self.facts), 2)

    @property
    def facts_per_s_per_core(self) -> float:
        return round(self.facts / self.cpu_s, 0) if self.cpu_s else 0.0


class SizeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One log. `best` has the round of each kind that used the least CPU."""

    facts: int
    commands: int
    bytes_per_fact: float
    best: list[Measured]
    rounds: list[Measured] = []


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """All sizes. `reference_ms` says how fast the machine and its Python were: see `ops.statistics`."""

    options: ReplayOptions
    python: str
    decoder: str
    reference_ms: float
    sizes: list[SizeFigures]
    machine: Machine | None = None

    @property
    def passed(self) -> bool:
        """Whether every fact was read, and none diverged."""
        return all(one.facts == size.facts and not one.diverged for size in self.sizes for one in size.best)


def run(options: ReplayOptions, progress: ProgressBars) -> ReplayReport:
    """Runs the bench on a stack of its own. The log grows from size to size."""
    own_broker_only(options.broker)
    figures, reference, calibration = [], reference_ms(), Calibration(options.broker)
    with Stack(options.broker, partitions=1) as stack:
        env = stack.fresh()
        history = HistoryWriter(settings_from_env(env), seed=options.seed)
        for size in sorted(options.sizes):
            written = history.write(size, progress.bar(f"writing {size:,} facts", size))
            rounds = list[Measured]()
            for _ in range(options.rounds):
                calibration.measure()
                rounds += [measure(what, written.facts, env, progress) for what in MEASUREMENTS]
            best = [
                min((one for one in rounds if one.what == what), key=lambda one: one.cpu_s) for what in MEASUREMENTS
            ]
            figures.append(
                SizeFigures(
                    rounds=rounds,
                    facts=written.facts,
                    commands=written.commands,
                    bytes_per_fact=round(written.fact_bytes / written.facts, 1),
                    best=best,
                )
            )
    return ReplayReport(
        options=options,
        python=platform.python_version(),
        decoder=DECODER,
        reference_ms=reference,
        sizes=figures,
        machine=calibration.machine(),
    )


def measurement(report: ReplayReport) -> Measurement:
    """The report as the suite shows it. Reading alone is the baseline of the other two. Pure."""
    assert report.machine is not None
    by_kind = {
        what: {size.facts: [one for one in size.rounds if one.what == what] for size in report.sizes}
        for what in MEASUREMENTS
    }
    figures = [
        figure
        for what, sizes in by_kind.items()
        for facts, rounds in sizes.items()
        for figure in (
            Figure(
                name=f"CPU, {what}, {facts:,} facts",
                unit="µs a fact",
                values=[one.cpu_us_per_fact for one in rounds],
            ),
            Figure(name=f"memory, {what}, {facts:,} facts", unit="MB", values=[one.peak_mb for one in rounds]),
        )
    ]
    largest = max(by_kind["fold"])
    folded = median(one.facts_per_s_per_core for one in by_kind["fold"][largest])
    return Measurement(
        name="replay",
        about="logs of several sizes, read, folded and verified by one process each",
        load={"sizes": ", ".join(f"{size:,}" for size in report.options.sizes), "seed": report.options.seed},
        machine=report.machine,
        figures=figures,
        checks=[BenchCheck("every fact was read, and none diverged", report.passed)],
        goals=[BenchCheck(f"a core folds {FOLDED_GOAL:,} facts a second", folded >= FOLDED_GOAL, f"{folded:,.0f}")],
        charts=[
            Curves(
                title="replay: CPU by the log's size",
                x_name="facts",
                y_name="µs a fact",
                labels=[f"{size.facts:,}" for size in report.sizes],
                series={
                    what: [median(one.cpu_us_per_fact for one in rounds) for rounds in sizes.values()]
                    for what, sizes in by_kind.items()
                },
            )
        ],
    )


def measure(what: str, facts: int, env: dict[str, str], progress: ProgressBars) -> Measured:
    """One measurement in a process of its own. If it fails, raises CircleError with its output."""
    bar = progress.bar(what, facts)
    command = [sys.executable, "-m", "ops.proof.bench.replay", what]
    with subprocess.Popen(
        command, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        last = ""
        for line in process.stdout:
            last = line
            if line.strip().isdecimal():
                bar.set(int(line))
        said = process.stderr.read()
    if process.returncode:
        raise CircleError(f"the process that was to {what} ended with {process.returncode}:\n{said}")
    found = msgspec.json.decode(last, type=Measured)
    bar.finish(found.facts, f"{found.facts_per_s_per_core:,.0f} facts/s a core")
    return found


# --- in the process that is measured ------------------------------------------------------------------------------


class Meter:
    """CPU and clock since it was made."""

    def __init__(self, what: str) -> None:
        self._what, self._cpu, self._clock = what, time.process_time(), time.monotonic()

    def told(self, facts: int, digest: str = "", diverged: int = 0) -> Measured:
        return Measured(
            what=self._what,
            facts=facts,
            seconds=round(time.monotonic() - self._clock, 3),
            cpu_s=round(time.process_time() - self._cpu, 3),
            peak_mb=peak_mb(os.getpid()),
            digest=digest,
            diverged=diverged,
        )


@contextmanager
def _facts(settings: Settings) -> Iterator[Iterator[list[tuple[int, bytes | None]]]]:
    """The partition's facts, a chunk at a time."""
    with LogReader(settings, FACTS, PARTITION) as reader, few_collections():
        yield reader.values()


def _read(settings: Settings) -> Measured:
    decode, facts = Codec().decode_all, 0
    with _facts(settings) as chunks:
        meter = Meter("read")
        for chunk in chunks:
            decode(chunk)
            facts = _tell(facts, len(chunk))
    return meter.told(facts)


def _fold(settings: Settings) -> Measured:
    facts = 0
    with closing(ScratchFile[EventId]()) as shelf, _facts(settings) as chunks:
        fold, meter = Fold(Codec(), States(shelf)), Meter("fold")
        for chunk in chunks:
            fold.take(chunk)
            facts = _tell(facts, len(chunk))
        found = meter.told(fold.facts)
        return msgspec.structs.replace(found, digest=fold.digest())


def _verify(settings: Settings) -> Measured:
    with PartitionRun(settings, PARTITION, Codec()) as run, few_collections():
        meter = Meter("verify")
        for end in range(REPORTED_EVERY, run.commands.high, REPORTED_EVERY):
            run.advance(end)
            print(run.verifier.facts, flush=True)
        run.advance()
        run.verifier.finish()
        return meter.told(run.verifier.facts, run.verifier.digest, run.verifier.diverged)


def _tell(before: int, more: int) -> int:
    after = before + more
    if after // REPORTED_EVERY != before // REPORTED_EVERY:
        print(after, flush=True)
    return after


MEASUREMENTS: dict[str, Callable[[Settings], Measured]] = {"read": _read, "fold": _fold, "verify": _verify}


if __name__ == "__main__":
    print(msgspec.json.encode(MEASUREMENTS[sys.argv[1]](settings_from_env())).decode())
