"""A call that does not return ends the process; a call that returns costs nothing."""

from __future__ import annotations

import subprocess
import sys
import threading

from connectors.watchdog import Watchdog


def test_a_block_beyond_its_limit_ends_the_process() -> None:
    ended: list[int] = []
    over = threading.Event()

    def end(code: int) -> None:
        ended.append(code)
        over.set()

    with Watchdog("a test", 0.01, end=end).watching():
        assert over.wait(10), "the watchdog sleeps"
    assert ended == [1]


def test_blocks_within_the_limit_end_nothing() -> None:
    ended: list[int] = []
    watchdog = Watchdog("a test", 3_600, end=ended.append)
    for _ in range(100):
        with watchdog.watching():
            pass
    assert ended == []


def test_a_hanging_process_is_really_gone() -> None:
    text = (
        "import time\nfrom connectors.watchdog import Watchdog\nwith Watchdog('sleep', 0.05).watching(): time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", text], timeout=30, capture_output=True, check=False)
    assert done.returncode == 1
