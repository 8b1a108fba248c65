"""Temporary directories: they stay while the owner lives; after it was killed, the next owner removes them."""

import signal
import subprocess
import sys
from pathlib import Path

from connectors import temporary_directories
from tests.harness.leftovers import tracked

CODE = "from connectors.temporary_directories import make; import time; print(make('x'), flush=True); time.sleep(60)"


def test_a_killed_owner_s_directory_is_removed_and_a_living_one_s_is_not() -> None:
    owner = tracked(subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True))
    assert owner.stdout is not None
    theirs = Path(owner.stdout.readline().strip())
    ours = [temporary_directories.make("y")]
    assert theirs.is_dir()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    ours.append(temporary_directories.make("z"))
    assert not theirs.exists()
    assert all(path.is_dir() for path in ours)
    for path in ours:
        temporary_directories.remove(path)
        assert not path.exists()
