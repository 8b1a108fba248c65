"""`make setup`, the first step of `make run`, on a machine with a wrong Python: one error, and nothing is made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = ("python3.11", "python3.12", "python3", "python")
WRONG = '#!/bin/sh\n[ "$1" = --version ] && { echo Python 3.14.2; exit 0; }\nexit 1\n'  # fails at every call

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def setup(directory: Path, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    make = shutil.which("make")
    assert make is not None
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        [make, "setup", f"VENV={directory}/venv", *arguments],
        cwd=ROOT,
        env=env | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("case", ["named", "found", "none"])
def test_a_wrong_python_is_one_error_that_says_what_to_do(tmp_path: Path, case: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if case != "none":
        for name in NAMES:
            (programs / name).write_text(WRONG)
            (programs / name).chmod(0o755)
    path = os.environ["PATH"] if case == "named" else str(programs)
    done = setup(tmp_path, path, *([f"PYTHON={programs}/python3"] if case == "named" else []))
    first, second, *rest = done.stderr.splitlines()
    found = "no python3" if case == "none" else "Python 3.14.2"
    assert first == f"error: Python 3.11 or 3.12 is needed (Bytewax has no wheels for others); found: {found}."
    assert second.strip() == "Name one with: make setup PYTHON=/path/to/python3.11"
    assert len(rest) == 1, "make's own line"
    assert (done.returncode, done.stdout) == (2, "")
    assert not (tmp_path / "venv").exists()
