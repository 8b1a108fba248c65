"""Programs that are built from a Go module: once for each version, as a dependency of an empty module."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from connectors.errors import ServiceUnreachable

BUILD_TIMEOUT_S = 1_800  # Prometheus on two busy cores


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A program in a package of a module, at a version."""

    name: str
    module: str
    package: str
    version: str


def build(program: GoProgram, directory: Path) -> Path:
    """The program's path in `directory`. Builds it when it is missing. Raises `ServiceUnreachable`."""
    path = directory / f"{program.name}-{program.version}"
    if path.exists():
        return path
    if shutil.which("go") is None:
        raise ServiceUnreachable(program.name, "this machine", "no go was found; install Go 1.24 or later")
    directory.mkdir(parents=True, exist_ok=True)
    package = f"{program.module}/{program.package}".rstrip("/")
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        # `go install` refuses a module with `exclude`, so the program is built as a dependency of an empty module.
        Path(scratch, "go.mod").write_text("module generalcircle/program\n\ngo 1.24\n")
        made = Path(scratch, program.name)
        for command in (["get", f"{package}@{program.version}"], ["build", *LINK, "-o", str(made), package]):
            _go(program, command, scratch)
        made.replace(path)
    return path


LINK = ("-trimpath", "-ldflags", "-s -w")


def _go(program: GoProgram, command: list[str], scratch: str) -> None:
    env = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(
        ["go", *command], cwd=scratch, env=env, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise ServiceUnreachable(program.name, f"its module at {program.version}", done.stderr[-2_000:])
