"""Keeps a set of child processes running: starts, watches, restarts with backoff, gives up, stops in order.

Guarantees:
* A child that dies is restarted, with a message.
* A child that keeps dying before it was ever ready ends the run with its last error.
* A child that was ready once is restarted for ever, at most LASTING_MAX_S later; `/readyz` names it.
* After `stop`, or after any end of this process, no child is left running.

Each child has its own session. So Ctrl-C in the terminal reaches only the supervisor, which decides the order.
"""

import contextlib
import http.client
import os
import select
import signal
import subprocess
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.backoff import Backoff
from connectors.errors import CircleError, SettingsError
from connectors.readiness import READY_FD_VARIABLE
from ops.run.services.process import LOG_TAIL_LINES, log_tail, private_directory, rotate_log, spawn
from ops.run.services.stack import Running

BACKOFF = Backoff(first_s=0.2, max_s=5.0)  # one killed process costs its partitions no more than a fifth of a second
LASTING_MAX_S = 30.0  # for a child that was ready once: the others still sell, and a repaired one is back soon
LASTING = Backoff(first_s=BACKOFF.first_s, max_s=LASTING_MAX_S)
EARLY_DEATH_S = 2.0  # a process that dies this soon after it was ready has not recovered
EARLY_DEATHS_MAX = 5  # after so many in a row, the next start would not help
DEATHS_MAX = 30  # the same for a process that dies late, again and again …
DEATHS_WINDOW_S = 300.0  # … within this time
STOP_TIMEOUT_S = 10.0  # a dataflow drains in well under a second
WATCH_INTERVAL_S = 0.05
URL_TIMEOUT_S = 0.5
USAGE_EXIT_CODE = SettingsError.exit_code  # a restart does not correct a wrong setting

Say = Callable[[str], None]


class ChildFailed(CircleError):
    """A child process keeps dying. The message has the end of its log."""


class WrongSettings(CircleError):
    """A child process refused its settings."""

    exit_code = USAGE_EXIT_CODE


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSpec:
    """The process to run. Children stop in the order of `stop_rank`; those of one rank stop at once.

    A child is ready when it says so (`connectors.readiness`), or with `ready_url`, when a GET of it answers 200.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_rank: int = 0
    ready_url: str | None = None


class Child:
    """One child process, over all its restarts."""

    def __init__(self, spec: ChildSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = threading.Event()
        self.ready_fd: int | None = None
        self.ready_at: float | None = None
        self.log_start = 0  # the first byte of the log since the last start
        self.restarts = 0
        self.early_deaths = 0
        self.was_ready = False
        self.deaths: deque[float] = deque(maxlen=DEATHS_MAX)
        self.start_at: float | None = None  # when the next start is due

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, env: Mapping[str, str]) -> None:
        """Starts the process, with a pipe for its `ready` line."""
        self.log_start = rotate_log(self.log)
        read, write = os.pipe()
        try:
            self.process = spawn(
                self.spec.command,
                log=self.log,
                env={**env, **self.spec.env, READY_FD_VARIABLE: str(write)},
                pass_fds=(write,),
            )
        finally:
            os.close(write)
        self._close_pipe()
        self.ready_fd = read
        self.ready.clear()
        self.ready_at = self.start_at = None

    def ask_url(self) -> bool:
        """True when its URL shows that it has just become ready."""
        if self.spec.ready_url is None or self.ready.is_set() or not self.alive or not answers_200(self.spec.ready_url):
            return False
        self.mark_ready()
        return True

    def read_pipe(self) -> bool:
        """True when it has just become ready. A pipe that ends without a line means a death, which `died` counts."""
        assert self.ready_fd is not None
        line = os.read(self.ready_fd, 1024)
        self._close_pipe()
        if line and self.spec.ready_url is None and not self.ready.is_set():
            self.mark_ready()
            return True
        return False

    def mark_ready(self) -> None:
        self.ready_at = time.monotonic()
        self.was_ready = True
        self.ready.set()

    def died(self) -> float | None:
        """Counts a death. Returns the seconds to wait before the next start, or None to give up."""
        now = time.monotonic()
        early = self.ready_at is None or now - self.ready_at < EARLY_DEATH_S
        self.early_deaths = self.early_deaths + 1 if early else 1
        self.deaths.append(now)
        self.ready.clear()
        self._close_pipe()
        if self.was_ready:
            return LASTING.wait_s(self.early_deaths - 1)
        often = len(self.deaths) == DEATHS_MAX and now - self.deaths[0] < DEATHS_WINDOW_S
        if self.early_deaths >= EARLY_DEATHS_MAX or often:
            return None
        return BACKOFF.wait_s(self.early_deaths - 1)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process and everything that it started: to its process group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def end(self, timeout_s: float) -> None:
        """Waits for its end after SIGTERM. Sends SIGKILL after `timeout_s`."""
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=timeout_s)
            self.signal(signal.SIGKILL)  # also to processes that it left in its group
            self.process.wait()
        self._close_pipe()

    def last_lines(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of its log since its last start."""
        return log_tail(self.log, lines, since=self.log_start)

    def _close_pipe(self) -> None:
        if self.ready_fd is not None:
            os.close(self.ready_fd)
            self.ready_fd = None


