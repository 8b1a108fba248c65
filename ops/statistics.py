"""Figures: percentiles, and CPU time by process. Pure, except for `CpuMeter`, which asks the operating system."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from schemas.ids import MS_PER_S, US_PER_S

KB_PER_MB = 1_024
REFERENCE_SQUARES, REFERENCE_ROUNDS = 100_000, 20


class Latencies(msgspec.Struct, frozen=True):
    """Milliseconds. All zero when nothing was measured."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    p999_ms: float = 0.0


class ProcessCpu(msgspec.Struct, frozen=True):
    """The CPU of one process (with its children) during a measurement."""

    name: str
    cpu_s: float
    us_per_request: float
    ours: bool  # our own code; else a service such as PostgreSQL


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of `ordered` does not exceed (nearest rank); 0.0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latencies(seconds: Sequence[float]) -> Latencies:
    """The percentiles of measured times in seconds."""
    ordered = sorted(seconds)
    p50, p95, p99, p999 = (round(percentile(ordered, share) * MS_PER_S, 2) for share in (0.50, 0.95, 0.99, 0.999))
    return Latencies(
        count=len(ordered),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=round(ordered[-1] * MS_PER_S, 2) if ordered else 0.0,
        p999_ms=p999,
    )


def reference_ms() -> float:
    """CPU milliseconds for the sum of 100,000 squares in Python, the least of some rounds.

    It serves to compare figures of two machines, or of one machine at two times.
    """
    least = math.inf
    for _ in range(REFERENCE_ROUNDS):
        begun = time.process_time()
        sum(one * one for one in range(REFERENCE_SQUARES))
        least = min(least, time.process_time() - begun)
    return round(least * MS_PER_S, 2)


class CpuMeter:
    """CPU seconds of process trees by name, since `start`. A missing process counts as 0."""

    def __init__(self, ours: Mapping[str, int], services: Mapping[str, int]) -> None:
        self._pids = {**ours, **services}
        self._services = frozenset(services)
        self._begun: dict[str, float] = {}

    def start(self) -> None:
        """Measure from here."""
        self._begun = {name: tree_cpu_s(pid) for name, pid in self._pids.items()}

    def read(self, requests: int) -> list[ProcessCpu]:
        """The CPU of each since `start`, in all and for each of the `requests` that it was for."""
        used = {name: max(0.0, tree_cpu_s(pid) - self._begun[name]) for name, pid in self._pids.items()}
        return [
            ProcessCpu(name, round(cpu, 3), round(cpu / max(1, requests) * US_PER_S, 1), name not in self._services)
            for name, cpu in used.items()
        ]


def tree_cpu_s(pid: int) -> float:
    """User and system time of a process, its living children and those it has waited for. 0.0 when it is gone.

    For this process it is only its own time, since its children are measured by name.
    """
    if pid == os.getpid():
        return time.process_time()
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0.0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def peak_mb(pid: int) -> float:
    """The peak memory of a living process, in MB (Linux). The value of `getrusage` would begin with its parent's."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / KB_PER_MB, 1)


def our_us_per_request(cpu: Sequence[ProcessCpu]) -> float:
    """CPU of our own processes together, for each request."""
    return round(sum(one.us_per_request for one in cpu if one.ours), 1)
