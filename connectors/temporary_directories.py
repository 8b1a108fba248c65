"""Temporary directories. When their owner is killed, the next process that makes one removes them.

Each directory has a file `.owner` that its process keeps locked. The kernel frees the lock however the process ends. So
a directory whose lock can be taken has no owner.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "circle-tmp-"
OWNER_FILE = ".owner"

_held: dict[Path, int] = {}  # the descriptors of the locks


def make(name: str) -> Path:
    """Makes a new directory, and first removes the directories of killed owners."""
    _remove_orphans()
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-")).resolve()
    # Locked before the rename: no process sees the file of a living owner unlocked.
    new = path / f"{OWNER_FILE}.new"
    lock = os.open(new, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(path / OWNER_FILE)
    _held[path] = lock
    return path


@contextlib.contextmanager
def made(name: str) -> Iterator[Path]:
    """A new directory for a block."""
    path = make(name)
    try:
        yield path
    finally:
        remove(path)


def remove(path: Path) -> None:
    """Removes a directory of `make`."""
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
