"""Programs that are built from a Go module: once for each version, as a dependency of an empty module."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connectors.errors import ServiceUnreachable

BUILD_TIMEOUT_S = 1_800  # Prometheus on two busy cores


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A program in a package of a module, at a version. `replaced` has texts for files of the module, by their path."""

    name: str
    module: str
    package: str
    version: str
    replaced: Mapping[str, str] = field(default_factory=dict)


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
        _go(program, ["get", f"{package}@{program.version}"], scratch)
        if program.replaced:
            _replace(program, scratch)
        _go(program, ["build", *LINK, "-o", str(made), package], scratch)
        made.replace(path)
    return path


LINK = ("-trimpath", "-ldflags", "-s -w")


def _replace(program: GoProgram, scratch: str) -> None:
    """Let the build take a copy of the module in which these files have another text."""
    module = _go(program, ["list", "-m", "-f", "{{.Dir}}", program.module], scratch).strip()
    copy = Path(scratch, "module")
    shutil.copytree(module, copy, copy_function=shutil.copyfile)  # the files of Go's cache are read-only
    for name, text in program.replaced.items():
        Path(copy, name).parent.chmod(0o755)
        Path(copy, name).write_text(text)
    _go(program, ["mod", "edit", "-replace", f"{program.module}=./{copy.name}"], scratch)


def _go(program: GoProgram, command: list[str], scratch: str) -> str:
    """The output of `go …`. Raises `ServiceUnreachable` when it fails, or takes too long."""
    env, where = {**os.environ, "CGO_ENABLED": "0"}, f"its module at {program.version}"
    try:
        done = subprocess.run(
            ["go", *command], cwd=scratch, env=env, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        kept = "what is compiled is kept, so start it again"
        raise ServiceUnreachable(program.name, where, f"go {command[0]} took {BUILD_TIMEOUT_S} s; {kept}") from None
    if done.returncode != 0:
        raise ServiceUnreachable(program.name, where, done.stderr[-2_000:])
    return done.stdout
