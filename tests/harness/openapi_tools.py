"""Linters and generators of third parties for the OpenAPI document, each pinned and installed once.

Node.js comes from a wheel. `generator.lock` is the Python generator's environment: it needs another typer than ours.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from api.http.openapi import document
from api.routes.table import ROUTES
from tests.harness.third_party import INSTALL_TIMEOUT_S, installed, program, python_programs
from tests.harness.third_party import run as run_command

FOLDER = Path(__file__).parents[1] / "contract" / "openapi"


def write_document(path: Path) -> Path:
    """The document as the API serves it."""
    path.write_bytes(msgspec.json.encode(document(ROUTES, "0.1.0")))
    return path


def node_tools() -> Path:
    """The folder of the programs of `package-lock.json`."""

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(FOLDER / name, folder / name)
        command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        run_command(command, folder, INSTALL_TIMEOUT_S)

    return installed("openapi-node", FOLDER / "package-lock.json", install) / "node_modules" / ".bin"


def python_generator() -> Path:
    """The folder of the programs of `generator.lock`."""
    return python_programs("openapi-python", FOLDER / "generator.lock")


def run(program: Path, *arguments: str, folder: Path) -> str:
    """The program's output. Raises AssertionError with the output when it fails."""
    return run_command([str(program), *arguments], folder)
