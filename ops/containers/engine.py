"""The Docker engine: the one that answers here, else one of our own; and compose, from a plugin or from its Go module.

An engine of our own is a child process with its data and its socket in `engine_dir()`. It needs root and Debian's
`docker.io`. It ends with the `with` block of the process that started it, once no other process of ours uses it. Its
images stay for the next one.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, ClassVar

from connectors.errors import ServiceUnreachable
from ops.containers import go_module
from ops.run.services.process import Service

ROOT = Path(__file__).parents[2]
HOST = "DOCKER_HOST"
DEFAULT_HOST = "unix:///var/run/docker.sock"
VERSION_TIMEOUT_S = 10
COMPOSE = go_module.GoProgram(
    name="docker-compose", module="github.com/docker/compose/v2", package="cmd", version="v2.32.4"
)


class DockerFailed(RuntimeError):
    """A command of docker or compose ended with an error: which command, and what it said."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers, and where."""

    host: str

    @property
    def compose_command(self) -> tuple[str, ...]:
        """The command that is compose. Builds it where it is missing, which takes minutes, once."""
        return compose_command()

    @property
    def env(self) -> dict[str, str]:
        """The environment of a program that uses this engine."""
        return {**os.environ, HOST: self.host}

    def docker(self, *arguments: str, stdin: bytes | None = None) -> str:
        """The output of `docker …`. Raises `DockerFailed`."""
        return self._run(["docker", *arguments], stdin=stdin)

    def compose(self, *arguments: str, file: Path = ROOT / "compose.yaml", env: Mapping[str, str] | None = None) -> str:
        """The output of `docker compose -f FILE …`, with the variables `env` for the file. Raises `DockerFailed`."""
        return self._run([*self.compose_command, "--file", str(file), *arguments], env=env)

    def _run(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: bytes | None = None) -> str:
        done = subprocess.run(command, env={**self.env, **(env or {})}, input=stdin, capture_output=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace")
            raise DockerFailed(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
        return done.stdout.decode(errors="replace")


class OwnEngine(Service):
    """`dockerd` with its data, its state and its socket in one directory."""

    name: ClassVar[str] = "dockerd"
    start_timeout_s: ClassVar[float] = 60.0
    stop_timeout_s: ClassVar[float] = 60.0

    @property
    def url(self) -> str:
        return socket_in(self.directory)

    def command(self) -> list[str]:
        return [
            *(
                shutil.which("dockerd") or "dockerd",
                "--host",
                self.url,
                "--pidfile",
                str(self.directory / "dockerd.pid"),
            ),
            *("--data-root", str(self.directory / "data"), "--exec-root", str(self.directory / "exec")),
        ]

    def probe(self) -> bool:
        return engine_answers(self.url)


def engine_dir() -> Path:
    """`CIRCLE_ENGINE_DIR`, else a directory of this user's cache. A clone that goes leaves its images to the next."""
    given = os.environ.get("CIRCLE_ENGINE_DIR", "")
    cache = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    return Path(given).resolve() if given else cache / "general-circle" / "engine"


def socket_in(directory: Path) -> str:
    """The address of our own engine with its data in this directory."""
    return f"unix://{directory / 'docker.sock'}"


def engine_answers(host: str) -> bool:
    """True when an engine answers at this address; "" is the client's own default."""
    if shutil.which("docker") is None:
        return False
    env = {**os.environ, HOST: host} if host else {k: v for k, v in os.environ.items() if k != HOST}
    try:
        asked = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = subprocess.run(asked, env=env, capture_output=True, timeout=VERSION_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def answering() -> str | None:
    """The address of an engine that answers: the client's, else one that another process of ours has started."""
    given = os.environ.get(HOST, "")
    if engine_answers(given):
        return given or DEFAULT_HOST
    own = socket_in(engine_dir())
    return own if not given and engine_answers(own) else None


def why_none() -> str | None:
    """Why no engine can be had here; None when one answers or can be started."""
    if answering() is not None:
        return None
    absent = [name for name in ("docker", "dockerd") if shutil.which(name) is None]
    if absent:
        return f"no Docker engine answers, and these are not on the PATH (Debian: docker.io): {', '.join(absent)}"
    if os.geteuid() != 0:
        return "no Docker engine answers, and only root can start one"
    return None


@contextmanager
def running() -> Iterator[Engine]:
    """The engine that answers, else our own until the block ends. Raises `ServiceUnreachable` when none can be had.

    An engine that another process of ours has started does not end before this block. Our own waits in the same way.
    """
    own = socket_in(engine_dir())
    if (host := answering()) is not None and host != own:
        yield Engine(host=host)
        return
    if host == own:
        with _users() as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            if engine_answers(own):  # it may have ended before we had the lock
                yield Engine(host=own)
                return
    if (why := why_none()) is not None:
        raise ServiceUnreachable("Docker", os.environ.get(HOST, "this machine"), why)
    with _users() as users, OwnEngine(data_dir=engine_dir()) as started:
        try:
            yield Engine(host=started.url)
        finally:
            _wait_for(users)


def _users() -> IO[bytes]:
    """The file whose shared locks are the users of our own engine."""
    engine_dir().mkdir(parents=True, exist_ok=True)
    return (engine_dir() / "users.lock").open("ab")


def _wait_for(users: IO[bytes]) -> None:
    """Returns when no other process uses the engine. None can begin to, until the file is closed."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another process uses this Docker engine: it ends after that one", file=sys.stderr, flush=True)
        fcntl.flock(users, fcntl.LOCK_EX)


@cache
def compose_command() -> tuple[str, ...]:
    """`docker compose` where the plugin is installed; else the program that its Go module builds, once."""
    plugin = ("docker", "compose")
    known = subprocess.run([*plugin, "version"], capture_output=True, timeout=VERSION_TIMEOUT_S, check=False)
    return plugin if known.returncode == 0 else (str(go_module.build(COMPOSE, engine_dir() / "bin")),)
