"""Logs: one line, structured, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from connectors import logs
from connectors.settings import LogFormat, Settings


@pytest.fixture(autouse=True)
def keep_the_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(log_format: LogFormat, **fields: object) -> str:
    stream = io.StringIO()
    logs.configure(Settings(log_format=log_format), stream=stream)
    logs.get("reservations").info("batch.committed", **fields)
    return stream.getvalue()


def test_a_record_is_one_line_of_pairs() -> None:
    line = written(LogFormat.KEYVALUE, partition=3, offset=812, note="two words\nand a line")
    assert line.count("\n") == 1
    assert 'info reservations action=batch.committed partition=3 offset=812 note="two words\\nand a line"' in line


def test_json_holds_the_same() -> None:
    record = json.loads(written(LogFormat.JSON, partition=3, topic="tickets.facts"))
    assert record["component"] == "reservations"
    assert (record["action"], record["partition"], record["topic"]) == ("batch.committed", 3, "tickets.facts")


@pytest.mark.parametrize("name", ["password", "access_token", "email", "Authorization", "payload"])
def test_what_looks_secret_is_masked(name: str) -> None:
    assert "ada@example.org" not in written(LogFormat.KEYVALUE, **{name: "ada@example.org"})


def test_a_long_value_is_cut() -> None:
    assert len(written(LogFormat.KEYVALUE, error="x" * 10_000)) < 1_000


def test_the_level_is_the_settings() -> None:
    stream = io.StringIO()
    logs.configure(Settings(log_level="error"), stream=stream)
    logs.get("api").warning("ignored")
    logs.get("api").error("heard")
    assert "ignored" not in stream.getvalue()
    assert "heard" in stream.getvalue()


def test_what_is_said_over_and_over_passes_once_in_a_while() -> None:
    seldom = logs.SeldomAgain(10.0)

    def passes(text: str, at: float) -> bool:
        record = logging.makeLogRecord({"msg": text, "created": at})
        return seldom.filter(record)

    assert passes("Connection refused (after 0ms in state CONNECT)", 100.0)
    assert not passes("Connection refused (after 1ms in state CONNECT)", 109.9)
    assert passes("another text", 109.9)
    assert passes("Connection refused (after 2ms in state CONNECT)", 110.0)


def test_an_exception_comes_with_its_traceback() -> None:
    stream = io.StringIO()
    logs.configure(Settings(log_format=LogFormat.JSON), stream=stream)
    try:
        raise ValueError("seat B-7 twice")
    except ValueError as error:
        logs.get("api").exception("process.failed", error)
    record = json.loads(stream.getvalue())
    assert record["error"] == "ValueError: seat B-7 twice"
    assert "test_logs.py" in record["traceback"]
