"""An engine of our own ends after the last process that uses it. `docker` and `dockerd` are scripts here."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ops.containers import engine as engines
from ops.run.services.process import wait_for

WAIT_S = 20.0
DOCKER = """#!/bin/sh
test -e "${DOCKER_HOST#unix://}"
"""
DOCKERD = """#!/bin/sh
socket="${2#unix://}"
trap 'rm "$socket"; exit 0' TERM INT
touch "$socket"
while :; do sleep 0.1; done
"""


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an engine, on which root can start one."""
    for name, text in (("docker", DOCKER), ("dockerd", DOCKERD)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CIRCLE_ENGINE_DIR", str(tmp_path / "engine"))
    monkeypatch.setattr(engines, "why_none", lambda: None)
    monkeypatch.delenv(engines.HOST, raising=False)


def answers() -> bool:
    return engines.engine_answers(engines.socket_in(engines.engine_dir()))


def test_an_engine_of_our_own_ends_with_its_block() -> None:
    with engines.running() as engine:
        assert engines.engine_answers(engine.host)
    assert not answers()


def test_it_outlives_its_block_for_another_user(capfd: pytest.CaptureFixture[str]) -> None:
    started, enough = threading.Event(), threading.Event()

    def start() -> None:
        with engines.running():
            started.set()
            assert enough.wait(WAIT_S)

    starter = threading.Thread(target=start)
    starter.start()
    assert started.wait(WAIT_S)
    with engines.running() as engine:
        enough.set()
        assert wait_for(lambda: "ends after that one" in capfd.readouterr().err, timeout_s=WAIT_S) is None
        assert engines.engine_answers(engine.host)
    starter.join(WAIT_S)
    assert not starter.is_alive()
    assert not answers()
    with engines.running() as again:
        assert engines.engine_answers(again.host), "the next one starts its own"
