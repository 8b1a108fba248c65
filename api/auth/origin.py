"""The origin of a request, as sessions and the audit log store it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from api.http.client_address import UNKNOWN, ClientAddress

NAME_CHARS_MAX = 60
# The order matters: each also names the ones after it.
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
_PRODUCT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]*(?:/[0-9][0-9.]*)?")


@dataclass(frozen=True, slots=True)
class Origin:
    """`address` is for people. `network` is the part that a client cannot easily change, "" if unknown. `client` is
    the client's name for itself, shortened."""

    address: str = ""
    network: str = ""
    client: str = ""

    @classmethod
    def of(cls, address: ClientAddress, user_agent: str | None) -> Origin:
        """The origin of a request."""
        network = "" if address.keys == UNKNOWN.keys else address.keys[0]
        return cls(address.text, network, client_name(user_agent or ""))


def client_name(user_agent: str) -> str:
    """ "Firefox on Linux", "curl/8.5.0", or "" if unknown. At most NAME_CHARS_MAX characters."""
    if user_agent.startswith("Mozilla/"):
        browser = next((name for mark, name in _BROWSERS if mark in user_agent), "a browser")
        system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
        return f"{browser} on {system}" if system else browser
    match = _PRODUCT.match(user_agent)
    return match[0].strip()[:NAME_CHARS_MAX] if match else ""
