"""A process that is suspended does nothing any more, however busy the machine is."""

from __future__ import annotations

import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ops.run.services.process import is_suspended, suspend, wait_for
from tests.harness.leftovers import tracked

TRIES = 25
LOOK_S = 0.02
BUSY = "while True: pass"
# Its main thread sleeps, and has to be woken up to stop the others: on a busy machine this takes a while.
COUNTING = """
import mmap, os, sys, threading, time
counter = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 8)
def count():
    number = 0
    while True:
        number += 1
        counter[:8] = number.to_bytes(8, "little")
threading.Thread(target=count, daemon=True).start()
threading.Event().wait()
"""


@contextmanager
def running(*arguments: str) -> Iterator[psutil.Process]:
    with tracked(subprocess.Popen([sys.executable, "-c", *arguments])) as started:
        try:
            yield psutil.Process(started.pid)
        finally:
            started.kill()


def test_no_thread_of_a_suspended_process_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "counter"
    file.write_bytes(bytes(8))
    with (
        file.open("r+b") as opened,
        mmap.mmap(opened.fileno(), 8) as counter,
        running(COUNTING, str(file)) as process,
        running(BUSY),
        running(BUSY),
    ):
        for _ in range(TRIES):
            before = counter[:8]
            assert wait_for(lambda seen=before: counter[:8] != seen, timeout_s=20) is None
            suspend(process)
            still = counter[:8]
            time.sleep(LOOK_S)
            assert counter[:8] == still
            assert is_suspended(process)
            process.resume()
            assert not is_suspended(process)


def test_an_ended_process_is_no_error() -> None:
    with running(BUSY) as process:
        pass
    suspend(process)
    assert is_suspended(process)
