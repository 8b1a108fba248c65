"""Finds the platform that runs on this machine, by the stack file that `circle up` writes.

The file has the addresses of the services, with passwords and keys, so only its user can read it. It is in the data
directory, else in the user's runtime directory: `XDG_RUNTIME_DIR`, or a private temporary directory. A platform with a
data directory leaves a note in the runtime directory. The platform's process keeps the file locked, and the kernel
frees the lock however the process ends. So a file that can be locked has no owner, even if another process has its
process id now: tools ignore it and remove it.

Guarantee: addresses in the environment always win, all of them or none. A tool never takes the log of one platform and
the rows of another.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from connectors.errors import CircleError, SettingsError
from pipelines.configuration import settings_from_env
from pipelines.platform_settings import PlatformSettings

STACK_FILE = "stack.json"
DIRECTORY = "general-circle"
ADDRESSES = ("CIRCLE_KAFKA_BOOTSTRAP_SERVERS", "CIRCLE_POSTGRES_URL", "CIRCLE_REDIS_URL")
URL = "CIRCLE_URL"
# Variables of one process of the platform. Tools outside do not get them.
OF_ONE_PROCESS = frozenset(
    {"CIRCLE_INSTANCE", "CIRCLE_READY_FD", "CIRCLE_METRICS_PORT", "CIRCLE_METRICS_HOST", "CIRCLE_LOG_LEVEL",
     "CIRCLE_LOG_FORMAT", "CIRCLE_TEST_SWITCHES", URL}
)  # fmt: skip
RUNS_IT = frozenset({"up", "api", "pipeline", "demo"})
FILE_BYTES_MAX = 1_048_576  # an environment is far smaller


class NothingRuns(CircleError):
    """No platform runs here, or not the named one."""

    exit_code: ClassVar[int] = 3


class SeveralRun(CircleError):
    """Several platforms run here, and none was named."""

    exit_code: ClassVar[int] = 2


class RunningStack(msgspec.Struct, frozen=True, kw_only=True):
    """A platform that runs here. `name` is the port of its API, so it is unique on this machine."""

    name: str
    pid: int
    url: str
    broker: str
    data_dir: str | None
    env: dict[str, str]

    def __str__(self) -> str:
        return f"{self.name} ({self.url}, process {self.pid}, {self.data_dir or 'no data directory'})"


class _Note(msgspec.Struct, frozen=True):
    """A file in the runtime directory: the path of the stack file in a data directory."""

    stack: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The values of `--data-dir` and `--stack`."""

    data_dir: str | None = None
    stack: str | None = None

    def __bool__(self) -> bool:
        return bool(self.data_dir or self.stack)


chosen: ContextVar[Choice] = ContextVar("chosen", default=Choice())  # noqa: B039  # it cannot change


