"""Cross-origin requests (the Fetch standard), allowed by exact origin. Off unless CIRCLE_CORS_ORIGINS names origins.

Credentials are tokens in a header that a page sends on purpose. The API uses no cookies, so it never allows any.
"""

from __future__ import annotations

from collections.abc import Iterable

from sanic import HTTPResponse, Request
from sanic.compat import Header

MAX_AGE_S = 600  # browsers ask again after ten minutes at most, even for a higher value
ALLOWED = "authorization, content-type, idempotency-key, if-none-match, last-event-id, prefer, traceparent"
EXPOSED = (
    "circle-receipt, content-disposition, date, etag, idempotency-replayed, location, preference-applied, retry-after, "
    "www-authenticate"
)


class Cors:
    """The origins whose pages may read answers."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def answer(self, origin: str | None, headers: Header) -> None:
        """Let a page of an allowed origin read the answer. Every answer says in Vary that it depends on the origin."""
        vary(headers, "origin")
        if origin in self._origins:
            headers["access-control-allow-origin"] = origin
            headers["access-control-expose-headers"] = EXPOSED

    def preflight(self, request: Request, methods: str) -> HTTPResponse | None:
        """The answer to a browser's preflight request; None for any other request."""
        if request.method != "OPTIONS" or "access-control-request-method" not in request.headers:
            return None
        headers = {"vary": "origin, access-control-request-method, access-control-request-headers"}
        if request.headers.get("origin") in self._origins:
            headers |= {
                "access-control-allow-methods": methods,
                "access-control-allow-headers": ALLOWED,
                "access-control-max-age": str(MAX_AGE_S),
            }
        return HTTPResponse(status=204, headers=headers)


def vary(headers: Header, name: str) -> None:
    """Adds a name to Vary, once."""
    known = headers.get("vary")
    if known is None:
        headers["vary"] = name
    elif name not in [one.strip().lower() for one in known.split(",")]:
        headers["vary"] = f"{known}, {name}"
