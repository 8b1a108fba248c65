"""The readiness signal: one line into the supervisor's pipe, and nothing without one."""

import os

import pytest

from connectors.readiness import READY_FD_VARIABLE, signal_ready


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FD_VARIABLE, raising=False)
    signal_ready()
    assert READY_FD_VARIABLE not in os.environ


def test_the_supervisor_reads_one_line_and_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    monkeypatch.setenv(READY_FD_VARIABLE, str(write))
    signal_ready("partitions 0-7\nand more")
    signal_ready("again")
    assert os.read(read, 100) == b"partitions 0-7\n"
    assert os.read(read, 100) == b""
    os.close(read)


def test_a_supervisor_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setenv(READY_FD_VARIABLE, str(write))
    signal_ready()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(write)
