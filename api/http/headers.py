"""The headers of every answer: its time, `nosniff`, and which caches may keep it."""

from __future__ import annotations

from email.utils import formatdate
from time import time

from sanic.compat import Header

NO_STORE = "no-store"
_date = (0, "")


def http_date() -> str:
    """The current time as HTTP writes it (RFC 9110, section 5.6.7). Formatted once a second."""
    global _date
    now = int(time())
    if now != _date[0]:
        _date = now, formatdate(now, usegmt=True)
    return _date[1]


def complete(headers: Header, content_type: str | None) -> None:
    """Adds the headers that the handler has not set: `Date`, `nosniff`, and that no cache keeps JSON."""
    headers["date"] = http_date()
    headers["x-content-type-options"] = "nosniff"
    if content_type is not None and "json" in content_type and "cache-control" not in headers:
        headers["cache-control"] = NO_STORE
