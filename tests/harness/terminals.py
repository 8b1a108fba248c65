"""A program as a person runs it: leader of a session, in the foreground of a terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.harness.leftovers import tracked

CTRL_C, CTRL_Z = b"\x03", b"\x1a"
# A session gets hangups again, or still ignores them (the tests themselves may run under `nohup`). It gets the keys
# that a shell's background jobs ignore. And it has no terminal until its leader asks for one.
BEGIN = """
import fcntl, os, signal, sys, termios
for number in (signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[1] == "nohup" else signal.SIG_DFL)
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Session:
    """A program with a terminal, or (`terminal=False`) with a pipe, or after `nohup`; and what it has printed."""

    def __init__(self, command: Sequence[str], *, cwd: Path, terminal: bool = True, nohup: bool = False) -> None:
        self.output, theirs = pty.openpty() if terminal else os.pipe()
        self.printed = b""
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BEGIN, "nohup" if nohup else "", *command],
            cwd=cwd,
            env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
            stdin=theirs if terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self.pid = tracked(self.process).pid
        os.close(theirs)

    def type(self, keys: bytes) -> None:
        os.write(self.output, keys)

    def until(self, text: bytes, timeout_s: float) -> None:
        """Reads until `text` was printed."""
        deadline = time.monotonic() + timeout_s
        while text not in self.printed:
            assert self._read_by(deadline), self.printed

    def wait(self, timeout_s: float) -> int:
        """Reads to the end of its output. Returns its exit code, negative for a signal."""
        deadline = time.monotonic() + timeout_s
        while self._read_by(deadline):
            pass
        return self.process.wait(timeout_s)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.output)

    def _read_by(self, deadline: float) -> bytes:
        """The next output, b"" at the end. Fails when nothing has come by the deadline."""
        ready = select.select([self.output], [], [], max(0.0, deadline - time.monotonic()))[0]
        assert ready, f"nothing more, and no end: {self.printed!r}"
        try:
            some = os.read(self.output, 4_096)
        except OSError:  # a terminal that all processes have closed
            some = b""
        self.printed += some
        return some
