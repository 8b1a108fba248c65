"""Writes Sanic's own log messages to our log: one line, one action, no query strings (they may hold tickets)."""

from __future__ import annotations

import logging
import re
from asyncio import CancelledError

from sanic.exceptions import RequestCancelled

from connectors import logs

SANIC = "sanic"  # the parent of all its loggers
_QUERY = re.compile(r"\?\S+")

log = logs.get("api.server")


class SanicLog(logging.Handler):
    """Passes each record on. A disconnected client is logged at debug level."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: a record that cannot be formatted is written as its template."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        text = _QUERY.sub("?…", text)
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, CancelledError | RequestCancelled) or record.levelno < logging.WARNING:
            log.debug("server.said", text=text, logger=record.name)
        elif record.levelno < logging.ERROR:
            log.warning("server.trouble", text=text, logger=record.name)
        elif error is not None:
            log.exception("server.failed", error, text=text, logger=record.name)  # noqa: LOG004 - our log takes the error
        else:
            log.error("server.failed", text=text, logger=record.name)


def adopt() -> None:
    """Let Sanic's loggers write through ours. A second call changes nothing."""
    parent = logging.getLogger(SANIC)
    if not any(isinstance(handler, SanicLog) for handler in parent.handlers):
        parent.addHandler(SanicLog())
    parent.propagate = False