class Published:
    """The stack file of a running platform, until `remove`."""

    def __init__(self, paths: Sequence[Path], lock: int) -> None:
        self._paths, self._lock = paths, lock

    def remove(self) -> None:
        """Remove the file. Idempotent."""
        for path in self._paths:
            path.unlink(missing_ok=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def publish(stack: RunningStack) -> Published:
    """Write the stack file; only its user can read it. Raises SettingsError when there is no safe place for it."""
    runtime = runtime_dir(make=True)
    noted = runtime / f"{stack.name}.json"
    if stack.data_dir is None:
        return Published([noted], _write_locked(noted, stack))
    path = Path(stack.data_dir) / STACK_FILE
    lock = _write_locked(path, stack)
    os.close(_write_locked(noted, _Note(str(path))))
    return Published([noted, path], lock)


def running() -> list[RunningStack]:
    """All platforms of this user that run here. Removes the files of platforms that have ended."""
    try:
        runtime = runtime_dir()
    except SettingsError:
        return []  # others can write to this directory, so its files are not trusted
    return [one for path in sorted(runtime.glob("*.json")) if (one := _read(path)) is not None]


def stack_of(choice: Choice) -> RunningStack:
    """The chosen platform. Raises NothingRuns, SeveralRun."""
    if choice.data_dir is not None:
        found = _read(Path(choice.data_dir).expanduser() / STACK_FILE)
        if found is None:
            raise NothingRuns(
                f"no platform of this user runs with --data-dir {choice.data_dir}; `circle up` starts one"
            )
        return found
    there = running()
    if choice.stack is not None:
        named = [one for one in there if one.name == choice.stack]
        if not named:
            raise NothingRuns(f"no platform named {choice.stack} runs here: {_named(there) or 'none does'}")
        return named[0]
    if not there:
        raise NothingRuns(
            f"no platform runs here (none has a file in {_shown()}), and {', '.join(ADDRESSES)} name none; start one "
            "with `circle up`, or name another's services"
        )
    if len(there) > 1:
        raise SeveralRun(
            f"{len(there)} platforms run here: {_named(there)}; say which is meant with --stack {there[0].name}, or "
            "with --data-dir"
        )
    return there[0]


def environment(given: Mapping[str, str] | None = None, *, needed: bool = True) -> dict[str, str]:
    """The variables for a tool: `given` (default: the process's own), and those of the platform that it finds.

    When it is not `needed` and no platform runs, these are `given` alone. Raises NothingRuns, SeveralRun.
    """
    env = dict(os.environ if given is None else given)
    explicit = [name for name in ADDRESSES if env.get(name, "").strip()]
    if explicit:
        if chosen.get():
            print(f"note: {explicit[0]} is set, so --stack and --data-dir are not looked at", file=sys.stderr)
        return env
    try:
        stack = stack_of(chosen.get())
    except NothingRuns:
        if needed or chosen.get():
            raise
        return env
    own = {name: value for name, value in env.items() if not name.startswith("CIRCLE_") or value.strip()}
    return {**stack.env, **own}


def operator_settings(*, needed: bool = True) -> PlatformSettings:
    """The settings of an operator's command: those of CIRCLE_*, else of the one platform that runs here."""
    return settings_from_env(environment(needed=needed))


def exported(env: Mapping[str, str]) -> dict[str, str]:
    """The part of a platform's environment that tools outside get."""
    names = sorted(name for name in env if name.startswith("CIRCLE_") and name not in OF_ONE_PROCESS)
    return {name: env[name] for name in names if env[name]}


def take_options(arguments: Sequence[str]) -> tuple[Choice, list[str]]:
    """Take `--data-dir` and `--stack` from any place, and return the rest.

    A command that runs a platform has neither.
    """
    taken: dict[str, str] = {}
    left: list[str] = []
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name not in ("--data-dir", "--stack"):
            left.append(word)
            if word == "--":
                left += rest
            continue
        taken[name] = value if equals else next(rest, "")
        if not taken[name]:
            raise SettingsError(name, "wants a value", example="8000" if name == "--stack" else "./.data")
    if left and left[0] in RUNS_IT:
        return Choice(), list(arguments)
    if len(taken) == 2:
        raise SettingsError("--stack", "names a platform, and so does --data-dir; give one of them")
    return Choice(taken.get("--data-dir"), taken.get("--stack")), left


def runtime_dir(*, make: bool = False) -> Path:
    """The directory by which this user's processes find each other.

    Raises SettingsError when others can write there.
    """
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(own) if own.startswith("/") and Path(own).is_dir() else None
    path = base / DIRECTORY if base is not None else Path(tempfile.gettempdir()) / f"{DIRECTORY}-{os.geteuid()}"
    if make:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    try:
        status = path.lstat()
    except OSError:
        return path
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise SettingsError(
            "XDG_RUNTIME_DIR", f"{path} is not a directory of this user alone", example=f"/run/user/{os.geteuid()}"
        )
    return path


def _write_locked(path: Path, content: object) -> int:
    """Write to a temporary name, lock, and rename. So no reader sees the file half written or unlocked."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(opened, msgspec.json.format(msgspec.json.encode(content)))
        beside.replace(path)
    except BaseException:
        os.close(opened)
        beside.unlink(missing_ok=True)
        raise
    return opened


def _read(path: Path) -> RunningStack | None:
    """The platform of a file. When it does not run any more, removes the file and returns None."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(opened)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            return None
        try:
            content = msgspec.json.decode(file.read(FILE_BYTES_MAX), type=dict[str, object])
            if "stack" in content and "pid" not in content:
                found = _read(Path(str(content["stack"])))
                stale = found is None
            else:
                found, stale = msgspec.convert(content, RunningStack), _can_be_locked(opened)
        except msgspec.MsgspecError:
            found, stale = None, True
        if stale:
            path.unlink(missing_ok=True)
            return None
        return found


def _can_be_locked(opened: int) -> bool:
    """True when no process has the file locked for itself. Tools that look at the same time share the lock."""
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(opened, fcntl.LOCK_UN)
    return True


def _named(stacks: Sequence[RunningStack]) -> str:
    return ", ".join(map(str, stacks))


def _shown() -> str:
    try:
        return str(runtime_dir())
    except SettingsError as error:
        return str(error)
