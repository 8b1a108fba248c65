"""Runs the command of a make recipe, so that Ctrl-C ends the command and not make. `make run` ends with its status.

`python -I -S foreground.py PROGRAM ARGUMENTS…`, a script that needs only the standard library. GNU make ends by each
signal that it gets, even if the recipe succeeds. So the command gets its own process group and the terminal. Ctrl-C
reaches only the command; make waits, and ends with 0 when the command does.

Guarantee: a signal to make, to its process group or to this process is passed on to the command (Ctrl-C without a
terminal, `kill`, a closed terminal). make does not end before the command. When make or this process is killed, the
command gets a signal to stop. make itself then ends by the signal that it got: it has no other way.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

PR_SET_PDEATHSIG = 1
# After `nohup` a closed terminal changes nothing.
HANGUP = set() if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else {signal.SIGHUP}
PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, *HANGUP}
LOOK_S = 0.25  # how often to check whether make got a signal that it does not pass on


def main(arguments: list[str]) -> int:
    """Runs the command to its end. Returns its exit code, or 128 plus the signal that ended it."""
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
    """Waits for the command. Passes on each signal to this process, and each signal to make only."""
    alone = caught(make)  # make got a signal when it had a handler for it before, and has none now
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
    """The terminal, when this process is in its foreground. Takes it back at the end."""
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
    """Makes `group` the foreground of the terminal. A process in the background must ignore SIGTTOU for this."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the terminal was closed
        os.tcsetpgrp(tty, group)
    signal.signal(signal.SIGTTOU, before)


def become(arguments: list[str], parent: int, tty: int | None) -> None:
    """The child process: makes its own group the foreground, and becomes the command."""
    os.setpgid(0, 0)
    if tty is not None:
        give(tty, os.getpid())
    die_with(parent)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # a Ctrl-C at this moment ends it silently
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
    """The next signal to this process, or 0 after a moment without one."""
    watched = {*PASSED_ON, signal.SIGCHLD}
    if sys.platform == "darwin":
        return signal.sigwait(watched)
    else:  # noqa: RET505  # the type checker knows one system at a time
        info = signal.sigtimedwait(watched, LOOK_S)
        return info.si_signo if info is not None else 0


def caught(process: int) -> set[int]:
    """The signals with a handler in a process, of those that we pass on.

    make removes a handler when it runs it. It does not pass SIGINT on, because a terminal sends it to the whole group.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # another system, or make is gone
        return set()
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return {int(number) for number in PASSED_ON if mask >> (number - 1) & 1}


def pass_on(child: int, number: int) -> None:
    """Sends the signal only to the command, which knows the order in which to stop its own processes."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)
        os.kill(child, signal.SIGCONT)  # a stopped process does not react to the signal


def stop_with(child: int, tty: int | None) -> None:
    """Ctrl-Z stopped the command. Stops make, too, so that the shell notices; both continue together."""
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
