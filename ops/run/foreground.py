"""Runs a recipe's command so that Ctrl-C ends the command and not make: `make run` then ends with its status.

`python -I -S foreground.py PROGRAM ARGUMENTS…`, a script of the standard library only. GNU make ends by any
signal it gets, whatever its recipe answered. So the command gets a process group of its own, and the
terminal: Ctrl-C reaches it alone, make waits, and ends with 0 when the command did.

Guarantee: a signal to make, to its process group or to this process (Ctrl-C where there is no terminal, `kill`,
a closed terminal) is passed on, and make does not end before the command has; when one of them is killed the
command is told to stop. make itself then ends by the signal it got: it has no other way.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
# After `nohup` a closed terminal is nobody's business.
HANGUP = set() if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else {signal.SIGHUP}
PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, *HANGUP}
LOOK_S = 0.25  # how often to look whether make got a signal that it keeps to itself


def main(arguments: list[str]) -> int:
    """Runs the command to its end. Returns its exit code, 128 and the signal when one ended it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
    make = os.getppid()
    die_with(make)
    with terminal() as tty:
        me = os.getpid()
        child = os.fork()
        if child == 0:
            become(arguments, me, tty)
        return watch(child, make, tty)


def watch(child: int, make: int, tty: int | None) -> int:
    """Waits for the command; passes on what is sent to us, and what make was sent alone."""
    alone = caught(make)  # a signal that make has caught before and does not catch now is one that it got
    while True:
        number = wait_for_signal()
        if number in PASSED_ON:
            pass_on(child, number)
        missed = alone - caught(make)
        alone -= missed
        for one in missed - {number}:
            pass_on(child, one)
        ended, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if ended and os.WIFSTOPPED(status):
            stop_with(child, tty)
        elif ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


@contextlib.contextmanager
def terminal() -> Iterator[int | None]:
    """The terminal, when we are in its foreground; it is ours again afterwards."""
    try:
        tty = os.open("/dev/tty", os.O_RDWR)
    except OSError:  # no terminal at all
        yield None
        return
    try:
        if os.tcgetpgrp(tty) != os.getpgrp():
            yield None
            return
        yield tty
        give(tty, os.getpgrp())
    finally:
        os.close(tty)


def give(tty: int, group: int) -> None:
    """Makes `group` the foreground of the terminal. Who is in the background has to ignore SIGTTOU for that."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the terminal was closed
        os.tcsetpgrp(tty, group)
    signal.signal(signal.SIGTTOU, before)


def become(arguments: list[str], parent: int, tty: int | None) -> None:
    """The child: a group of its own in the foreground, and then the command."""
    os.setpgid(0, 0)
    if tty is not None:
        give(tty, os.getpid())
    die_with(parent)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # a Ctrl-C by now ends it, without a trace
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(arguments[0], arguments)  # noqa: S606  # no shell is wanted
    except OSError as error:
        print(f"error: {arguments[0]}: {error}", file=sys.stderr, flush=True)
    os._exit(127)


def die_with(parent: int) -> None:
    """SIGTERM to this process when `parent` is gone, even after `kill -9`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(f"the starting process {parent} is gone")


def wait_for_signal() -> int:
    """The next signal to this process; 0 when there was none for a moment."""
    watched = {*PASSED_ON, signal.SIGCHLD}
    if sys.platform == "darwin":
        return signal.sigwait(watched)
    else:  # noqa: RET505  # the type checker knows one system at a time
        told = signal.sigtimedwait(watched, LOOK_S)
        return told.si_signo if told is not None else 0


def caught(process: int) -> set[int]:
    """Which of the signals that we pass on a process has handlers for. make takes a handler out when it runs it, and
    does not pass SIGINT on, since a terminal would have sent it to everybody."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # another system, or make is gone
        return set()
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return {int(number) for number in PASSED_ON if mask >> (number - 1) & 1}


def pass_on(child: int, number: int) -> None:
    """The command alone is told; it knows the order in which to stop what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)
        os.kill(child, signal.SIGCONT)  # one that is stopped could not hear it


def stop_with(child: int, tty: int | None) -> None:
    """Ctrl-Z stopped the command: stop make with it, so that the shell notices, and go on together."""
    if tty is None:
        return
    give(tty, os.getpgrp())
    os.killpg(0, signal.SIGSTOP)
    if os.tcgetpgrp(tty) == os.getpgrp():  # `fg`, not `bg`
        give(tty, child)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
