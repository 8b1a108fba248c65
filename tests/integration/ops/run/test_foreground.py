"""The end of `make run`: a real make in a real terminal, real process groups and signals, a light command."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.run.services.process import wait_for
from tests.harness.terminals import CTRL_C, CTRL_Z, Session

FOREGROUND = Path(__file__).parents[4] / "ops" / "run" / "foreground.py"
TIMEOUT_S = 20.0
# Stops in order: it needs a moment, and says when it is done. Its signals are blocked, so that none comes too early.
ORDERLY = """
import signal, sys, time
signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
print(f"told {signal.Signals(signal.sigwait(signals)).name}", flush=True)
time.sleep(0.2)
print("stopped", flush=True)
sys.exit(int(sys.argv[1]))
"""
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


class Made(Session):
    """`make` with one recipe."""

    def __init__(self, directory: Path, *, terminal: bool, code: int = 0, nohup: bool = False) -> None:
        (directory / "orderly.py").write_text(ORDERLY)
        (directory / "Makefile").write_text(
            "SHELL := /bin/bash\n.PHONY: run\nrun:\n"
            f"\t@exec {sys.executable} -I -S {FOREGROUND} {sys.executable} orderly.py {code}\n"
        )
        super().__init__(("make", "run"), cwd=directory, terminal=terminal, nohup=nohup)
        self.until(b"ready", TIMEOUT_S)
        self.processes = psutil.Process(self.pid).children(recursive=True)

    def status(self) -> int:
        """How make ended, negative for a signal. Nothing that it started may be there any more."""
        code = self.wait(TIMEOUT_S)
        assert wait_for(lambda: not any(one.is_running() for one in self.processes), timeout_s=TIMEOUT_S) is None
        return code

    def close(self) -> None:
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        super().close()


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Made]:
    one = Made(tmp_path, **request.param)
    yield one
    one.close()


in_terminal = pytest.mark.parametrize("made", [{"terminal": True}], indirect=True)
without_terminal = pytest.mark.parametrize("made", [{"terminal": False}], indirect=True)


@in_terminal
def test_ctrl_c_in_a_terminal_ends_make_with_0(made: Made) -> None:
    made.type(CTRL_C)
    assert made.status() == 0
    assert b"told SIGINT" in made.printed
    assert b"stopped" in made.printed
    assert b"make:" not in made.printed


@pytest.mark.parametrize("made", [{"terminal": True, "code": 3}], indirect=True)
def test_what_the_command_ends_with_is_what_make_reports(made: Made) -> None:
    made.type(CTRL_C)
    assert made.status() == 2, "make's own code for a recipe that failed"
    assert b"Error 3" in made.printed


@without_terminal
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_command_ends_make_with_0(made: Made, number: signal.Signals) -> None:
    made.processes[-1].send_signal(number)
    assert made.status() == 0, made.printed


@without_terminal
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("to_the_group", [False, True])
def test_a_signal_to_make_ends_the_command_in_order_before_make(
    made: Made, number: signal.Signals, to_the_group: bool
) -> None:
    (os.killpg if to_the_group else os.kill)(made.pid, number)
    assert made.status() == -number, "GNU make ends by the signal, whatever its recipe answered"
    assert made.printed.index(b"told") < made.printed.index(b"stopped")


@pytest.mark.parametrize("made", [{"terminal": False, "nohup": True}], indirect=True)
def test_after_nohup_a_closed_terminal_ends_nothing(made: Made) -> None:
    os.killpg(made.pid, signal.SIGHUP)
    made.processes[-1].send_signal(signal.SIGTERM)
    assert made.status() == 0
    assert b"told SIGTERM" in made.printed


@without_terminal
@pytest.mark.parametrize("who", ["make", "the script"])
def test_a_kill_leaves_nothing_behind(made: Made, who: str) -> None:
    if who == "make":
        os.kill(made.pid, signal.SIGKILL)
    else:
        made.processes[0].kill()
    made.until(b"stopped", TIMEOUT_S)
    assert made.status() != 0


@in_terminal
def test_ctrl_z_stops_make_too_and_it_goes_on_together(made: Made) -> None:
    made.type(CTRL_Z)
    assert os.WIFSTOPPED(os.waitpid(made.pid, os.WUNTRACED)[1])
    os.killpg(made.pid, signal.SIGCONT)
    command = made.processes[-1]
    assert wait_for(lambda: command.status() != psutil.STATUS_STOPPED, timeout_s=TIMEOUT_S) is None
    made.type(CTRL_C)
    assert made.status() == 0
