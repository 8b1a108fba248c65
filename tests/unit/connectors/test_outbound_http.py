"""Strangers may send us to public addresses only, for every spelling of an address and every name."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpcore
import pytest

from connectors.outbound_http import (
    NotOutside,
    checked_url,
    is_outside,
    outside_addresses,
    resolved_outside,
)
from connectors.outside_backend import OutsideBackend

INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
    "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::1", "2001:db8::1",
    "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_ours_is_not_outside(address: str) -> None:
    assert not is_outside(address, loopback=False)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_public_addresses_are_outside(address: str) -> None:
    assert is_outside(address, loopback=False)


def test_loopback_is_for_development_and_nothing_else_of_ours_is() -> None:
    assert is_outside("127.0.0.1", loopback=True)
    assert is_outside("::1", loopback=True)
    assert not [one for one in INSIDE if is_outside(one, loopback=True) and "127." not in one and one != "::1"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/x", "https://"),
        ("ftp://example.org/x", "https://"),
        ("https:///x", "name a host"),
        ("https://me:pw@example.org/", "no user"),
        ("https://example.org:0/", "name a host"),
        ("https://example.org:99999/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://example.org/#x", "fragment"),
        ("https://example.org/ü", "ASCII"),
        ("https://10.0.0.1/", "no public address"),
        ("https://[::1]/", "no public address"),
        ("https://169.254.169.254/latest/meta-data", "no public address"),
        ("https://example.org/" + "a" * 500, "at most"),
    ],
)
def test_a_url_that_may_not_be_called_says_why(url: str, why: str) -> None:
    with pytest.raises(NotOutside, match=why):
        checked_url(url, development=False)


def test_development_may_call_itself_without_tls() -> None:
    assert checked_url("http://127.0.0.1:9000/hook", development=True).port == 9000
    assert checked_url("https://example.org/hook", development=False).hostname == "example.org"
    with pytest.raises(NotOutside):
        checked_url("http://10.0.0.1/hook", development=True)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "017700000001"])
async def test_a_name_or_number_that_leads_inside_is_refused(host: str) -> None:
    with pytest.raises(NotOutside, match="no public address"):
        await outside_addresses(host, 443, loopback=False)


async def test_one_inner_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, ["93.184.216.34", "10.0.0.5"])
    with pytest.raises(NotOutside, match=r"10\.0\.0\.5"):
        await outside_addresses("example.org", 443, loopback=False)


async def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to another address a moment later does not change the connection."""
    answers = resolve(monkeypatch, ["127.0.0.1"], ["10.0.0.5"])
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        stream = await OutsideBackend(loopback=True).connect_tcp("rebinding.example", port, timeout=5)
        assert stream.get_extra_info("server_addr")[:2] == ("127.0.0.1", port)
        await stream.aclose()
        assert len(answers) == 1
        with pytest.raises(NotOutside):
            await OutsideBackend(loopback=True).connect_tcp("rebinding.example", port, timeout=5)


async def test_a_name_without_an_address_passes_now_and_fails_when_it_is_called() -> None:
    await resolved_outside("https://no-such-name.invalid/", loopback=False, within_s=2)
    await resolved_outside(f"https://{'a' * 70}.example/", loopback=False, within_s=2)
    with pytest.raises(httpcore.ConnectError):
        await OutsideBackend(loopback=False).connect_tcp("no-such-name.invalid", 443, timeout=2)


async def test_a_socket_in_the_file_system_is_never_outside() -> None:
    with pytest.raises(NotOutside):
        await OutsideBackend(loopback=True).connect_unix_socket("/run/docker.sock")


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[list[str]]:
    """The resolver gives these addresses, one list an asking of `…example` names."""
    left = list(answers)
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if not str(host).startswith(("example.", "rebinding.")):
            return list(real(host, port, *args, **options))
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 6, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return left
