"""More workers decide a backlog with the same CPU for each command. On two cores this shows cost, hardly speed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from ops.proof.checker import wait_until_settled
from ops.proof.full_check import check
from tests.harness.drop import Drop
from tests.harness.machines import Machines

WORKERS = (1, 2, 4)
ACTS = 6_000
SETTLED_S = 180.0
CPU_RATIO_MAX = 1.3  # of all processes together; the first round has the coldest brokers
WORKER_RATIO_MAX = (
    2.0  # brokers give as much as before, so batches of four workers are a quarter as long, with a cost each
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One backlog: how fast it was decided, and the CPU of each kind of process by command, in microseconds."""

    workers: int
    per_s: float
    cpu_us: dict[str, float]


@pytest.fixture(scope="module")
def machines(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(tmp_path_factory.mktemp("throughput"), workers=max(WORKERS), read_sides=1, apis=1) as running:
        yield running


def cpu_s(machines: Machines) -> dict[str, float]:
    brokers = [psutil.Process(node.pid).cpu_times() for node in machines.brokers.values()]
    return {
        "worker": sum(one.cpu_s() for one in machines.of("worker") if one.wanted),
        "read side": sum(one.cpu_s() for one in machines.of("read")),
        "brokers": sum(one.user + one.system for one in brokers),
    }


def measured(machines: Machines, workers: int, drops: list[Drop]) -> Round:
    """Decides one backlog with so many workers."""
    for number, process in enumerate(machines.of("worker")):
        if number < workers and not process.wanted:
            process.start()
        elif number >= workers and process.wanted:
            process.kill()
    machines.wait_ready()
    drop = Drop(machines.settings, seed=len(drops), events=16, rows=26)
    drops.append(drop)
    drop.open()
    wait_until_settled(machines.settings, timeout_s=SETTLED_S)
    sent, before, began = drop.sent, cpu_s(machines), time.monotonic()
    drop.blast(ACTS)
    wait_until_settled(machines.settings, timeout_s=SETTLED_S, postgres=False)
    took_s = time.monotonic() - began
    wait_until_settled(machines.settings, timeout_s=SETTLED_S)
    commands, after = drop.sent - sent, cpu_s(machines)
    return Round(
        workers=workers,
        per_s=commands / took_s,
        cpu_us={kind: (after[kind] - before[kind]) / commands * 1e6 for kind in before},
    )


@pytest.mark.timeout(900)
def test_the_cpu_of_a_command_is_flat_with_more_workers(machines: Machines, capsys: Any) -> None:
    drops: list[Drop] = []
    measured(machines, 1, drops)  # brokers and workers are warm after it
    rounds = [measured(machines, workers, drops) for workers in WORKERS]
    with capsys.disabled():
        print(f"\n{'workers':>8} {'commands/s':>11}" + "".join(f"{kind + ' µs':>14}" for kind in rounds[0].cpu_us))
        for one in rounds:
            print(f"{one.workers:>8} {one.per_s:>11.0f}" + "".join(f"{cost:>14.0f}" for cost in one.cpu_us.values()))
    report = check(machines.settings, told=[one for drop in drops for one in drop.told], strict=True)
    assert report.ok, report.text()
    machines.verify()
    first, *more = rounds
    for one in more:
        assert sum(one.cpu_us.values()) < sum(first.cpu_us.values()) * CPU_RATIO_MAX
        assert one.cpu_us["worker"] < first.cpu_us["worker"] * WORKER_RATIO_MAX
