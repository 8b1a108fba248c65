"""A compiled twin of another version than its source stops a process with an error that says what to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas import twins
from tests.harness.native import needs_native

ROOT = Path(__file__).parents[3]
TWIN = "schemas.native_reader"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code, with its compiled twins."""
    for folder in ("schemas", "connectors", "sinks", "pipelines", "api", "ops"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.c", "docs"))
    return tmp_path


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, timeout=60, check=False)


@needs_native
def test_a_worker_with_a_stale_twin_names_the_file_and_what_to_run(tree: Path) -> None:
    whole = python(tree, "-c", "import pipelines.reservations.flow as flow; print(flow.__file__)")
    assert whole.stdout.startswith(str(tree)), whole.stderr
    source = tree / "schemas" / "native_reader.pyx"
    former = twins.stated(source)
    source.write_text(source.read_text().replace("NOWHERE = -1", "NOWHERE = -2"))
    source.write_text(twins.with_its_hash(source))
    assert twins.stated(source) != former
    done = python(tree, "-m", "ops.cli.main", "pipeline", "reservations")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tree / 'schemas' / 'native_reader'}.")
    assert line.endswith("was compiled from another version of native_reader.pyx; run `make setup`")


def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """The name of a module that stands for a twin."""
    name = f"native_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_twin_that_cannot_be_imported_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = broken(tmp_path, monkeypatch, "from schemas.codec import gone")
    with pytest.raises(twins.StaleTwin, match=r"cannot be imported .*gone.*; run `make setup`"):
        twins.compiled(name)


def test_a_twin_from_before_it_stated_its_source_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = broken(tmp_path, monkeypatch, "value = 1")
    assert twins.compiled(name)  # nothing to compare with, as in an installation without sources
    (tmp_path / f"{name}.pyx").write_text('SOURCE = "0a1b"\n')
    with pytest.raises(twins.StaleTwin, match="another version"):
        twins.compiled(name)


def test_a_module_that_was_not_compiled_here_is_none(tmp_path: Path) -> None:
    assert not twins.compiled("schemas.native_of_nobody")


def test_the_hash_is_of_everything_else_in_the_source(tmp_path: Path) -> None:
    source = tmp_path / "native_x.pyx"
    source.write_text('SOURCE = ""\n\nx = 1\n')
    source.write_text(twins.with_its_hash(source))
    first = twins.stated(source)
    assert twins.with_its_hash(source) == source.read_text()
    source.write_text(source.read_text().replace("x = 1", "x = 2"))
    source.write_text(twins.with_its_hash(source))
    assert twins.stated(source) not in ("", first)
