"""The slim way of hot routes over real sockets: the same bytes, limits and ends of connections as Sanic's way."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sanic import HTTPResponse, Request
from sanic.headers import format_http1_response

from api.fairness import limits
from api.http import framing
from api.http.hot_route import COLD_FIELDS, HotPath, HotRequest, HotRoutes, has_plain_body, message
from api.http.routing import Access
from api.routes.table import ROUTES
from tests.harness.edge import Edge, edge, everything, statuses

ID = "8A7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
QUICK = {"head_s": 0.3, "request_s": 0.6, "response_s": 0.5, "keep_alive_s": 0.4, "send_grace_s": 0.4, "linger_s": 0.3}
LAST = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def post(kind: str, body: bytes = b"hello", *, fields: bytes = b"X-Thing: one\r\n") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return f"POST /hot/{ID}/{kind} HTTP/1.1\r\nHost: x\r\n".encode() + fields + length + b"\r\n" + body


class Ways:
    """Two edges with the same routes: on one of them hot requests take the slim way."""

    def __init__(self, slim: Edge, sanic: Edge) -> None:
        self.slim, self.sanic = slim, sanic

    def both(self, data: bytes) -> bytes:
        """What comes back, which is the same both ways."""
        slim, sanic = (alike(running.send(data)) for running in (self.slim, self.sanic))
        assert slim == sanic
        return slim


def alike(answers: bytes) -> bytes:
    """The answers without their second, and without a header that Sanic leaves out when it serves one HTTP version."""
    return re.sub(rb"\r\ndate: [^\r]+", b"", answers.replace(b"\r\nalt-svc: ", b""))


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    with edge(**QUICK) as slim, edge(hot=False, **QUICK) as sanic:
        yield Ways(slim, sanic)


# --- the same bytes


@pytest.mark.parametrize("kind", ["echo", "empty", "split", "fails", "asks", "hangs"])
def test_whatever_a_handler_does_the_answer_is_the_same_both_ways(ways: Ways, kind: str) -> None:
    """A body, none, a header with a line end, an error, a use of Sanic's request, no answer in time."""
    wanted = {"empty": 204, "fails": 500, "hangs": 503}.get(kind, 200)
    rest = [] if kind == "hangs" else [200]
    assert statuses(ways.both(post(kind) + LAST)) == [wanted, *rest]


def test_the_slim_way_is_taken_and_the_other_edge_does_not_take_it(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    handle = HotRoutes.find

    def noted(self: HotRoutes, head: framing.Head, bytes_max: int) -> Any:
        found = handle(self, head, bytes_max)
        if found is not None:
            taken.append(head.target)
        return found

    monkeypatch.setattr(HotRoutes, "find", noted)
    ways.both(post("echo") + LAST)
    assert taken == [f"/hot/{ID}/echo"]


def test_pipelined_requests_are_answered_in_order_both_ways(ways: Ways) -> None:
    data = post("echo", b"1") + post("empty") + LAST.replace(b"close", b"x") + post("echo", b"2") + post("echo", b"")
    answers = ways.both(data + LAST)
    assert statuses(answers) == [200, 204, 200, 200, 200, 200]
    assert [json.loads(one)["body"] for one in re.findall(rb"\{[^{}]*\}", answers)] == ["1", "", "2", "", ""]


@pytest.mark.parametrize("at_once", [1, 2, 50, 100])
def test_a_request_may_arrive_in_pieces(ways: Ways, at_once: int) -> None:
    data = post("echo", b"x" * 40) + post("echo", b"y") + LAST
    found = []
    for running in (ways.slim, ways.sanic):
        with running.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(data), at_once):
                connection.sendall(data[start : start + at_once])
            found.append(alike(everything(connection)))
    assert found[0] == found[1]
    assert statuses(found[0]) == [200, 200, 200]


def test_a_body_of_the_largest_size_is_accepted_and_a_larger_one_is_not(ways: Ways) -> None:
    assert statuses(ways.both(post("echo", b"x" * limits.BODY_BYTES_MAX) + LAST)) == [200, 200]
    assert statuses(ways.both(post("echo", b"x" * (limits.BODY_BYTES_MAX + 1)) + LAST)) == [413]


