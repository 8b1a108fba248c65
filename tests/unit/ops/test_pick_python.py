"""The Python that `make setup` takes: the fastest complete one of a version."""

import os
import subprocess
from pathlib import Path

import pytest

PICK = Path(__file__).parents[3] / "ops" / "run" / "pick_python.sh"


def pick(path: str) -> str:
    said = subprocess.run(["/bin/bash", PICK], env={"PATH": path}, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    return said.stdout.strip()


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"a/python3.11": "11 0 5000", "b/python3.11": "11 0 4000"}, "b/python3.11"),
        ({"a/python3.11": "11 0 5000", "b/python3.11": "11 0 4600"}, "a/python3.11"),
        ({"a/python3.11": "11 1 4000", "b/python3": "11 0 7000"}, "b/python3"),
        ({"a/python3.11": "11 2 4000", "b/python3": "11 1 7000"}, "b/python3"),
        ({"a/python3.12": "12 0 2000", "b/python": "11 0 7000"}, "b/python"),
        ({"a/python3.12": "12 0 4000", "b/python3": "12 0 3000", "b/python": "14 0 1"}, "b/python3"),
        ({"a/python3": "10 0 4000"}, None),
        ({}, None),
    ],
)
def test_the_quickest_of_those_that_lack_nothing_is_taken(
    tmp_path: Path, found: dict[str, str], wanted: str | None
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for name, says in found.items():
        minor, lacks, takes = says.split()  # it is asked for a version, as `python -c PROBE 11`
        program = tmp_path / name
        program.write_text(f'#!/bin/bash\n[ "$1 $3" = "-c {minor}" ] || exit 1\necho {lacks} {takes}\n')
        program.chmod(0o755)
    expected = "none" if wanted is None else str(tmp_path / wanted)
    assert pick(f"{tmp_path}/a:{tmp_path}/b") == expected


def test_of_those_that_are_there_one_that_will_do_is_taken() -> None:
    python = pick(os.environ["PATH"])
    said = subprocess.run([python, "-c", "import ensurepip, sys; print(*sys.version_info[:2])"], capture_output=True)
    assert said.stdout.split() in ([b"3", b"11"], [b"3", b"12"])
