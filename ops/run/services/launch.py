"""Becomes another program, which dies with the process that started it. A script with only the standard library.

`python -I -S launch.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM ARGUMENTS…` (`-` for UID and GID keeps them). The kernel
sends DEATH_SIGNAL when the parent ends, even after `kill -9`, so no process is left. This script changes the user, not
the parent, because the other user may be unable to read this interpreter.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Changes the user, asks for the death signal, and replaces this process."""
    parent, death_signal, uid, gid, program = arguments[:5]
    os.umask(0o077)  # only the process's user can read its files
    if gid != "-":
        os.setgroups([])
        os.setgid(int(gid))
    if uid != "-":
        os.setuid(int(uid))
        os.environ["HOME"] = "/nonexistent"
    if sys.platform == "linux":
        # After setuid, because setuid clears it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit(f"the starting process {parent} is gone")
    os.execv(program, arguments[4:])  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
