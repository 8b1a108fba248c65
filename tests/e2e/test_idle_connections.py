"""Connections that send nothing, or half a request, while others buy: all buyers get their answers."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from tests.harness.shop import GENERAL, Person, Shop, done, open_shop

IDLE = 2_000
DESCRIPTORS = IDLE + 1_024  # of this process; the API's raises its own limit
BUYERS, HOLDS_EACH = 8, 5
HALF = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bea"
HALF_A_BODY = (
    b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
)


@pytest.fixture(scope="module", autouse=True)
def _descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"this process may have {hard} files open, and the test needs {DESCRIPTORS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with open_shop() as (_, shop):
        yield shop


@contextmanager
def silent_connections(url: str, count: int) -> Iterator[None]:
    """Connections: a third sends nothing, a third half a head, a third half a body."""
    at = urlsplit(url)
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(socket.create_connection((at.hostname, at.port), timeout=20))
            connection.sendall((b"", HALF, HALF_A_BODY)[number % 3])
        yield


def from_address(person: Person, url: str, address: str, stack: ExitStack) -> Person:
    """The same person with requests from this address of the machine."""
    transport = httpx.HTTPTransport(local_address=address)
    return replace(person, http=stack.enter_context(httpx.Client(base_url=url, transport=transport, timeout=30)))


def test_two_thousand_silent_connections_of_one_address_keep_no_buyer_of_another_waiting(shop: Shop) -> None:
    organizer = shop.organizer()
    event = shop.event(organizer, max_tickets_per_user=HOLDS_EACH)
    path, floor = f"/v1/events/{event.id}/ticket-types", GENERAL | {"layout": {"kind": "general", "capacity": 10_000}}
    floor_id = done(organizer.post(path, prefer="wait=20", json=floor), 201)["id"]
    with ExitStack() as stack:
        # The silent ones and some buyers come from 127.0.0.1, the other buyers from an address of their own.
        neighbours = [from_address(shop.person(), shop.url, "127.0.0.1", stack) for _ in range(BUYERS)]
        strangers = [from_address(shop.person(), shop.url, "127.0.0.2", stack) for _ in range(BUYERS)]

        def buys(person: Person) -> list[int]:
            return [
                person.reserve(event.id, ticket_type_id=floor_id, quantity=1).status_code for _ in range(HOLDS_EACH)
            ]

        stack.enter_context(silent_connections(shop.url, IDLE))
        with ThreadPoolExecutor(2 * BUYERS) as pool:
            outcomes = list(pool.map(buys, [*strangers, *neighbours]))
    assert outcomes == [[201] * HOLDS_EACH] * (2 * BUYERS)


def test_silent_connections_are_ended_one_and_all(shop: Shop) -> None:
    at = urlsplit(shop.url)
    with ExitStack() as stack:
        open_ = [stack.enter_context(socket.create_connection((at.hostname, at.port), timeout=30)) for _ in range(60)]
        for number, connection in enumerate(open_):
            connection.sendall((HALF, HALF_A_BODY)[number % 2])
        for connection in open_:
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
            assert answer.startswith(b"HTTP/1.1 408 ")
