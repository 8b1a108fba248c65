"""`circle up` as a person runs it: ready, restarted when killed, stopped in order with nothing left running."""

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from ops.services.process import free_port, wait_for
from tests.harness.terminals import CTRL_C, Session

TIMEOUT_S = 90.0
pytestmark = pytest.mark.timeout(300)  # several whole platforms, on a machine that may be busy


class Up:
    """One `circle up` and what it prints."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "ops.cli.main", "up", "--port", str(self.port), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.printed: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.printed.append(line)
                self._lines.put(line)
        self._lines.put("")

    def until(self, pattern: str) -> str:
        """Reads on until a line matches."""
        deadline = time.monotonic() + TIMEOUT_S
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left_s)
            except queue.Empty:
                break
            if re.search(pattern, line):
                return line
            assert line, f"it ended: {''.join(self.printed)}"
        raise AssertionError(f"no line matches {pattern!r}: {''.join(self.printed)}")

    def tree(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, *words: str) -> psutil.Process:
        return next(process for process in self.tree() if set(words) <= set(process.cmdline()))

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*arguments: str) -> Up:
        started.append(Up(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.end(signal.SIGKILL)


def none_runs(processes: list[psutil.Process]) -> bool:
    def gone(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return all(map(gone, processes))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_ready_serves_and_stops_with_nothing_left(up: Callable[..., Up], number: signal.Signals) -> None:
    platform = up("--reservations", "2")
    assert platform.until("^ready ") == f"ready {platform.url}\n"
    assert httpx.get(f"{platform.url}/readyz").status_code == 200
    processes = platform.tree()
    names = {" ".join(process.cmdline()) for process in processes}
    assert sum("pipeline reservations" in name for name in names) == 1, "the two have one command line"
    assert sum(process.cmdline()[-1:] == ["reservations"] for process in processes) == 2
    assert platform.end(number) == 0
    assert none_runs(processes)
    assert platform.printed[-1] == "stopped\n"


def test_ctrl_c_ends_make_run_with_0_and_nothing_left() -> None:
    port = free_port()
    session = Session(("make", "run", f"ARGS=--port {port}"), cwd=Path(__file__).parents[3])
    processes: list[psutil.Process] = []
    try:
        session.until(f"ready http://127.0.0.1:{port}".encode(), TIMEOUT_S)
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        processes = psutil.Process(session.pid).children(recursive=True)
        assert len(processes) > 8
        session.type(CTRL_C)
        assert session.wait(TIMEOUT_S) == 0
        assert session.printed.splitlines()[-1] == b"stopped"
        assert none_runs(processes)
    finally:
        session.close()
    assert wait_for(lambda: none_runs(processes), timeout_s=TIMEOUT_S) is None


def test_killed_processes_come_back_and_are_named(up: Callable[..., Up]) -> None:
    platform = up()
    platform.until("^ready ")
    platform.child("pipeline", "reservations").kill()
    platform.until("reservations-1 was killed by SIGKILL; restarting in")
    platform.until("reservations-1 is ready again")
    platform.child("api").kill()
    platform.until("api was killed by SIGKILL; restarting in")
    platform.until("api is ready again")
    assert httpx.get(f"{platform.url}/readyz").status_code == 200
    assert platform.end(signal.SIGTERM) == 0


def test_the_embedded_broker_s_death_starts_an_empty_log(up: Callable[..., Up]) -> None:
    platform = up()
    platform.until("^ready ")
    next(process for process in platform.tree() if process.name() == "tansu").kill()
    platform.until("the embedded broker's log is gone with it")
    platform.until("tansu is back")
    ready = f"{platform.url}/readyz"

    def serves() -> bool:
        try:
            return httpx.get(ready).status_code == 200
        except httpx.TransportError:
            return False

    assert wait_for(serves, timeout_s=TIMEOUT_S) is None
    assert platform.end(signal.SIGTERM) == 0


def test_nothing_survives_a_kill_of_circle_up(up: Callable[..., Up]) -> None:
    platform = up()
    platform.until("^ready ")
    processes = platform.tree()
    assert len(processes) > 8
    platform.end(signal.SIGKILL)
    assert wait_for(lambda: none_runs(processes), timeout_s=TIMEOUT_S) is None


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that PostgreSQL may enter as somebody else; pytest keeps its own to itself."""
    with tempfile.TemporaryDirectory(prefix="circle-test-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


def test_a_data_directory_keeps_accounts_and_says_what_it_does_not_keep(
    up: Callable[..., Up], open_directory: Path
) -> None:
    data = open_directory / "data"
    account = {"email": "ada@example.org", "password": "correct-horse-7", "name": "Ada"}
    first = up("--data-dir", str(data))
    first.until("the embedded broker keeps the log in memory")
    first.until("^ready ")
    assert httpx.post(f"{first.url}/v1/auth/register", json=account).status_code == 201
    second = up("--data-dir", str(data))
    second.until("error: --data-dir: another circle uses it")
    assert second.wait() == 2
    assert first.end(signal.SIGTERM) == 0
    third = up("--data-dir", str(data))
    third.until("^ready ")
    login = {"email": account["email"], "password": account["password"]}
    assert httpx.post(f"{third.url}/v1/auth/login", json=login).status_code == 200
    assert third.end(signal.SIGTERM) == 0


def test_a_wrong_setting_is_told_before_anything_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "up", "--port", str(free_port())],
        env={**os.environ, "CIRCLE_PARTITIONS": "none"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: CIRCLE_PARTITIONS: ")
    assert "Traceback" not in done.stderr