@pytest.mark.parametrize(
    "request_",
    [
        post("echo").replace(b"POST", b"PUT"),
        post("echo").replace(b"POST", b"post"),
        post("echo").replace(b"/echo", b"/echo/"),
        post("echo").replace(b"/echo", b"/echo?x"),
        post("echo").replace(b"/echo", b"/%65cho"),
        post("echo").replace(b"/hot", b"//hot"),
        post("echo").replace(ID.encode(), b"1"),
        post("echo").replace(ID.encode(), ID.encode() + b"0"),
        post("echo").replace(b"HTTP/1.1", b"HTTP/1.0"),
        post("echo", fields=b"Expect: 100-continue\r\n"),
        post("echo", fields=b"Upgrade: websocket\r\n"),
        post("echo").replace(
            b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        ),
    ],
)
def test_an_unusual_request_takes_sanics_way(ways: Ways, request_: bytes) -> None:
    """By the head alone: nothing of the request is read before that is known."""
    head = framing.head(request_.partition(b"\r\n\r\n")[0])
    assert ways.slim.app.ctx.hot.find(head, limits.BODY_BYTES_MAX) is None
    assert ways.slim.app.ctx.hot.find(framing.head(post("echo")[: -len(b"\r\n\r\nhello")]), limits.BODY_BYTES_MAX)
    ways.both(request_ + LAST)


# --- limits and clients that go away


def test_a_body_that_does_not_arrive_is_a_408_both_ways(ways: Ways) -> None:
    done = len(ways.slim.done)
    for running in (ways.slim, ways.sanic):
        started = time.monotonic()
        with running.connect() as connection:
            connection.sendall(post("echo", b"x" * 500)[:-1])
            answers = everything(connection)
        assert statuses(answers) == [408]
        assert b"connection: close" in answers
        assert QUICK["request_s"] - 0.1 < time.monotonic() - started < QUICK["request_s"] + 2
    assert ways.slim.done[done:] == []


def test_a_hot_connection_that_idles_is_closed_without_a_word(ways: Ways) -> None:
    started = time.monotonic()
    assert statuses(ways.both(post("echo"))) == [200]
    assert time.monotonic() - started > 2 * (QUICK["keep_alive_s"] - 0.1)


def test_a_client_that_does_not_read_its_answers_is_cut_off_before_it_gets_more() -> None:
    """The second answer waits until the first is read, and the third request until the second is sent."""
    for hot in (True, False):
        with edge(hot=hot, **QUICK, read_bytes_per_s=16_000_000) as quick, quick.connect(rcvbuf=4096) as connection:
            connection.sendall(post("large") * 3)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            deadline = time.monotonic() + 10
            while quick.app.ctx.connections.running:
                assert time.monotonic() < deadline, "the connection is still open"
                time.sleep(0.02)
            assert quick.done == [ID, ID]


@pytest.mark.parametrize("hot", [True, False])
def test_clients_that_go_away_leave_no_error_behind(caplog: pytest.LogCaptureFixture, hot: bool) -> None:
    caplog.set_level(logging.DEBUG)
    with edge(hot=hot) as running:
        for data in (post("hangs"), post("echo", b"x" * 500)[:-1], post("large"), post("echo")):
            for _ in range(5):
                with running.connect() as connection:
                    connection.sendall(data)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert statuses(running.send(post("echo") + LAST)) == [200, 200]
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(record.name, record.getMessage()) for record in loud] == []


@pytest.mark.parametrize("hot", [True, False])
def test_a_client_that_leaves_within_its_body_leaves_no_task_behind(hot: bool) -> None:
    """At once, not after the ten seconds in which a body may arrive."""
    with edge(hot=hot) as running:
        for body in (post("echo", b"x" * 500)[:-1], post("echo", fields=b"Expect: 100-continue\r\n")[:-1]):
            with running.connect() as connection:
                connection.sendall(body)
                while not asyncio.run_coroutine_threadsafe(_tasks(running), running.loop).result(5):
                    time.sleep(0.005)
        deadline = time.monotonic() + limits.REQUEST_TIMEOUT_S / 2
        while asyncio.run_coroutine_threadsafe(_tasks(running), running.loop).result(5):
            assert time.monotonic() < deadline
            time.sleep(0.01)


async def _tasks(running: Edge) -> int:
    """How many connections have a task."""
    return sum("connection_task" in repr(task.get_coro()) for task in asyncio.all_tasks(running.loop))


def test_an_error_after_its_client_has_left_is_logged_the_same_both_ways(caplog: pytest.LogCaptureFixture) -> None:
    found = []
    for hot in (True, False):
        caplog.clear()
        with caplog.at_level(logging.DEBUG), edge(hot=hot) as running:
            with running.connect() as connection:
                connection.sendall(post("stubborn"))
                while not running.done:
                    time.sleep(0.005)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            while running.app.ctx.connections.running:
                time.sleep(0.005)
        ours = [record for record in caplog.records if record.name == "circle.api.http" or record.name == "circle.api"]
        found.append([(record.levelname, record.getMessage()) for record in ours])
    assert found[0] == found[1]
    assert found[0], "the cut connection is logged"


