"""A mail address has one form here, so that one mailbox has one account however its address is typed. Pure.

Guarantee: `normalised` of what it returned is the same text. Two addresses that differ in case, in the composition of
their letters (NFC, RFC 6532 section 3.1) or in how their domain is written (IDNA 2008, UTS 46) are one.
"""

from __future__ import annotations

import re
import unicodedata

import idna

from api.problem import invalid

ADDRESS_BYTES_MAX = 254  # RFC 5321, erratum 1690
LOCAL_BYTES_MAX = 64
DOMAIN_CHARS_MAX = 253
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def normalised(address: str, *, field: str = "email") -> str:
    """Trimmed, in lower case, composed, with an ASCII domain. Raises Problem invalid-request for what is no address."""
    local, _, domain = address.strip().rpartition("@")
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).lower())
    host = _ascii(domain, field)
    if not local or len(local.encode()) > LOCAL_BYTES_MAX:
        raise invalid(field, f"has to have 1 to {LOCAL_BYTES_MAX} bytes before the @")
    if len(local.encode()) + 1 + len(host) > ADDRESS_BYTES_MAX:
        raise invalid(field, f"has more than {ADDRESS_BYTES_MAX} bytes")
    return f"{local}@{host}"


def _ascii(domain: str, field: str) -> str:
    """The domain as it is asked for in DNS."""
    try:
        host = idna.encode(domain, uts46=True).decode() if _is_international(domain) else domain.lower()
    except (idna.IDNAError, UnicodeError):
        raise invalid(field, "has a domain that no host can have") from None
    if len(host) > DOMAIN_CHARS_MAX or not _HOST.fullmatch(host):
        raise invalid(field, "has a domain that no host can have")
    return host


def _is_international(domain: str) -> bool:
    return not domain.isascii() or "xn--" in domain.lower()
