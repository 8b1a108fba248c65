"""The edge over real sockets: ambiguous requests end the connection, limits are totals, every client gets an answer."""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from api.fairness import limits
from api.http.protocol import EdgeLimits
from tests.harness.edge import Edge, document, edge, everything, one_answer, statuses

POST = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
HIDDEN = b"POST /echo?hidden HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
LAST = b"GET /echo?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
QUICK = {"head_s": 0.3, "request_s": 0.6, "response_s": 0.5, "keep_alive_s": 0.4, "send_grace_s": 0.4, "linger_s": 0.3}
LATE_S = 2.0  # on a busy machine


@pytest.fixture(scope="module")
def calm() -> Iterator[Edge]:
    with edge() as running:
        yield running


@pytest.fixture(scope="module")
def quick() -> Iterator[Edge]:
    """An edge with limits below a second."""
    with edge(**QUICK) as running:
        yield running


# --- framing


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length : 5\r\n\r\n" + HIDDEN,
        POST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN,
        POST + b"Content-Length: +0\r\n\r\n" + HIDDEN,
        POST + b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
        POST + b"Content-Length: 0, 0\r\n\r\n" + HIDDEN,
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: identity\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        POST + b"X: y\n\r\n" + HIDDEN,
        POST + b"X: y\rZ: a\r\n\r\n" + HIDDEN,
        POST + b"X: y\x00\r\n\r\n" + HIDDEN,
        POST + b"X: y\r\n folded\r\n\r\n" + HIDDEN,
        POST + b"Host: y\r\n\r\n" + HIDDEN,
        POST.replace(b"\r\n", b"\n") + b"\n" + HIDDEN,
        b"POST /echo HTTP/1.1\r\n\r\n" + HIDDEN,
        b"POST http://x/echo HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
        b"GET  /echo HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
        b"GET /echo\r\n\r\n" + HIDDEN,
        b"GET /echo HTTP/1.2\r\nHost: x\r\n\r\n" + HIDDEN,
        b"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5;\nhello\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 9_000 + b"\r\nhello\r\n0\r\n\r\n" + HIDDEN,
        POST
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"1;extension=000000000000000000\r\na\r\n" * 99
        + b"0\r\n\r\n"
        + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: " + b"y" * 2_000 + b"\r\n\r\n" + HIDDEN,
    ],
)
def test_a_doubtful_request_is_refused_and_what_hides_behind_it_is_never_done(calm: Edge, request_: bytes) -> None:
    done = len(calm.done)
    answers = calm.send(request_)
    assert statuses(answers) == [400], answers
    assert document(answers)["type"] == "/problems/malformed-request"
    assert b"\r\nconnection: close\r\n" in answers.lower()
    assert calm.done[done:] == []


def test_a_bare_line_feed_is_refused_before_the_head_ends(calm: Edge) -> None:
    assert statuses(calm.send(b"GET /echo HTTP/1.1\nHost: x\n")) == [400]


def test_a_head_may_arrive_byte_by_byte(calm: Edge) -> None:
    with calm.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST:
            connection.sendall(bytes([byte]))
        assert statuses(everything(connection)) == [200]


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 5\r\n\r\nhello",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\nhe\r\n00000003\r\nllo\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0;last\r\nX-Checksum: 1\r\n\r\n",
        b"\r\n" + POST + b"content-length:  5 \r\n\r\nhello",
    ],
)
def test_good_requests_follow_each_other_on_one_connection(calm: Edge, request_: bytes) -> None:
    done = len(calm.done)
    assert statuses(calm.send(request_ * 3 + LAST)) == [200] * 4
    assert calm.done[done:] == ["/echo"] * 3 + ["/echo?last"]
    with calm.connect() as connection:
        for start in range(0, len(request_), 7):
            connection.sendall(request_[start : start + 7])
        connection.sendall(LAST)
        answers = everything(connection)
        assert statuses(answers) == [200, 200]
        assert b'"body":"hello"' in answers


def test_a_body_that_nobody_wanted_is_read_and_not_taken_for_a_request(calm: Edge) -> None:
    done = len(calm.done)
    request = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN)
    assert statuses(calm.send(request + HIDDEN + LAST)) == [404, 200]
    chunked = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n"
    assert statuses(calm.send(chunked + HIDDEN)) == [404]
    assert calm.done[done:] == ["/echo?last"]


