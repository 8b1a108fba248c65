"""Parsers of the settings' texts. Each raises ValueError with what the text must be."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from email.utils import parseaddr
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from connectors.settings import TEST_SWITCHES, Insecure

TOKEN_CHARS_MIN = 16  # a random token of this length cannot be guessed
TOKEN_CHARS_MAX = 256
SCALE_MAX = 1_000.0

E = TypeVar("E", bound=StrEnum)


def bootstrap_servers(raw: str) -> str:
    """Addresses of brokers, with commas between."""
    for address in raw.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError("must be host:port, or several with commas between")
    return raw


def url(*schemes: str) -> Callable[[str], str]:
    """A URL with one of these schemes, and a host or a path."""

    def parse(raw: str) -> str:
        parts = urlsplit(raw)
        if parts.scheme not in schemes or not (parts.hostname or parts.path):
            raise ValueError(f"must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return raw

    return parse


def insecure_names(raw: str) -> frozenset[Insecure]:
    """Names of services that may be open, with commas between."""
    names = {part.strip().lower() for part in raw.split(",") if part.strip()}
    if not names <= set(Insecure):
        raise ValueError(f"must be a list of {', '.join(Insecure)}")
    return frozenset(map(Insecure, names))


def prefixed_secret(*prefixes: str) -> Callable[[str], str]:
    """A provider's secret: printable ASCII without spaces, with one of these beginnings."""

    def parse(raw: str) -> str:
        if not raw.startswith(prefixes) or not raw.isascii() or not raw.isprintable() or " " in raw:
            raise ValueError(f"must begin with {' or '.join(prefixes)}")
        return raw

    return parse


def token(raw: str) -> str:
    """A token that cannot be guessed, and that a header can carry."""
    if not TOKEN_CHARS_MIN <= len(raw) <= TOKEN_CHARS_MAX or not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError(f"must be {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} printable ASCII characters without spaces")
    return raw


def origins(raw: str) -> frozenset[str]:
    """Exact origins as browsers send them: scheme, host, and the port where it is not the scheme's own."""
    named = frozenset(part.strip() for part in raw.split(",") if part.strip())
    for origin in named:
        if re.fullmatch(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?", origin, re.ASCII) is None:
            raise ValueError("must be origins in small letters, with commas between: a scheme, a host, a port, no path")
        if origin.endswith(":443") if origin.startswith("https") else origin.endswith(":80"):
            raise ValueError("must be origins as browsers send them, without the port of the scheme")
    return named


def smtp_url(raw: str) -> str:
    """smtp:// (STARTTLS where offered, always with a password), smtps:// (TLS at once), file:// (a directory)."""
    parts = urlsplit(raw)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return raw
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("must be a URL that starts with smtp:// or smtps://, or file:// and an absolute path")
    parts.port  # noqa: B018 - raises ValueError when it is no port
    return raw


def mail_from(raw: str) -> str:
    """A mail address, alone or with a name before it."""
    name, address = parseaddr(raw)
    if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address) or not raw.isprintable() or not name.isprintable():
        raise ValueError("must be a mail address, or a name and an address in angle brackets")
    return raw


def public_url(raw: str) -> str:
    """The address of the platform, without a slash at the end."""
    parts = urlsplit(raw)
    parts.port  # noqa: B018 - raises ValueError when it is no port
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in raw:
        raise ValueError("must be the URL at which people reach this platform, without query or fragment")
    if not raw.isascii() or not raw.isprintable() or " " in raw:
        raise ValueError("must be ASCII without spaces")
    return raw.rstrip("/")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A whole number within these bounds, in ASCII digits."""

    def parse(raw: str) -> int:
        if not raw.isascii() or not raw.isdigit() or not low <= int(raw) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def switch(raw: str) -> bool:
    """`on` or `off`."""
    if raw not in ("on", "off"):
        raise ValueError("must be on or off")
    return raw == "on"


def scale(raw: str) -> float:
    """A factor from 0 to 1000."""
    try:
        factor = float(raw)
    except ValueError:
        factor = -1.0
    if not 0 <= factor <= SCALE_MAX:
        raise ValueError("must be a number from 0 (off) to 1000")
    return factor


def readable_file(raw: str) -> Path:
    """The path of a file that this process can read."""
    path = Path(raw)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError("must be the path of a readable file")
    return path


def directory(raw: str) -> Path:
    """The path of a directory."""
    path = Path(raw)
    if not path.is_dir():
        raise ValueError("must be the path of a directory")
    return path


def instance(raw: str) -> str:
    """A name that fits a transactional id and a channel."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", raw):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores")
    return raw


def switches(raw: str) -> frozenset[str]:
    """Names of safety nets that tests take away, with commas between."""
    named = frozenset(part.strip() for part in raw.split(",") if part.strip())
    if not named <= TEST_SWITCHES:
        raise ValueError(f"must be a list of {', '.join(sorted(TEST_SWITCHES))}")
    return named


def one_of(choices: frozenset[str]) -> Callable[[str], str]:
    """One of these words, in any case."""

    def parse(raw: str) -> str:
        if raw.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(sorted(choices))}")
        return raw.lower()

    return parse


def member(kind: type[E], *, upper: bool = False) -> Callable[[str], E]:
    """One of an enum's values, as it is written; with `upper`, in any case."""

    def parse(raw: str) -> E:
        try:
            return kind(raw.upper() if upper else raw)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(one.value for one in kind)}") from None

    return parse
