"""Processes that a test starts by itself. Guarantee: none outlives its test, however that ends.

One that is left over would go on beside the next tests, and be complained about where Python forgets it: in some other
test, which then fails as well.
"""

from __future__ import annotations

import subprocess
from typing import IO, Any

_started: list[subprocess.Popen[Any]] = []


def tracked(process: subprocess.Popen[Any]) -> subprocess.Popen[Any]:
    """The same process; it is ended after the test that runs, if it is still there then."""
    _started.append(process)
    return process


def end_all() -> None:
    """kill -9 to what is left, and wait until it is gone. For the fixture in tests/conftest.py."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.wait()
        pipes: list[IO[Any] | None] = [process.stdin, process.stdout, process.stderr]
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