def test_a_large_head_or_body_is_told_so_although_the_client_still_sends(calm: Edge) -> None:
    answers = calm.send(b"GET /echo HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 300_000)
    assert statuses(answers) == [431]
    answers = calm.send(POST + b"Content-Length: 9000000\r\n\r\n" + b"y" * 2_000_000)
    assert statuses(answers) == [413]
    answers = calm.send(
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"y" * 4096 + b"\r\n1FFFF\r\n" + b"y" * 90_000
    )
    assert statuses(answers) == [413]
    answers = calm.send(b"GET /echo HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * limits.HEADER_LINES_MAX + b"\r\n")
    assert statuses(answers) == [431]


def test_whoever_asks_before_sending_a_body_is_told_to_go_on_or_not(calm: Edge) -> None:
    with calm.connect() as connection:
        connection.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello" + LAST)
        assert statuses(everything(connection)) == [200, 200]
    answers = calm.send(POST + b"Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n")
    assert statuses(answers)[-1] == 413
    assert statuses(calm.send(POST + b"Expect: tea\r\nContent-Length: 5\r\n\r\n")) == [417]


# --- HEAD, Date


@pytest.mark.parametrize("path", [b"/echo", b"/large/100000", b"/stream"])
def test_head_is_answered_as_get_without_the_body(calm: Edge, path: bytes) -> None:
    answers = calm.send(b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" + LAST.replace(b"GET", b"HEAD"))
    first, _, rest = answers.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n"), "nothing of a body, and the next answer"
    if path == b"/large/100000":
        assert b"content-length: 100000" in first


@pytest.mark.parametrize(
    "request_", [LAST, b"nonsense\r\n\r\n", b"GET /nowhere HTTP/1.0\r\n\r\n", LAST.replace(b"GET", b"PUT")]
)
def test_every_answer_has_a_date_and_a_type_to_be_believed(calm: Edge, request_: bytes) -> None:
    head = calm.send(request_).partition(b"\r\n\r\n")[0].decode()
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    assert abs(parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < 5
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


# --- limits in time


def trickle(
    connection: socket.socket, data: bytes, *, pause_s: float = 0.05, patience_s: float = 5.0
) -> tuple[bytes, float]:
    """Sends one byte after another. Returns the answer, and the seconds until the server ended it."""
    started = time.monotonic()
    connection.settimeout(pause_s)
    sent = 0
    while time.monotonic() - started < patience_s:
        try:
            found = connection.recv(65_536)
            connection.settimeout(5)
            return found + everything(connection), time.monotonic() - started
        except TimeoutError:
            connection.sendall(data[sent % len(data) : sent % len(data) + 1])
            sent += 1
    raise AssertionError("the server still listens")


def test_a_head_that_trickles_has_a_total_limit(quick: Edge) -> None:
    with quick.connect() as connection:
        connection.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\nX: ")
        answer, seconds = trickle(connection, b"y")
    assert statuses(answer) == [408]
    assert document(answer)["type"] == "/problems/request-timeout"
    assert b"connection: close" in answer
    assert QUICK["head_s"] - 0.1 < seconds < QUICK["head_s"] + LATE_S


@pytest.mark.parametrize(
    "body", [(b"Content-Length: 500\r\n\r\n", b"y"), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n")]
)
def test_a_body_that_trickles_has_a_total_limit(quick: Edge, body: tuple[bytes, bytes]) -> None:
    with quick.connect() as connection:
        connection.sendall(POST + body[0])
        answer, seconds = trickle(connection, body[1])
    assert statuses(answer) == [408]
    assert QUICK["request_s"] - 0.1 < seconds < QUICK["request_s"] + LATE_S


def test_a_body_that_trickles_behind_its_answer_is_not_waited_for(quick: Edge) -> None:
    with quick.connect() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n")
        assert statuses(connection.recv(65_536)) == [404]
        _, seconds = trickle(connection, b"y")
    assert seconds < QUICK["request_s"] + LATE_S


@pytest.mark.parametrize("first", [b"", b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_an_idle_connection_is_closed_without_a_word(quick: Edge, first: bytes) -> None:
    started = time.monotonic()
    answers = quick.send(first)
    assert statuses(answers) == ([200] if first else [])
    assert QUICK["keep_alive_s"] - 0.1 < time.monotonic() - started < QUICK["keep_alive_s"] + LATE_S


def test_a_connection_may_be_used_longer_than_it_may_idle(quick: Edge) -> None:
    with quick.connect() as connection:
        for _ in range(6):
            connection.sendall(b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n")
            assert statuses(connection.recv(65_536)) == [200]
            time.sleep(QUICK["keep_alive_s"] / 3)  # the client's own pace


def test_a_handler_that_hangs_is_a_503(quick: Edge) -> None:
    answers = quick.send(b"GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(answers) == [503]
    assert b"retry-after" in answers


@pytest.mark.parametrize("target", [b"/large/8000000", b"/stream"])
def test_whoever_does_not_read_is_cut_off(target: bytes) -> None:
    with edge(**QUICK, read_bytes_per_s=16_000_000) as quick, quick.connect(rcvbuf=4096) as connection:
        started = time.monotonic()
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        while quick.app.ctx.edge and _open_connections(quick):
            assert time.monotonic() - started < 8
            time.sleep(0.02)
        assert time.monotonic() - started > QUICK["send_grace_s"] - 0.1


def test_a_slow_reader_who_keeps_to_the_least_speed_gets_everything() -> None:
    """It takes longer than an idle connection lives, and than every limit except the answer's own."""
    size = 2_000_000
    with edge(**QUICK, read_bytes_per_s=1_000_000) as quick, quick.connect(rcvbuf=65_536) as connection:
        connection.sendall(b"GET /large/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % size)
        found, started = b"", time.monotonic()
        while chunk := connection.recv(20_000):
            found += chunk
            time.sleep(max(0.0, len(found) / 1_400_000 - (time.monotonic() - started)))
    assert len(found.partition(b"\r\n\r\n")[2]) == size
    assert time.monotonic() - started > QUICK["keep_alive_s"] + QUICK["send_grace_s"]


def _open_connections(running: Edge) -> int:
    """The server's open connections, by the kernel's table of this process, so that the test needs no internals of
    Sanic."""
    text = Path("/proc/net/tcp").read_text().split("\n")[1:]
    port = f":{running.port:04X}"
    return sum(1 for line in text if line and line.split()[1].endswith(port) and line.split()[3] == "01")


# --- clients that go away


def cut(running: Edge, data: bytes, *, read: int = 0) -> None:
    """Sends, reads some bytes, and resets the connection."""
    with running.connect() as connection:
        connection.sendall(data)
        if read:
            connection.recv(read)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_connections_that_are_cut_leave_no_error_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with edge() as running:
        for data, read in (
            (b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", 1_000),
            (b"GET /large/9000000 HTTP/1.1\r\nHost: x\r\n\r\n", 1_000),
            (b"GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n", 0),
            (POST + b"Content-Length: 500\r\n\r\nabc", 0),
            (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", 0),
            (b"GET /ec", 0),
            (b"nonsense\r\n\r\n", 0),
            (b"", 0),
        ):
            for _ in range(5):
                cut(running, data, read=read)
        while _open_connections(running):
            time.sleep(0.01)
        assert statuses(running.send(LAST)) == [200]
    loud = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(record.name, record.getMessage()) for record in loud] == []
    assert any(record.getMessage() == "connection.cut" for record in caplog.records)


# --- how many


def test_connections_beyond_the_limit_are_answered_too() -> None:
    # Beyond `refused_max` a connection ends as soon as it is answered. So a request that is still on its way then gets
    # a reset, after the answer.
    with edge(connections_max=20, refused_max=5, linger_s=2.0) as small:
        held = [small.connect() for _ in range(20)]
        try:
            for connection in held:
                connection.sendall(LAST.replace(b"Connection: close", b"X: y"))
                assert statuses(connection.recv(65_536)) == [200]
            more = [small.connect() for _ in range(30)]
            for connection in more:
                connection.sendall(LAST)
            for connection in more:
                with connection:
                    answer = one_answer(connection)
                assert statuses(answer) == [503]
                assert document(answer)["type"] == "/problems/busy"
                for name in (b"retry-after: ", b"connection: close", b"date: ", b"x-content-type-options: nosniff"):
                    assert name in answer
            assert statuses(small.send(b"")) == [503], "also who says nothing"
        finally:
            for connection in held:
                connection.close()
        while statuses(small.send(LAST)) != [200]:
            time.sleep(0.01)


def test_one_address_has_its_share_of_the_connections_and_others_find_the_rest() -> None:
    with edge(connections_max=20, of_network_max=10, refused_max=5, linger_s=0.3) as small:
        held = [small.connect() for _ in range(10)]
        try:
            for connection in held:
                connection.sendall(LAST.replace(b"Connection: close", b"X: y"))
                assert statuses(connection.recv(65_536)) == [200]
            assert statuses(small.send(LAST)) == [503]
            with small.connect(source="127.0.0.2") as other:
                other.sendall(LAST)
                assert statuses(everything(other)) == [200]
            held.pop().close()
            while statuses(small.send(LAST)) != [200]:
                time.sleep(0.01)
        finally:
            for connection in held:
                connection.close()


def test_behind_trusted_proxies_no_address_has_a_share_of_the_connections() -> None:
    with edge(connections_max=20, of_network_max=10) as small:
        small.app.ctx.trusted_proxies = 1
        held = [small.connect() for _ in range(15)]
        try:
            for connection in held:
                connection.sendall(LAST)
                assert statuses(everything(connection)) == [200]
        finally:
            for connection in held:
                connection.close()


def test_the_limits_are_those_that_are_stated() -> None:
    assert EdgeLimits().head_s == limits.HEAD_TIMEOUT_S
    assert EdgeLimits().connections_max == limits.CONNECTIONS_MAX
    assert EdgeLimits().of_network_max == limits.CONNECTIONS_OF_NETWORK_MAX
