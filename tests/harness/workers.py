"""Dataflows as processes of their own, as `circle pipeline NAME` runs them. Tests kill, pause and count them."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from connectors.settings import Settings
from ops.run.services.process import LOOPBACK, free_port, is_suspended
from ops.run.supervisor import Child, ChildSpec
from tests.harness.flows import environment, eventually
from tests.harness.pausable import Where
from tests.harness.plain_http import PLAIN

READY_TIMEOUT_S, READY_TRIES = 20.0, 3
READY_STRICT_S = 60.0  # a JVM that has just started is slow, but it answers


class Worker:
    """One process of a dataflow. It has an instance name of its own, so two of one name are two owners."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        logs: Path,
        *,
        number: int = 1,
        switches: str = "",
        strict: bool = False,
        pausable: bool = False,
        metrics_port: int = 0,
    ) -> None:
        self._metrics_port = metrics_port
        self.name, self.label, self._strict = name, f"{name}-{number}", strict
        self.deaths = 0
        self._env = environment(settings) | {
            "CIRCLE_INSTANCE": f"{self.label}",
            "CIRCLE_TEST_SWITCHES": switches,
            "CIRCLE_LOG_LEVEL": "info",
        }
        if metrics_port:
            self._env["CIRCLE_METRICS_PORT"] = str(metrics_port)
        if not switches:
            del self._env["CIRCLE_TEST_SWITCHES"]
        module = "tests.harness.pausable" if pausable else "ops.cli.main"
        command = [sys.executable, "-m", module, "pipeline", name]
        self._child = Child(ChildSpec(name=self.label, command=command), logs / f"{self.label}.log")

    def start(self) -> Self:
        """Start; does not wait."""
        self._child.start(self._env)
        return self

    def wait_ready(self) -> Self:
        """Wait until it has loaded its partitions. When several members change at once, the embedded broker sometimes
        does not answer a join: then a worker that waits too long is started once more. Apache Kafka (`strict`) must
        answer.
        """
        tries, timeout_s = (1, READY_STRICT_S) if self._strict else (READY_TRIES, READY_TIMEOUT_S)
        for number in range(tries):
            deadline = time.monotonic() + timeout_s
            while (descriptor := self._child.ready_fd) is not None and time.monotonic() < deadline:
                if select.select([descriptor], [], [], 0.1)[0]:
                    assert self._child.read_pipe(), f"{self.label} died:\n{self.last_lines()}"
                    return self
            if number == tries - 1:
                break
            self.kill()
            self.deaths -= 1
            self.start()
        raise AssertionError(f"{self.label} did not become ready:\n{self.last_lines()}")

    @property
    def alive(self) -> bool:
        return self._child.alive

    @property
    def exit_code(self) -> int | None:
        """None while it is alive."""
        return None if self._child.process is None else self._child.process.poll()

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self._child.signal(signal.SIGKILL)
        self._child.end(10)
        self.deaths += 1

    def revive(self) -> None:
        """Start it again when it is dead, as the supervisor does; does not wait."""
        if not self.alive:
            self.start()

    def ensure(self) -> None:
        """Start it again when it is dead, and wait until it works."""
        if not self.alive:
            self.start().wait_ready()
        elif self._child.ready_fd is not None:
            self.wait_ready()

    def pause(self, where: Where) -> None:
        """Make it stop itself in its next transaction with records, and wait for that. It must be pausable and have
        work to do.
        """
        assert self._child.process is not None
        itself = psutil.Process(self._child.process.pid)
        self._child.signal(where.value)
        eventually(lambda: is_suspended(itself), f"{self.label} stops {where.name.lower()} a batch")

    def resume(self) -> None:
        self._child.signal(signal.SIGCONT)

    def wait_end(self, timeout_s: float) -> int | None:
        """Its exit code when it ends by itself in time, else None."""
        assert self._child.process is not None
        try:
            return self._child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self._child.signal(signal.SIGCONT)
        self._child.signal(signal.SIGTERM)
        self._child.end(15)
        assert self._child.process is not None
        return self._child.process.returncode

    def last_lines(self, lines: int = 30) -> str:
        return self._child.last_lines(lines)

    def log_text(self) -> str:
        return self._child.log.read_text()

    def figure(self, name: str, **labels: str) -> float:
        """A series of the living worker's own metrics; 0 while there is none. It was made with a `metrics_port`."""
        found = (one.value for family in text_string_to_metric_families(self.metrics()) for one in family.samples
                 if one.name == name and one.labels == labels)  # fmt: skip
        return next(found, 0.0)

    def metrics(self) -> str:
        """The living worker's metrics, as Prometheus gets them. It was made with a `metrics_port`."""
        return httpx.get(f"http://{LOOPBACK}:{self._metrics_port}/metrics", timeout=10, verify=PLAIN).text


class Crew:
    """Workers that a test starts, and that end with it."""

    def __init__(self, settings: Settings, logs: Path, *, strict: bool = False) -> None:
        self.settings, self.logs, self.strict = settings, logs, strict
        self.workers: list[Worker] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, *names: str, number: int = 1, switches: str = "", pausable: bool = False) -> list[Worker]:
        """Start one worker of each name at the same time; returns when all are ready."""
        options: Any = {"number": number, "switches": switches, "pausable": pausable, "strict": self.strict}
        started = [
            Worker(name, self.settings, self.logs, metrics_port=free_port(), **options).start() for name in names
        ]
        self.workers += started
        for worker in started:
            worker.wait_ready()
        return started

    def one(self, name: str, *, number: int = 1, switches: str = "", pausable: bool = False) -> Worker:
        return self.start(name, number=number, switches=switches, pausable=pausable)[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for worker in self.workers:
                print(f"--- {worker.label}\n{worker.last_lines()}")
        stop_all(self.workers)


def stop_all(workers: Iterable[Worker]) -> None:
    """End them all, with kill -9 if a signal does not help."""
    running = [worker for worker in workers if worker.alive]
    for worker in running:
        worker.resume()
        worker._child.signal(signal.SIGTERM)
    for worker in running:
        worker._child.end(8)
