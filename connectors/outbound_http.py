"""Connections to addresses that users have entered: only to public addresses, never into our own network.

Guarantee: we connect to the same address that we checked. A name is resolved once, all its addresses must be public,
and the connection goes to one of them. So a name whose address changes cannot lead inside, nor can an unusual spelling
of an address. TLS is checked against the name. Loopback is allowed in development.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import SplitResult, urlsplit

from connectors.errors import CircleError

URL_CHARS_MAX = 500
ADDRESSES_MAX = 4  # addresses of one name that are tried
RESOLVERS_MAX = 16  # names looked up at once: as many as calls that may be without an answer
RESOLVE_TIMEOUT_S = 5.0
# Own threads: a user's name that resolves slowly must not delay the lookup of mail servers.
_RESOLVERS = ThreadPoolExecutor(RESOLVERS_MAX, "resolve")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # IANA's own, which this Python takes for public in parts


class NotOutside(CircleError):
    """An address to which a user may not send us. The text names it and says why."""


def checked_url(url: str, *, development: bool) -> SplitResult:
    """The parts of a URL whose text allows a call; its addresses are not looked up. Raises NotOutside."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotOutside(f"it is no URL: {error}") from None
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or " " in url:
        raise NotOutside(f"it has to be at most {URL_CHARS_MAX} printable ASCII characters")
    if parts.scheme != "https" and not (development and parts.scheme == "http"):
        raise NotOutside("it has to begin with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None or port == 0:
        raise NotOutside("it has to name a host, and no user or password")
    if parts.fragment:
        raise NotOutside("a fragment is never sent; leave it out")
    try:
        literal = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return parts
    if not is_outside(str(literal), loopback=development):
        raise NotOutside(f"{literal} is no public address")
    return parts


def is_outside(address: str, *, loopback: bool) -> bool:
    """Whether an address is public. An IPv4 address inside an IPv6 address counts as itself."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_outside(str(inner), loopback=loopback)
        if ip in NAT64_LOCAL:
            return False
    if ip.is_loopback:
        return loopback
    return (
        ip.is_global
        and ip not in PROTOCOLS
        and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_link_local)
    )


async def outside_addresses(host: str, port: int, *, loopback: bool) -> list[str]:
    """The addresses of a name, all of them public. Raises NotOutside; OSError when the name has none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await loop.run_in_executor(_RESOLVERS, ask)
    except UnicodeError as error:
        raise OSError(f"{host!r} is no name: {error}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    inside = [address for address in addresses if not is_outside(address, loopback=loopback)]
    if inside:
        raise NotOutside(f"{host} leads to {inside[0]}, which is no public address")
    return addresses[:ADDRESSES_MAX]


async def resolved_outside(url: str, *, loopback: bool, within_s: float) -> None:
    """Refuse a URL whose name leads inside now. A name that does not resolve in time passes. Raises NotOutside."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(within_s):
            await outside_addresses(parts.hostname or "", parts.port or 443, loopback=loopback)
    except (OSError, TimeoutError):
        return
