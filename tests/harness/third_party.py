"""Programs of third parties that tests run: a lock file pins each, and the first process that asks installs it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.run.services.kafka_jars import cache_dir

INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 120
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}


def python_programs(name: str, lock: Path) -> Path:
    """The folder of the programs in an environment of `lock`'s packages, which needs none of ours."""

    def install(folder: Path) -> None:
        uv, python = program("uv"), str(folder / "bin" / "python")
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], folder.parent)
        packages = ["--require-hashes", "-r", str(lock)]
        run([uv, "pip", "install", "--quiet", "--python", python, *packages], folder.parent, INSTALL_TIMEOUT_S)

    return installed(name, lock, install) / "bin"


def installed(name: str, lock: Path, install: Callable[[Path], None]) -> Path:
    """The folder that `install` has filled for this lock file. The first test process fills it."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = cache_dir() / f"{name}-{digest}"
    with _alone(cache_dir() / f"{name}.lock"):
        done = folder / ".complete"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install(folder)
            done.touch()
    return folder


def program(name: str) -> str:
    """A program of our own environment."""
    return str(Path(sys.executable).with_name(name))


def run(command: list[str], folder: Path, timeout_s: int = RUN_TIMEOUT_S) -> str:
    """The command's output. Raises AssertionError with the output when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # npm's programs ask for `node`
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **QUIET, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    assert ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout[-6_000:]}"
    return ended.stdout


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
