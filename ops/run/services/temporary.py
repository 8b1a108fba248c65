"""Temporary directories that are removed even when their owner was killed: by the next process that makes one.

Each holds a file `.owner` that its process keeps locked; the kernel frees the lock however the process ends. A
directory whose lock can be taken belongs to nobody any more.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "circle-tmp-"
OWNER_FILE = ".owner"

_held: dict[Path, int] = {}  # the descriptors of the locks


def make(name: str) -> Path:
    """A new directory of ours; removes what killed owners have left behind first."""
    _remove_orphans()
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-")).resolve()
    # Locked before it has its name, so nobody ever sees the file of a living owner unlocked.
    new = path / f"{OWNER_FILE}.new"
    lock = os.open(new, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(path / OWNER_FILE)
    _held[path] = lock
    return path


def remove(path: Path) -> None:
    """Removes a directory that `make` gave."""
    shutil.rmtree(path, ignore_errors=True)
    if (lock := _held.pop(path, None)) is not None:
        os.close(lock)


def _remove_orphans() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.geteuid() and _orphaned(path):
                shutil.rmtree(path, ignore_errors=True)


def _orphaned(path: Path) -> bool:
    try:
        with (path / OWNER_FILE).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except OSError:
        return False
