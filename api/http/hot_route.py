"""The slim way of hot routes: from a request's head to its answer without Sanic's router, handler loop and formatter.

`Route.hot` in `api.routes.table` says which routes are hot. A request takes the slim way only if its head is plain: the
route's method, its path with ids that are UUIDs and without a query, HTTP/1.1, a body that has a length within the
limit, and none of `COLD_FIELDS`. Every other request takes Sanic's way, and nothing has been consumed before.

Guarantee: both ways give the same bytes. They share the parser, the handler with its checks and limits, the metrics,
the connection's stages and time limits, and the flow control. An error that the handler does not answer takes Sanic's
way too. `tests/e2e/test_hot_route.py` sends the same requests both ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple

from sanic import HTTPResponse, Request
from sanic.compat import Header
from sanic.headers import format_http1_response

from api.http.framing import CHUNKED, Head

Handle = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]

COLD_FIELDS = frozenset({"expect", "transfer-encoding", "upgrade"})  # they change how a message is read or answered
_ID = r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_PARAMETER = re.compile(r"<(\w+)>")
_STATUS_LINES = {status: format_http1_response(status, ())[:-2].decode("ascii") for status in range(200, 600)}


class HotPath(NamedTuple):
    """A hot route: its method, its path as in the table, and its bound handler."""

    method: str
    path: str
    handle: Handle


class HotRequest(Request):
    """A request of Sanic's that fills in a field when it is read.

    Our handlers read headers, body, method and address. The first use of anything else completes the object.
    """

    __slots__ = ("handle", "parameters")

    def __init__(  # completed by __getattr__
        self, head: Head, data: bytes, *, app: Any, transport: Any, handle: Handle, parameters: dict[str, str]
    ) -> None:
        self.headers = Header(head.fields)
        self.method, self.version, self.head = head.method, head.version, data
        self.raw_url = head.target.encode("ascii")
        self.app, self.transport = app, transport
        self.body = b""
        self.handle, self.parameters = handle, parameters

    def __getattr__(self, name: str) -> Any:
        """Called for a slot that is not filled in yet: fills in all of them, and keeps the ones that are."""
        if name not in Request.__slots__:
            raise AttributeError(name)
        kept = {one: getattr(self, one) for one in ("body", "stream", "conn_info") if _is_filled(self, one)}
        Request.__init__(
            self,
            url_bytes=self.raw_url,
            headers=self.headers,
            version=self.version,
            method=self.method,
            transport=self.transport,
            app=self.app,
            head=self.head,
        )
        for one, value in kept.items():
            setattr(self, one, value)
        self._match_info = self.parameters
        return object.__getattribute__(self, name)


class HotRoutes:
    """The hot routes of an application."""

    def __init__(self, routes: Iterable[HotPath]) -> None:
        self._routes: list[tuple[str, Callable[[str], re.Match[str] | None], Handle]] = [
            (route.method, re.compile(_PARAMETER.sub(rf"(?P<\1>{_ID})", route.path)).fullmatch, route.handle)
            for route in routes
        ]

    def find(self, head: Head, bytes_max: int) -> tuple[Handle, dict[str, str]] | None:
        """The handler and the ids of a request that may take the slim way; None for any other request."""
        method, target = head.method, head.target
        for hot_method, matches, handle in self._routes:
            if method == hot_method and (match := matches(target)) is not None:
                if head.version != "1.1" or head.length == CHUNKED or head.length > bytes_max:
                    return None
                if not COLD_FIELDS.isdisjoint([name for name, _ in head.fields]):
                    return None
                return handle, match.groupdict()
        return None


def has_plain_body(response: HTTPResponse | None) -> bool:
    """Whether the answer is one that `message` can write: with a body, all of it there, and no length of its own."""
    return response is not None and bool(response.body) and response.status in _STATUS_LINES


def message(response: HTTPResponse, *, keep_alive: bool) -> bytes:
    """The bytes of a whole answer, as Sanic writes them. Adds the last headers to `response.headers`."""
    body, headers = response.body, response.headers
    assert body is not None
    headers["content-length"] = str(len(body))
    headers["connection"] = "keep-alive" if keep_alive else "close"
    if "content-type" not in headers and response.content_type is not None:
        headers["content-type"] = response.content_type
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\r") != len(headers) or lines.count("\n") != len(headers) or "\0" in lines:
        return format_http1_response(response.status, response.processed_headers) + body  # removes these characters
    return f"{_STATUS_LINES[response.status]}{lines}\r\n".encode("utf-8", "surrogateescape") + body


def _is_filled(request: Request, slot: str) -> bool:
    try:
        object.__getattribute__(request, slot)
    except AttributeError:
        return False
    return True
