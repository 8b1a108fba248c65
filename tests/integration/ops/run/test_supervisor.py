"""The supervisor with real children: readiness, restarts with backoff, giving up, stopping in order."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.run.services.process import wait_for
from ops.run.services.valkey import Valkey
from ops.run.supervisor import EARLY_DEATHS_MAX, ChildFailed, ChildSpec, Supervisor, WrongSettings
from tests.harness.leftovers import tracked

READY = "from connectors.readiness import signal_ready; signal_ready()\n"
FOREVER = READY + "import signal; print('working', flush=True)\nwhile True: signal.pause()\n"
CRASH = "import sys; print('error: no such seat', flush=True); sys.exit(1)\n"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
TIMEOUT_S = 20.0

Make = Callable[..., Supervisor]


def child(name: str, code: str, **options: object) -> ChildSpec:
    return ChildSpec(name=name, command=[sys.executable, "-c", code], **options)  # type: ignore[arg-type]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Iterator[Make]:
    made: list[Supervisor] = []

    def make(*specs: ChildSpec, **options: object) -> Supervisor:
        supervisor = Supervisor(specs, env=os.environ, logs=tmp_path, say=said.append, **options)  # type: ignore[arg-type]
        made.append(supervisor)
        supervisor.start()
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()


def until(condition: Callable[[], object]) -> None:
    assert wait_for(lambda: bool(condition()), timeout_s=TIMEOUT_S) is None


def test_children_signal_readiness_and_log_into_a_file_each(make: Make, tmp_path: Path) -> None:
    supervisor = make(child("a", FOREVER), child("b", FOREVER))
    supervisor.wait_ready(TIMEOUT_S)
    assert set(supervisor.pids()) == {"a", "b"}
    until(lambda: (tmp_path / "b.log").read_text() == "working\n")


def test_a_killed_child_is_restarted_and_said_so(make: Make, said: list[str]) -> None:
    supervisor = make(child("a", FOREVER), child("b", FOREVER))
    supervisor.wait_ready(TIMEOUT_S)
    first, other = supervisor.pid("a"), supervisor.pid("b")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: "a is ready again" in said)
    assert supervisor.pid("a") not in (None, first)
    assert supervisor.pid("b") == other
    assert said[0].startswith("a was killed by SIGKILL; restarting in 0.2 s. Its last lines:")


def test_a_child_that_keeps_dying_ends_the_run_with_its_last_error(make: Make, said: list[str]) -> None:
    supervisor = make(child("a", CRASH), child("b", FOREVER))
    with pytest.raises(
        ChildFailed, match=rf"(?s)a ended with code 1 and keeps dying \({EARLY_DEATHS_MAX} deaths\).*no such seat"
    ):
        supervisor.wait_ready(TIMEOUT_S)
    waits = [text.partition("restarting in ")[2].partition(" s.")[0] for text in said]
    assert waits == ["0.2", "0.4", "0.8", "1.6"]
    supervisor.stop()
    assert supervisor.pids() == {}


def test_a_run_that_ends_while_it_is_waited_for_is_no_success(tmp_path: Path) -> None:
    supervisor = Supervisor([child("a", FOREVER)], env=os.environ, logs=tmp_path)

    class EndsNow(threading.Event):
        """The watcher gives up while it is asked whether it has ended."""

        def is_set(self) -> bool:
            supervisor.failure = ChildFailed("a keeps dying")
            return True

    supervisor.ended = EndsNow()
    with pytest.raises(ChildFailed, match="a keeps dying"):
        supervisor.wait_ready(TIMEOUT_S)


def test_a_child_that_had_worked_is_started_again_for_ever_and_the_others_go_on(make: Make, said: list[str]) -> None:
    supervisor = make(child("a", READY + CRASH), child("b", FOREVER))
    supervisor.wait_ready(TIMEOUT_S)
    until(lambda: len([text for text in said if "restarting in" in text]) > EARLY_DEATHS_MAX)
    assert supervisor.failure is None
    assert supervisor.pid("b") is not None


def test_a_wrong_setting_is_not_tried_again(make: Make, said: list[str]) -> None:
    supervisor = make(child("a", "import sys; print('error: CIRCLE_X: wrong'); sys.exit(2)"))
    with pytest.raises(WrongSettings, match="a: CIRCLE_X: wrong") as caught:
        supervisor.wait_ready(TIMEOUT_S)
    assert caught.value.exit_code == 2
    assert said == []


def test_a_child_that_is_never_ready_is_named(make: Make) -> None:
    supervisor = make(child("slow", "import time; print('loading', flush=True); time.sleep(60)"))
    with pytest.raises(ChildFailed, match=r"(?s)slow was not ready within 1 s.*loading"):
        supervisor.wait_ready(1.0)


def test_children_stop_in_the_order_of_their_ranks(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "order"
    told = (
        "import os, signal, sys\n"
        f"def end(*_): open({str(log)!r}, 'a').write(sys.argv[0] + os.environ['NAME'] + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n" + FOREVER
    )
    supervisor = make(
        child("dataflow", told, env={"NAME": "dataflow"}, stop_rank=1),
        child("api", told, env={"NAME": "api"}, stop_rank=0),
    )
    supervisor.wait_ready(TIMEOUT_S)
    supervisor.stop()
    assert log.read_text().replace("-c", "").split() == ["api", "dataflow"]


def test_a_child_that_ignores_sigterm_is_killed_with_what_it_started(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ops.run.supervisor.STOP_TIMEOUT_S", 0.5)
    family = "import subprocess, sys\nprint(subprocess.Popen(['sleep', '60']).pid, flush=True)\n" + STUBBORN
    supervisor = make(child("a", family))
    supervisor.wait_ready(TIMEOUT_S)
    until(lambda: "\n" in (tmp_path / "a.log").read_text())
    grandchild = int((tmp_path / "a.log").read_text().split()[0])
    supervisor.stop()
    assert supervisor.pids() == {}
    until(lambda: gone(grandchild))


def test_a_stopped_child_is_woken_to_stop(make: Make) -> None:
    supervisor = make(child("a", FOREVER))
    supervisor.wait_ready(TIMEOUT_S)
    pid = supervisor.pid("a")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    supervisor.stop()
    assert gone(pid)


def test_a_service_that_dies_is_started_again_on_its_port(make: Make, said: list[str]) -> None:
    with Valkey() as valkey:
        make(child("a", FOREVER), services=[valkey]).wait_ready(TIMEOUT_S)
        assert valkey.pid is not None
        os.kill(valkey.pid, signal.SIGKILL)
        until(lambda: "valkey is back" in said)
        assert valkey.running


def test_a_service_that_was_stopped_on_purpose_stays_stopped(make: Make, said: list[str]) -> None:
    with Valkey() as valkey:
        supervisor = make(child("a", FOREVER), services=[valkey])
        valkey.stop()
        supervisor.wait_ready(TIMEOUT_S)
        assert not valkey.running
        assert said == []


def test_no_child_survives_a_kill_of_the_supervisor(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from ops.run.supervisor import ChildSpec, Supervisor\n"
        f"spec = ChildSpec(name='a', command=[sys.executable, '-c', {FOREVER!r}])\n"
        f"supervisor = Supervisor([spec], env=os.environ, logs=pathlib.Path({str(tmp_path)!r}))\n"
        "supervisor.start(); supervisor.wait_ready(20); print(supervisor.pid('a'), flush=True); time.sleep(60)\n"
    )
    owner = tracked(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True))
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: gone(pid))


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True
