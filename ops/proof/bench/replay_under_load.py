"""One replay after the other under live load, as an operator starts it: `circle verify` over the whole log, or `circle
replay projections`, which rebuilds all rows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import msgspec

from connectors.errors import CircleError
from connectors.settings import Settings

REPLAYS = {"verify": ("verify", "--json"), "projections": ("replay", "projections", "--restart", "--json")}
STOP_S = 10.0
LOOK_S = 0.05


@dataclass(slots=True)
class ReplayRuns:
    """The complete runs, the runs with differences, the niceness (0: none), and the error of a run that could do
    neither."""

    runs: int = 0
    diverged: int = 0
    niceness: int = 0
    failed: int = 0


class BesideReport(msgspec.Struct, frozen=True, kw_only=True):
    """The same load without and with a replay, in turns: the p99 of each round in ms, the CPU of our processes in µs a
    request, and the replay's runs. For the companion `watching`, `runs` counts the scrapes of all processes."""

    alone_p99_ms: list[float]
    beside_p99_ms: list[float]
    alone_cpu_us: list[float]
    beside_cpu_us: list[float]
    runs: int
    diverged: int
    niceness: int

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios, so a drift over the rounds does not show. Null without an answer."""
        if not all(self.alone_p99_ms):
            return None
        rounds = zip(self.beside_p99_ms, self.alone_p99_ms, strict=True)
        return round(median(beside / alone for beside, alone in rounds), 2)

    @property
    def cpu_ratio(self) -> float:
        """The same for the CPU of our processes."""
        rounds = zip(self.beside_cpu_us, self.alone_cpu_us, strict=True)
        return round(median(beside / alone for beside, alone in rounds), 3)


@contextmanager
def replaying(settings: Settings, replay: str) -> Iterator[ReplayRuns]:
    """One of REPLAYS while the block lasts; a run that is under way then is ended. Raises CircleError when it fails."""
    env = {
        **os.environ,
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CIRCLE_POSTGRES_URL": settings.postgres_url,
        "CIRCLE_REDIS_URL": settings.redis_url,
        "CIRCLE_PARTITIONS": str(settings.partitions),
        "CIRCLE_KAFKA_FETCH_WAIT_MS": str(settings.kafka_fetch_wait_ms),
    }
    found, over = ReplayRuns(), threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def again() -> None:
        while not over.is_set():
            command = [sys.executable, "-m", "ops.cli.main", *REPLAYS[replay]]
            process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running[:] = [process]
            code = _watch(process, found)
            if over.is_set():
                return
            if code not in (0, 1):
                found.failed = code
                return
            found.runs += 1
            found.diverged += code == 1

    thread = threading.Thread(target=again, name="beside")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        for process in running:
            process.terminate()
        thread.join(STOP_S)
    if found.failed:
        raise CircleError(f"`circle {' '.join(REPLAYS[replay])}` under load ended with {found.failed}")


def _watch(process: subprocess.Popen[bytes], found: ReplayRuns) -> int:
    """Its exit code, once it has ended; meanwhile its niceness is read."""
    while True:
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            found.niceness = max(found.niceness, os.getpriority(os.PRIO_PROCESS, process.pid))
