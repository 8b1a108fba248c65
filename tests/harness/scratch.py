"""Temporary files of the tests in memory, where there is plenty: a disk takes long to remove what was written to it.

Each test process makes databases of 300 files, and clusters and logs for each platform. Once such files were on an ext4
disk, a new database in place of an old one took ten times the CPU.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")
BYTES_MIN = 8 << 30  # 655 MB were in use eight minutes into a run of all tests


def in_memory() -> None:
    """Sets TMPDIR for this process and all that it starts. Does nothing where TMPDIR is set, or memory is short.

    All runs of a user share the directory, as they would share /tmp: it holds their claims of ports.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    files = os.statvfs(MEMORY)
    free = min(files.f_bavail * files.f_frsize, psutil.virtual_memory().available)
    if free < BYTES_MIN or files.f_flag & os.ST_NOEXEC:
        return
    directory = MEMORY / f"circle-tests-{os.geteuid()}"
    directory.mkdir(mode=0o755, exist_ok=True)
    if directory.lstat().st_uid != os.geteuid():
        return
    os.environ["TMPDIR"] = str(directory)
    tempfile.tempdir = None
