"""More workers decide a backlog with the same CPU for each command. On two cores this shows cost, hardly speed.

One measurement offers the same backlog to more and more workers, so each has less to do at once. The other one gives
each worker the same backlog, before any of them begins: then batches are as full with four workers as with one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from connectors.kafka import BATCH_RECORDS_MAX
from ops.proof.checker import wait_until_settled
from ops.proof.full_check import check
from tests.harness.drop import Drop
from tests.harness.machines import HostProcess, Machines

WORKERS = (1, 2, 4)
METRICS_PORT = 9_101
SCRAPE = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{METRICS_PORT}/metrics').read().decode())"
SESSION_TIMEOUT_MS = 30_000  # workers are suspended until their backlog is written
ACTS = 6_000
OWN_ACTS = 10_000  # of each worker: several full batches
ROUNDS = 3  # in turns; the least CPU of each counts, because other work on the machine only adds to it
SETTLED_S, SCRAPED_S = 180.0, 30.0
CPU_RATIO_MAX = 1.3  # of all processes together; the first round has the coldest brokers
FULL_BATCH = BATCH_RECORDS_MAX / 2  # the last batch of a backlog has what is left
OWN_RATIO_MAX = 1.3  # of a worker with as much to do as one worker alone
WORKER_RATIO_MAX = (
    2.0  # brokers give as much as before, so batches of four workers are a quarter as long, with a cost each
)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One backlog: how fast it was decided, and the CPU of each kind of process by command, in microseconds."""

    workers: int
    per_s: float
    cpu_us: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Share:
    """The workers' own CPU by command, in microseconds, and how many records a batch had."""

    workers: int
    cpu_us: float
    batch_records: float


@pytest.fixture(scope="module")
def machines(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with Machines(
        tmp_path_factory.mktemp("throughput"),
        workers=max(WORKERS),
        read_sides=1,
        apis=1,
        session_timeout_ms=SESSION_TIMEOUT_MS,
        env={"CIRCLE_METRICS_PORT": str(METRICS_PORT)},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def drops() -> list[Drop]:
    """All drops on these machines: each has another seed, and the check knows the outcomes of all."""
    return []


def cpu_s(machines: Machines) -> dict[str, float]:
    brokers = [psutil.Process(node.pid).cpu_times() for node in machines.brokers.values()]
    return {
        "worker": sum(one.cpu_s() for one in machines.of("worker") if one.wanted),
        "read side": sum(one.cpu_s() for one in machines.of("read")),
        "brokers": sum(one.user + one.system for one in brokers),
    }


def running_workers(machines: Machines) -> list[HostProcess]:
    return [one for one in machines.of("worker") if one.wanted]


def decided_batches(workers: list[HostProcess]) -> tuple[float, float]:
    """How many batches these workers have had since they began, and how many records in them."""
    batches = records = 0.0
    for one in workers:
        scrape = [*one.host.place.within, sys.executable, "-c", SCRAPE]
        text = subprocess.run(scrape, capture_output=True, text=True, check=True, timeout=SCRAPED_S).stdout
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("flow") == "reservations":
                    batches += sample.value if sample.name == "circle_batch_records_count" else 0
                    records += sample.value if sample.name == "circle_batch_records_sum" else 0
    return batches, records


def with_workers(machines: Machines, workers: int) -> None:
    """So many workers run, and have their partitions."""
    for number, process in enumerate(machines.of("worker")):
        if number < workers and not process.wanted:
            process.start()
        elif number >= workers and process.wanted:
            process.kill()
    machines.wait_ready()


def new_drop(machines: Machines, drops: list[Drop], events: int) -> Drop:
    """A drop on sale, known to all processes."""
    drop = Drop(machines.settings, seed=len(drops), events=events, rows=26)
    drops.append(drop)
    drop.open()
    wait_until_settled(machines.settings, timeout_s=SETTLED_S)
    return drop


@contextmanager
def suspended(processes: list[HostProcess]) -> Iterator[None]:
    for one in processes:
        one.suspend()
    try:
        yield
    finally:
        for one in processes:
            one.resume()


def drained(machines: Machines, workers: int, drops: list[Drop]) -> Share:
    """Each of so many workers decides a backlog of the same size that is on the log before they begin."""
    with_workers(machines, workers)
    drop = new_drop(machines, drops, events=32)
    deciding = running_workers(machines)
    starts = [one.starts for one in deciding]
    batches, records = decided_batches(deciding)
    with suspended([machines.processes["payments"]]):  # its answers would come in small batches
        with suspended(deciding):
            sent = drop.sent
            drop.blast(OWN_ACTS * workers)
            commands, before_s = drop.sent - sent, sum(one.cpu_s() for one in deciding)
        wait_until_settled(machines.settings, timeout_s=SETTLED_S, postgres=False)
        spent_s = sum(one.cpu_s() for one in deciding) - before_s
        batches_after, records_after = decided_batches(deciding)
    assert [one.starts for one in deciding] == starts, machines.last_lines()
    wait_until_settled(machines.settings, timeout_s=SETTLED_S)
    return Share(
        workers=workers,
        cpu_us=spent_s / commands * 1e6,
        batch_records=(records_after - records) / (batches_after - batches),
    )


def measured(machines: Machines, workers: int, drops: list[Drop]) -> Round:
    """Decides one backlog with so many workers."""
    with_workers(machines, workers)
    drop = new_drop(machines, drops, events=16)
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
def test_the_cpu_of_a_command_is_flat_with_more_workers(machines: Machines, drops: list[Drop], capsys: Any) -> None:
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


@pytest.mark.timeout(1_800)
def test_a_workers_own_cpu_of_a_command_is_flat_with_as_much_to_do_for_each(
    machines: Machines, drops: list[Drop], capsys: Any
) -> None:
    drained(machines, 1, drops)  # warm
    rounds: dict[int, list[Share]] = {workers: [] for workers in WORKERS}
    for _ in range(ROUNDS):
        for workers in WORKERS:
            rounds[workers].append(drained(machines, workers, drops))
    with capsys.disabled():
        print(f"\n{'workers':>8} {'records a batch':>16} {'worker µs':>10}")
        for one in (one for shares in rounds.values() for one in shares):
            print(f"{one.workers:>8} {one.batch_records:>16.0f} {one.cpu_us:>10.1f}")
    report = check(machines.settings, told=[one for drop in drops for one in drop.told], strict=True)
    assert report.ok, report.text()
    machines.verify()
    assert min(one.batch_records for shares in rounds.values() for one in shares) >= FULL_BATCH, "batches are full"
    alone, *more = (min(one.cpu_us for one in shares) for shares in rounds.values())
    assert all(share < alone * OWN_RATIO_MAX for share in more)
