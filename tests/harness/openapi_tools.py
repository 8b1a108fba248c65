"""Linters and generators of third parties for the OpenAPI document, each pinned and installed once.

Node.js comes from a wheel. `generator.lock` is the Python generator's environment: it needs another typer than ours.
"""

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

import msgspec

from api.http.openapi import document
from api.routes.table import ROUTES
from ops.run.services.kafka_jars import cache_dir

FOLDER = Path(__file__).parents[1] / "contract" / "openapi"
INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 120
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "CI": "true"}


def write_document(path: Path) -> Path:
    """The document as the API serves it."""
    path.write_bytes(msgspec.json.encode(document(ROUTES, "0.1.0")))
    return path


def node_tools() -> Path:
    """The folder of the programs of `package-lock.json`."""

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(FOLDER / name, folder / name)
        _run([_beside_python("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder, INSTALL_TIMEOUT_S)

    return _installed("openapi-node", FOLDER / "package-lock.json", install) / "node_modules" / ".bin"


def python_generator() -> Path:
    """The folder of the programs of `generator.lock`."""

    def install(folder: Path) -> None:
        uv, python = _beside_python("uv"), str(folder / "bin" / "python")
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], folder.parent)
        lock = ["--require-hashes", "-r", str(FOLDER / "generator.lock")]
        _run([uv, "pip", "install", "--quiet", "--python", python, *lock], folder.parent, INSTALL_TIMEOUT_S)

    return _installed("openapi-python", FOLDER / "generator.lock", install) / "bin"


def run(program: Path, *arguments: str, folder: Path) -> str:
    """The program's output. Raises AssertionError with the output when it fails."""
    return _run([str(program), *arguments], folder)


def _installed(name: str, lock: Path, install: Callable[[Path], None]) -> Path:
    """The folder for this lock file. The first test process makes it."""
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


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beside_python(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _run(command: list[str], folder: Path, timeout_s: int = RUN_TIMEOUT_S) -> str:
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
