"""A watcher that does not read costs its connection only: it misses news, and reads the latest state, or is cut off."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.fairness.limits import READ_BYTES_PER_S, SEND_GRACE_S
from api.http.streaming import TICK_S
from ops.run.platform import Platform
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import GENERAL, OnSale, Shop, done

pytestmark = pytest.mark.timeout(300)
TYPES = 30  # so many that the news of the event fill the buffers in seconds
RECEIVE_BYTES, SEGMENT_BYTES = 4_096, 536  # the smallest buffers that a connection may have
BUFFERED_BYTES_MAX = 200_000  # of the server's process, its kernel and the client's kernel together
FILLED_S = 60  # a stream has some kilobytes of news a second, on a busy machine too
CUT_OFF_S = FILLED_S + SEND_GRACE_S + BUFFERED_BYTES_MAX / READ_BYTES_PER_S
MISSED = 40
DECIDED_OR_NOT = (200, 201, 202)  # a busy machine may answer before the decision
ESTABLISHED = "01"  # of /proc/net/tcp


class QuickWatcher:
    """Reads each event of a stream as it comes."""

    def __init__(self, url: str, path: str, headers: dict[str, str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.bytes = 0
        self._client = httpx.Client(base_url=url, timeout=30)
        self._path, self._headers = path, headers
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._ended = threading.Event()

    def __enter__(self) -> QuickWatcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(40)
        self._client.close()

    def _read(self) -> None:
        with self._client.stream("GET", self._path, headers=self._headers) as answer:
            for line in answer.iter_lines():
                self.bytes += len(line)
                if line.startswith("data: "):
                    self.events.append(msgspec.json.decode(line[6:]))
                if self._ended.is_set():
                    return


class SlowWatcher:
    """A raw connection with the smallest buffers. It has read the head and the first event, and reads on when asked."""

    def __init__(self, url: str, path: str, headers: dict[str, str]) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.read = b""
        while b"\ndata: " not in self.read:
            self.read += self.socket.recv(1_024)

    def read_until(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The events, read on until `enough` or the end of the connection."""
        while not enough(self.events()):
            chunk = self.socket.recv(1 << 16)
            if not chunk:
                break
            self.read += chunk
        return self.events()

    def events(self) -> list[dict[str, Any]]:
        """The whole events so far, without the marks of HTTP's chunks."""
        text = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", self.read)
        return [msgspec.json.decode(one) for one in re.findall(rb"\ndata: ([^\n]+)\n\n", text)]

    def rest(self) -> bytes:
        """All that is left, up to the end of the connection. Raises TimeoutError where it does not end."""
        try:
            while chunk := self.socket.recv(1 << 16):
                self.read += chunk
        except ConnectionResetError:
            pass
        return self.read


@pytest.fixture(scope="module")
def wide(shop: Shop) -> OnSale:
    """An event whose availability is long."""
    event = shop.event(shop.organizer())
    for number in range(TYPES):
        body = GENERAL | {"name": f"Hall {number}"}
        done(event.organizer.post(f"/v1/events/{event.id}/ticket-types", prefer="wait=20", json=body), 201)
    return event


@contextmanager
def changing(shop: Shop, event: OnSale) -> Iterator[None]:
    """A buyer takes a place and gives it back, over and over, each once in a tick: a stream tells no more of them."""
    ended, buyer = threading.Event(), shop.person()

    def change() -> None:
        while not ended.wait(TICK_S):
            held = buyer.reserve(event.id, ticket_type_id=event.general, quantity=1)
            assert held.status_code in DECIDED_OR_NOT, held.text
            ended.wait(TICK_S)
            given_back = buyer.call("DELETE", f"/v1/reservations/{held.json()['id']}")
            assert given_back.status_code in DECIDED_OR_NOT, given_back.text

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(60)


@pytest.fixture
def alarmed(platform: Platform) -> Iterator[None]:
    """So many alerts fire that the state of the platform fills the buffers in seconds."""
    fired = (
        "INSERT INTO alert_history (alert, about, severity, summary, value, began_at, fired_at, resolved_at) "
        "SELECT 'CircleTest', n::text, 'warning', repeat('x', 500), 5, 1, 2, 0 FROM generate_series(1, 40) AS n"
    )
    with rows_of(platform.settings) as query:
        query(fired)
        yield
        query("DELETE FROM alert_history WHERE alert = 'CircleTest'")


def is_connected(port: int, client: int) -> bool:
    """Whether the server at `port` still has the client at the port `client`, by the kernel's table."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [one for one in lines if one[1].endswith(f":{port:04X}") and one[2].endswith(f":{client:04X}")]
    return any(one[3] == ESTABLISHED for one in mine)


def test_a_watcher_that_reads_late_has_missed_news_and_ends_with_the_latest_state(shop: Shop, wide: OnSale) -> None:
    path = f"/v1/events/{wide.id}/stream"
    with QuickWatcher(shop.url, path, {}) as quick:
        slow = SlowWatcher(shop.url, path, {})
        with slow.socket:
            begun = len(quick.events)
            with changing(shop, wide):
                eventually(lambda: len(quick.events) - begun >= MISSED, "the quick watcher has much news", 60)
            latest = done(shop.http.get(f"/v1/events/{wide.id}/availability"), 200)["items"]
            found = slow.read_until(lambda events: bool(events) and events[-1]["items"] == latest)
            eventually(lambda: quick.events[-1]["items"] == latest, "the quick watcher has the last news")
            quicks = len(quick.events) - begun
    assert found[-1]["items"] == latest
    assert len(found) < quicks, "news that came while it did not read were not kept for it"


@pytest.mark.usefixtures("alarmed")
@pytest.mark.parametrize("whose", ["availability", "operators"])
def test_a_watcher_that_never_reads_is_cut_off_and_little_is_kept_for_it(shop: Shop, wide: OnSale, whose: str) -> None:
    operators = whose == "operators"
    path = "/v1/operator/stream" if operators else f"/v1/events/{wide.id}/stream"
    headers = shop.operator if operators else {}
    with QuickWatcher(shop.url, path, headers) as quick:
        slow = SlowWatcher(shop.url, path, headers)
        with slow.socket, changing(shop, wide):
            server, client = slow.socket.getpeername()[1], slow.socket.getsockname()[1]
            assert is_connected(server, client)
            begun = quick.bytes
            eventually(lambda: not is_connected(server, client), "the server has cut it off", CUT_OFF_S)
            sent = quick.bytes - begun
            read = slow.rest()
    assert len(read) <= BUFFERED_BYTES_MAX
    assert len(read) < sent, "the news of the last seconds were kept for no one"