class Supervisor:
    """Watches children, and the services that they need, in its own thread."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        env: Mapping[str, str],
        logs: Path,
        say: Say = lambda _: None,
        services: Sequence[Running] = (),
        on_service_death: Callable[[Running], None] | None = None,
    ) -> None:
        self.children = {spec.name: Child(spec, logs / f"{spec.name}.log") for spec in specs}
        self.failure: CircleError | None = None
        self.ended = threading.Event()  # set when the watching has ended
        self._env = dict(env)
        self._logs = logs
        self._say = say
        self._services = services
        self._on_service_death = on_service_death or (lambda service: self._revive(service))
        self._service_deaths: dict[str, int] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Starts each child and the watching. Does not wait for readiness."""
        private_directory(self._logs)
        with self._lock:
            for child in self.children.values():
                child.start(self._env)
        self._watcher.start()

    def wait_ready(self, timeout_s: float, *, cancelled: threading.Event | None = None) -> None:
        """Returns when each child is ready. Raises `CircleError` when one gives up, or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        for child in self.children.values():
            while not child.ready.wait(timeout=WATCH_INTERVAL_S):
                # In this order: the watcher says why it ends before it says that it has ended.
                over = self.ended.is_set() or (cancelled is not None and cancelled.is_set())
                self.raise_failure()
                if over:
                    return
                if time.monotonic() > deadline:
                    raise ChildFailed(
                        f"{child.spec.name} was not ready within {timeout_s:.0f} s; the end of {child.log}:\n"
                        f"{child.last_lines()}"
                    )

    def raise_failure(self) -> None:
        """Raises the error that ended the run, if there was one."""
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Stops the children in order, SIGTERM first. Idempotent; returns when none is left."""
        self._stopping.set()
        if self._watcher.is_alive() and threading.current_thread() is not self._watcher:
            self._watcher.join()
        self._stop_children()
        self.ended.set()

    def pid(self, name: str) -> int | None:
        """The process id of a child that is alive."""
        with self._lock:
            child = self.children[name]
            return child.process.pid if child.alive and child.process is not None else None

    def pids(self) -> dict[str, int]:
        """The process ids of the children that are alive, by name."""
        return {name: pid for name in self.children if (pid := self.pid(name)) is not None}

    def restart_all(self) -> None:
        """Stops each child and starts it again. Does not count this as a death."""
        with self._lock:
            self._stop_children()
            for child in self.children.values():
                child.start(self._env)

    def _watch(self) -> None:
        try:
            while not self._stopping.is_set() and self.failure is None:
                self._read_pipes()
                with self._lock:
                    self._check_services()
                    for child in self.children.values():
                        self._check(child)
        except CircleError as error:
            self.failure = error
        finally:
            if self.failure is not None:
                self.ended.set()

    def _read_pipes(self) -> None:
        with self._lock:
            waiting = {child.ready_fd: child for child in self.children.values() if child.ready_fd is not None}
        for child in self.children.values():
            self._say_ready(child, child.ask_url())
        if not waiting:
            self._stopping.wait(WATCH_INTERVAL_S)
            return
        for fd in select.select(list(waiting), [], [], WATCH_INTERVAL_S)[0]:
            self._say_ready(waiting[fd], waiting[fd].read_pipe())

    def _say_ready(self, child: Child, became_ready: bool) -> None:
        if became_ready and child.restarts:
            self._say(f"{child.spec.name} is ready again")

    def _check(self, child: Child) -> None:
        if child.start_at is not None:
            if time.monotonic() >= child.start_at:
                child.restarts += 1
                child.start(self._env)
            return
        if child.process is None or child.process.poll() is None:
            return
        code = child.process.returncode
        child.signal(signal.SIGKILL)  # for processes that it left in its group
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if code == USAGE_EXIT_CODE:
            self.failure = WrongSettings(f"{child.spec.name}: {last_error(child.last_lines(50))}")
            return
        wait_s = child.died()
        tail = child.last_lines(5)
        if wait_s is None:
            self.failure = ChildFailed(
                f"{child.spec.name} {how} and keeps dying ({len(child.deaths)} deaths); the end of {child.log}:\n"
                f"{child.last_lines()}"
            )
            return
        child.start_at = time.monotonic() + wait_s
        self._say(f"{child.spec.name} {how}; restarting in {wait_s:.1f} s. Its last lines:\n{tail}")

    def _check_services(self) -> None:
        for service in self._services:
            if not service.crashed:
                continue
            deaths = self._service_deaths[service.name] = self._service_deaths.get(service.name, 0) + 1
            if deaths > EARLY_DEATHS_MAX:
                raise ChildFailed(f"{service.name} keeps dying ({deaths} deaths)")
            self._on_service_death(service)

    def _revive(self, service: Running) -> None:
        self._say(f"{service.name} died; restarting it on the same port")
        service.revive()
        self._say(f"{service.name} is back")

    def _stop_children(self) -> None:
        with self._lock:
            ranks = sorted({child.spec.stop_rank for child in self.children.values()})
            for rank in ranks:
                group = [child for child in self.children.values() if child.spec.stop_rank == rank]
                for child in group:
                    child.start_at = None
                    child.signal(signal.SIGTERM)
                    child.signal(signal.SIGCONT)  # a stopped process does not react to SIGTERM
                deadline = time.monotonic() + STOP_TIMEOUT_S
                for child in group:
                    child.end(max(0.0, deadline - time.monotonic()))
                    child.process = None


def answers_200(url: str) -> bool:
    """True when a GET answers 200 at once."""
    try:
        with urllib.request.urlopen(url, timeout=URL_TIMEOUT_S) as response:  # noqa: S310  # our own loopback URL
            return int(response.status) == 200
    except (OSError, http.client.HTTPException):
        return False


def last_error(text: str) -> str:
    """The last line with `error:` at the end of a log, else the last line."""
    lines = text.splitlines()
    errors = [line.strip() for line in lines if line.strip().startswith("error:")]
    return errors[-1].removeprefix("error:").strip() if errors else lines[-1].strip()
