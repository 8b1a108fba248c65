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

from ops.run.services.process import free_port, wait_for
from tests.harness.terminals import CTRL_C, Session

TIMEOUT_S = 90.0
pytestmark = pytest.mark.timeout(300)  # several whole platforms, on a machine that may be busy


class Up:
    """One `circle up` and its output."""

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


# A start of everything takes ten seconds of a processor: so each test checks a whole run.


def test_it_says_ready_brings_back_what_dies_and_stops_with_nothing_left(up: Callable[..., Up]) -> None:
    platform = up("--reservations", "2")
    assert platform.until("^ready ") == f"ready {platform.url}\n"
    assert httpx.get(f"{platform.url}/readyz").status_code == 200
    dashboard = platform.until("the dashboard").split()[-1]
    assert re.fullmatch(r"http://operator:[\w-]{32}@127\.0\.0\.1:\d+/dashboard", dashboard)
    assert "General Circle" in httpx.get(dashboard).text, (
        "as a browser opens it: the address has the token of this start"
    )
    assert httpx.get(f"{platform.url}/dashboard").status_code == 401
    names = {" ".join(process.cmdline()) for process in platform.tree()}
    assert sum("pipeline reservations" in name for name in names) == 1, "the two have one command line"
    assert sum(process.cmdline()[-1:] == ["reservations"] for process in platform.tree()) == 2
    for killed, words in (("reservations-1", ("pipeline", "reservations")), ("api", ("api",))):
        platform.child(*words).kill()
        name = killed if killed == "api" else "reservations-[12]"
        platform.until(f"{name} was killed by SIGKILL; restarting in")
        platform.until(f"{name} is ready again")
    assert httpx.get(f"{platform.url}/readyz").status_code == 200
    the_embedded_broker_s_death_starts_an_empty_log(platform)
    processes = platform.tree()
    assert platform.end(signal.SIGINT) == 0
    assert none_runs(processes)
    assert platform.printed[-1] == "stopped\n"


def the_embedded_broker_s_death_starts_an_empty_log(platform: Up) -> None:
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


def test_ctrl_c_ends_make_run_with_0_and_nothing_left() -> None:
    port = free_port()
    # `-o`: make does not rebuild the environment in which this test runs.
    command = ("make", "-o", ".venv/.installed", "run", f"ARGS=--port {port}")
    session = Session(command, cwd=Path(__file__).parents[3])
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


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that PostgreSQL's user may enter; pytest's own directories are private."""
    with tempfile.TemporaryDirectory(prefix="circle-test-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


def test_a_data_directory_keeps_accounts_and_is_one_circle_s_alone_and_a_kill_leaves_nothing_running(
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
    processes = first.tree()
    assert first.end(signal.SIGTERM) == 0
    assert none_runs(processes)
    assert first.printed[-1] == "stopped\n"
    third = up("--data-dir", str(data))
    third.until("^ready ")
    login = {"email": account["email"], "password": account["password"]}
    assert httpx.post(f"{third.url}/v1/auth/login", json=login).status_code == 200
    processes = third.tree()
    assert len(processes) > 8
    third.end(signal.SIGKILL)
    assert wait_for(lambda: none_runs(processes), timeout_s=TIMEOUT_S) is None


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
