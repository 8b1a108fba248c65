"""The temporary file: it has its entries, each once, until it is closed; a full one raises an error."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from connectors.scratch_file import ScratchFile


def test_it_keeps_the_last_bytes_of_each_name() -> None:
    with closing(ScratchFile()) as shelf:
        shelf.put("b", b"1")
        shelf.put("a", b"2")
        shelf.put("b", b"\x00" * 1_000_000)
        assert (list(shelf), len(shelf)) == (["a", "b"], 2)
        assert (shelf.look("b"), shelf.look("a"), shelf.look("c")) == (b"\x00" * 1_000_000, b"2", None)
        assert ("a" in shelf, "c" in shelf) == (True, False)
        shelf.drop("b")
        shelf.drop("c")
        assert (list(shelf), shelf.look("b")) == (["a"], None)


def test_two_of_them_have_nothing_to_do_with_each_other() -> None:
    with closing(ScratchFile()) as one, closing(ScratchFile()) as other:
        one.put("a", b"1")
        assert list(other) == []


def test_what_does_not_fit_is_said_with_what_to_do() -> None:
    """In a process that may write no larger file than a megabyte."""
    script = """
import resource, signal
from contextlib import closing
from connectors.scratch_file import ScratchFileFull, ScratchFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
with closing(ScratchFile()) as shelf:
    for do in (lambda number: shelf.put(str(number), bytes(100_000)), lambda number: shelf.drop(str(number))):
        try:
            for number in range(1_000):
                do(number)
        except ScratchFileFull as error:
            print(error)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    told = found.stdout.splitlines()
    assert len(told) == 2
    for line in told:
        assert line.startswith("the temporary file: ")
        assert line.endswith("; set TMPDIR to a directory that has room")


def test_its_file_is_where_the_environment_says_and_has_no_name(tmp_path: Path) -> None:
    script = """
import os
from contextlib import closing
from connectors.scratch_file import ScratchFile
with closing(ScratchFile()) as shelf:
    for number in range(100):
        shelf.put(str(number), bytes(100_000))
    for file in os.listdir("/proc/self/fd"):
        try:
            print(os.readlink(f"/proc/self/fd/{file}"))
        except FileNotFoundError:
            pass
print("closed")
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("SQLITE_TMPDIR", None)
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    (mine,) = [line for line in found.stdout.splitlines() if line.startswith(str(tmp_path))]
    assert mine.endswith(" (deleted)")
    assert list(tmp_path.iterdir()) == []
    assert found.stdout.endswith("closed\n")


@pytest.mark.parametrize("name", ["", "é", "x" * 10_000])
def test_any_name_will_do(name: str) -> None:
    with closing(ScratchFile()) as shelf:
        shelf.put(name, b"1")
        assert shelf.look(name) == b"1"
