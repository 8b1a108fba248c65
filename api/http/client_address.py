"""Who a request is from: one reading of the peer's address and of `X-Forwarded-For`, for all limits and logs.

Guarantee: whatever the header says, the answer is an address that the outermost trusted proxy saw, or `UNKNOWN`.
Without trusted proxies the header is not looked at. What cannot be read shares one key, so no spelling escapes a limit.

An IPv4 client has one address. An IPv6 client has a /64 to itself, and a network of 65,536 of those, a /48, is one
order at a provider: so it has two keys, one inside the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from sanic import Request

FORWARDED_FOR = "x-forwarded-for"
TEXT_CHARS_MAX = 64  # "[" + 39 characters of IPv6 + zone + "]:65535"; anything longer is no address
ADDRESSES_CACHED = 10_000  # parsing takes 3 µs, and a drop's buyers come again and again. About 5 MB
_HOST = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\[\]]+?))(?::(?P<port>\d{1,5}))?", re.ASCII)
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """`text` is for logs; `keys` are for limits, the narrowest first."""

    text: str
    keys: tuple[str, ...]


UNKNOWN = ClientAddress("unknown", ("unknown",))


def client_address(request: Request, trusted_proxies: int) -> ClientAddress:
    """The address of whoever sent the request; `trusted_proxies` is how many proxies add to the header."""
    if trusted_proxies:
        forwarded = forwarded_for(request.headers.getall(FORWARDED_FOR, []), trusted_proxies)
        if forwarded is not None:
            return parse(forwarded)
    return parse(request.ip or "")


def forwarded_for(lines: Sequence[str], trusted_proxies: int) -> str | None:
    """What the outermost of the trusted proxies added: the n-th entry from the right. None without one."""
    entries = [entry for line in lines for entry in map(str.strip, line.split(",")) if entry]
    return entries[-trusted_proxies] if len(entries) >= trusted_proxies else None


@lru_cache(ADDRESSES_CACHED)
def parse(text: str) -> ClientAddress:
    """IPv4 or IPv6, with or without brackets, port, zone, quotes. IPv4 in IPv6's clothes is IPv4. Else `UNKNOWN`."""
    address = _address(text)
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return ClientAddress(str(address), (str(address),))
    network, wider = address.packed[:8].hex(), address.packed[:6].hex()
    return ClientAddress(str(address), (f"{network}/64", f"{wider}/48"))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    text = text.strip().strip('"').strip()
    if not text or len(text) > TEXT_CHARS_MAX:
        return None
    try:
        found = ip_address(_without_zone(text))  # first: the last group of a bare IPv6 address is no port
    except ValueError:
        match = _HOST.fullmatch(text)
        if match is None or int(match["port"] or 0) > _PORT_MAX:
            return None
        try:
            found = ip_address(_without_zone((match["bracketed"] or match["plain"]).strip()))
        except ValueError:
            return None
        if match["bracketed"] and isinstance(found, IPv4Address):
            return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _without_zone(text: str) -> str:
    """The address without its zone, which means something on the proxy's machine only."""
    address, percent, zone = text.partition("%")
    return address if percent and zone and ":" in address else text
