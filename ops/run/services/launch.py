"""Becomes another program that dies with the process that started it. Runs as a script; standard library
only.

`python -I -S launch.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM ARGUMENTS…` (`-` for UID and GID leaves
them). The kernel sends DEATH_SIGNAL when the parent is gone, even after `kill -9`, so nothing is left
running. Dropping to another user happens here and not in the parent, because that user may not be able to
read this interpreter.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drops to the user, asks for the death signal, and replaces this process."""
    parent, death_signal, uid, gid, program = arguments[:5]
    os.umask(0o077)  # what any of ours writes is its user's alone
    if gid != "-":
        os.setgroups([])
        os.setgid(int(gid))
    if uid != "-":
        os.setuid(int(uid))
        os.environ["HOME"] = "/nonexistent"
    if sys.platform == "linux":
        # Asked for after setuid, which would clear it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit(f"the starting process {parent} is gone")
    os.execv(program, arguments[4:])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