# --- the parts


def test_hot_routes_need_a_user_and_have_ids_in_their_paths() -> None:
    hot = [route for route in ROUTES if route.hot]
    assert [route.name for route in hot] == [
        "POST /v1/events/<event_id>/reservations",
        "POST /v1/reservations/<reservation_id>/confirm",
    ]
    for route in hot:
        assert route.access is Access.USER
        assert not route.cacheable
        assert route.media_type == "application/json"
        assert all(name.endswith("_id") for name in re.findall(r"<(\w+)>", route.path))


def test_each_cold_field_sends_a_request_sanics_way() -> None:
    async def handle(request: Request) -> HTTPResponse:
        raise AssertionError

    routes = HotRoutes([HotPath("POST", "/x", handle)])
    plain = "POST /x HTTP/1.1\r\nHost: x"
    assert routes.find(framing.head(plain.encode()), 10) == (handle, {})
    for name in COLD_FIELDS:
        value = "chunked" if name == "transfer-encoding" else "x"
        assert routes.find(framing.head(f"{plain}\r\n{name.title()}: {value}".encode()), 10) is None
    assert routes.find(framing.head(f"{plain}\r\nContent-Length: 10".encode()), 10) is not None
    assert routes.find(framing.head(f"{plain}\r\nContent-Length: 11".encode()), 10) is None


def test_a_hot_request_is_completed_when_somebody_asks_for_more() -> None:
    async def handle(request: Request) -> HTTPResponse:
        raise AssertionError

    data = b"POST /x?a=b HTTP/1.1\r\nHost: x\r\nCookie: c=d\r\nX: 1\r\nX: 2"
    head = framing.head(data)
    request = HotRequest(head, data, app=None, transport=None, handle=handle, parameters={})
    request.body = b"kept"
    request.stream = None
    whole = Request(
        url_bytes=b"/x?a=b", headers=request.headers, version="1.1", method="POST", transport=None, app=None, head=data
    )
    for name in ("path", "query_string", "args", "cookies", "ip", "responded", "route", "match_info"):
        assert getattr(request, name) == getattr(whole, name), name
    assert request.headers.getall("x") == ["1", "2"]
    assert request.body == b"kept"
    with pytest.raises(AttributeError):
        _ = request.nothing


@pytest.mark.parametrize(
    "headers",
    [{}, {"location": "/v1/é"}, {"x": "a\r\nb: c"}, {"x": "a\0b"}, {"content-type": "text/x"}, {"a": "1", "A": "2"}],
)
@pytest.mark.parametrize("status", [200, 201, 402, 404, 409, 422, 429, 500, 503])
def test_a_message_has_the_bytes_that_sanic_writes(headers: dict[str, str], status: int) -> None:
    made = HTTPResponse(b"{}", status, headers, content_type="application/json")
    assert has_plain_body(made)
    found = message(made, keep_alive=True)
    sanics = HTTPResponse(b"{}", status, headers, content_type="application/json")
    sanics.headers["content-length"] = "2"
    sanics.headers["connection"] = "keep-alive"
    assert found == format_http1_response(status, sanics.processed_headers) + b"{}"


def test_an_answer_without_a_body_is_left_to_sanic() -> None:
    assert not has_plain_body(None)
    assert not has_plain_body(HTTPResponse(status=204))
    assert not has_plain_body(HTTPResponse(b"", 200))


def test_a_connection_with_a_hot_request_is_not_idle_for_a_stop_and_one_without_is_closed() -> None:
    """A connection with a request is not idle for Sanic's shutdown, and an idle one is."""
    with edge(response_s=5.0) as running, running.connect() as busy, running.connect() as idle:
        busy.sendall(post("hangs"))
        idle.sendall(post("echo"))
        assert statuses(idle.recv(65_536)) == [200]
        while len(running.done) < 2:
            time.sleep(0.005)
        stopped = asyncio.run_coroutine_threadsafe(_close_idle(running), running.loop).result(5)
        assert stopped == [False, True]
        assert everything(idle) == b""


async def _close_idle(running: Edge) -> list[bool]:
    return sorted(connection.close_if_idle() for connection in list(running.server.connections))
