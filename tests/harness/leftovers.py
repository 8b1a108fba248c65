"""Processes that a test starts by itself. Guarantee: none outlives its test, even if the test fails.

Otherwise it would run during the next tests, and Python's warning about it would make another test fail.
"""

from __future__ import annotations

import subprocess
from typing import IO, Any

_started: list[subprocess.Popen[Any]] = []


def tracked(process: subprocess.Popen[Any]) -> subprocess.Popen[Any]:
    """Registers the process and returns it. It is ended after the present test, if it is still there."""
    _started.append(process)
    return process


def end_all() -> None:
    """kill -9 to every process that is left, and wait for its end. For the fixture in tests/conftest.py."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()
        pipes: list[IO[Any] | None] = [process.stdin, process.stdout, process.stderr]
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
