"""What a failed test leaves running is ended with it, and complained about nowhere else."""

import subprocess
import sys

from tests.harness import leftovers

FOREVER = "import signal; print('there', flush=True); signal.pause()"


def test_what_is_left_running_is_ended_and_its_pipes_are_closed() -> None:
    left = leftovers.tracked(subprocess.Popen([sys.executable, "-c", FOREVER], stdout=subprocess.PIPE))
    assert left.stdout is not None
    assert left.stdout.readline() == b"there\n"
    ended = leftovers.tracked(subprocess.Popen([sys.executable, "-c", ""]))
    assert ended.wait() == 0
    leftovers.end_all()
    assert left.returncode == -9
    assert left.stdout.closed
    assert ended.returncode == 0
