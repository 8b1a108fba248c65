"""Each line of Sanic becomes one line of ours, exactly once, and no secret of a query string is in it."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from collections.abc import Iterator

import pytest

from api.http import sanic_log


@pytest.fixture
def adopted() -> Iterator[logging.Logger]:
    parent = logging.getLogger(sanic_log.SANIC)
    before = parent.handlers[:], parent.propagate
    sanic_log.adopt()
    sanic_log.adopt()
    yield logging.getLogger("sanic.error")
    parent.handlers[:], parent.propagate = before


def test_each_record_is_one_fact_without_query_strings(
    adopted: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "circle.api.server")
    adopted.error("GET %s failed", "/v1/notifications/stream?ticket=secret-ticket")
    adopted.warning("beware")
    for error in (ValueError("broken"), CancelledError()):
        try:
            raise error
        except (ValueError, CancelledError):
            adopted.exception("uncaught")
    ours = [record for record in caplog.records if record.name == "circle.api.server"]
    lines = [(record.levelname, record.getMessage(), record.__dict__["fields"]["text"]) for record in ours]
    assert lines == [
        ("ERROR", "server.failed", "GET /v1/notifications/stream?… failed"),
        ("WARNING", "server.trouble", "beware"),
        ("ERROR", "server.failed", "uncaught"),
        ("DEBUG", "server.said", "uncaught"),
    ]
    assert ours[2].exc_info
