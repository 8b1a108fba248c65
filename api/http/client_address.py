"""The client's address: the one place that reads the peer's address and `X-Forwarded-For`, for all limits and logs.

Guarantee: no header can forge the result. It is an address that the outermost trusted proxy saw, or `UNKNOWN`. Without
trusted proxies the header is ignored. All unreadable addresses share one key, so no spelling escapes a limit.

An IPv4 client has one address, so one key. An IPv6 client has a whole /64, and providers give a /48, which is 65,536
of those, to one customer. So an IPv6 client has two keys, one inside the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from sanic import Request

FORWARDED_FOR = "x-forwarded-for"
TEXT_CHARS_MAX = 64  # "[" + 39 characters of IPv6 + zone + "]:65535"; a longer text is not an address
ADDRESSES_CACHED = 10_000  # parsing takes 3 µs, and the buyers of a drop send many requests. About 5 MB
_HOST = re.compile(r"(?:\[(?P<bracketed>[^\[\]]+)\]|(?P<plain>[^\[\]]+?))(?::(?P<port>\d{1,5}))?", re.ASCII)
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class ClientAddress:
    """`text` is for logs; `keys` are for limits, the narrowest first."""

    text: str
    keys: tuple[str, ...]


UNKNOWN = ClientAddress("unknown", ("unknown",))


def client_address(request: Request, trusted_proxies: int) -> ClientAddress:
    """The address of the request's client. `trusted_proxies` is the number of proxies that add to the header."""
    if trusted_proxies:
        forwarded = forwarded_for(request.headers.getall(FORWARDED_FOR, []), trusted_proxies)
        if forwarded is not None:
            return parse(forwarded)
    return parse(request.ip or "")


def forwarded_for(lines: Sequence[str], trusted_proxies: int) -> str | None:
    """The entry of the outermost trusted proxy: the n-th from the right. None if there is none."""
    entries = [entry for line in lines for entry in map(str.strip, line.split(",")) if entry]
    return entries[-trusted_proxies] if len(entries) >= trusted_proxies else None


@lru_cache(ADDRESSES_CACHED)
def parse(text: str) -> ClientAddress:
    """Reads IPv4 or IPv6, with or without brackets, port, zone, quotes. IPv4 mapped to IPv6 is IPv4. Else `UNKNOWN`."""
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
        address = ip_address(_without_zone(text))  # first, because the last group of a bare IPv6 address is not a port
    except ValueError:
        match = _HOST.fullmatch(text)
        if match is None or int(match["port"] or 0) > _PORT_MAX:
            return None
        try:
            address = ip_address(_without_zone((match["bracketed"] or match["plain"]).strip()))
        except ValueError:
            return None
        if match["bracketed"] and isinstance(address, IPv4Address):
            return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _without_zone(text: str) -> str:
    """The address without its zone, which has a meaning only on the proxy's machine."""
    address, percent, zone = text.partition("%")
    return address if percent and zone and ":" in address else text
