"""URLs that may contain passwords: reads their parts, and makes a text without the password."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

_SECRET_PARAMETER = re.compile(r"((?:ssl_?)?password|passwd|secret|token)=[^&\s]*", re.IGNORECASE)
_NAME = re.compile(r"\A((?:[A-Za-z][A-Za-z0-9+.-]*:/+)?[^:/@\s]*)")


def without_password(raw: str) -> str:
    """A URL without its password, for display. For any text: nothing is left between the user name and the last "@"."""
    before, at, after = raw.rpartition("@")
    if at:
        named = _NAME.match(before)
        name = named[1] if named is not None else ""
        before = name if name == before else f"{name}:…"
    return _SECRET_PARAMETER.sub(r"\1=…", f"{before}{at}{after}")


def password_of(url: str) -> str | None:
    """The password of a URL as written; "" if it is empty, None without one."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if at and ":" in user:
        return user.partition(":")[2]
    return parameter(url, "password")


def parameter(url: str, name: str) -> str | None:
    """The last value of a parameter of a URL's query, None without one."""
    values = parse_qs(urlsplit(url).query, keep_blank_values=True).get(name)
    return values[-1] if values else None


def hosts_of(url: str) -> list[str]:
    """The hosts of a URL, without ports. A host that begins with "/" is the directory of a socket.

    A PostgreSQL URL may have several hosts with commas between, or name them in the query.
    """
    named = parameter(url, "host")
    if named is not None:
        return [one for one in named.split(",") if one]
    addresses = urlsplit(url).netloc.rpartition("@")[2]
    return [host_of(one) for one in addresses.split(",") if one]


def host_of(address: str) -> str:
    """The host of `host:port` or `[::1]:port`."""
    address = address.strip()
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def is_here(host: str) -> bool:
    """Whether a host is this machine's loopback, or a socket on it. No one can listen in between."""
    if not host or host.startswith("/") or host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def with_authority(redis_url: str, file: Path) -> str:
    """A Redis URL whose server is verified against the authority in `file`."""
    if parameter(redis_url, "ssl_ca_certs") is not None or urlsplit(redis_url).scheme != "rediss":
        return redis_url
    return f"{redis_url}{'&' if urlsplit(redis_url).query else '?'}ssl_ca_certs={quote(str(file))}"
