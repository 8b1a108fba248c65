"""Signed ticket codes: a door can check them without a network, with the public keys.

A code is base64url of: version byte 1, 8 bytes of the key's id, ticket and event (16 bytes each), the ticket's version
(2 bytes), the seat in UTF-8, then the Ed25519 signature (64 bytes) over all of that. Ed25519 is deterministic, so
codes are computed when they are read and stored nowhere. `ops/docs/guide/door.md` has the format for scanners.
"""

from __future__ import annotations

import struct
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connectors.signing_keys import KeyRing
from schemas.ids import EventId, TicketId

FORMAT = 1
_HEAD = struct.Struct(">B8s16s16sH")
_SIGNATURE_BYTES = 64
CODE_CHARS_MAX = 500  # three times the longest code; a longer text is refused without decoding
# Scanners add these around a code: line ends and blanks of all kinds, control characters, a byte order mark.
_ADDED = "".join(map(chr, range(0x21))) + "\x7f\ufeff\u200b"


@dataclass(frozen=True, slots=True)
class SignedTicket:
    """The signed content of a code. It does not say whether the ticket is still valid."""

    ticket_id: TicketId
    event_id: EventId
    seat: str
    version: int


class ForgedCode(ValueError):
    """Well formed, but not signed by us."""


class CodeReader:
    """Reads codes with the public keys only, by key id: no service, no secret."""

    def __init__(self, public: Mapping[str, Ed25519PublicKey]) -> None:
        self._public = {_short(kid): key for kid, key in public.items()}

    def read(self, code: str) -> SignedTicket:
        """The content of a code, without anything that a scanner adds around it.

        Raises ForgedCode, and ValueError if the text is no code at all.
        """
        code = code.strip().strip(_ADDED)
        if len(code) > CODE_CHARS_MAX:
            raise ValueError(f"more than {CODE_CHARS_MAX} characters")
        raw = b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
        if len(raw) < _HEAD.size + _SIGNATURE_BYTES or raw[0] != FORMAT:
            raise ValueError("not a ticket code")
        text, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        _, kid, ticket, event, version = _HEAD.unpack_from(text)
        public = self._public.get(kid)
        try:
            if public is None:
                raise ForgedCode("signed with a key that is not known here")
            public.verify(signature, text)
        except InvalidSignature:
            raise ForgedCode("the signature does not fit") from None
        return SignedTicket(
            TicketId(str(UUID(bytes=ticket))), EventId(str(UUID(bytes=event))), text[_HEAD.size :].decode(), version
        )


class TicketCodes(CodeReader):
    """Signs codes, and reads them."""

    def __init__(self, keys: KeyRing) -> None:
        super().__init__({kid: key.public for kid, key in keys.by_kid.items()})
        self._key = keys.current
        self._kid = _short(keys.current.kid)

    def sign(self, ticket_id: TicketId, event_id: EventId, seat: str, version: int = 1) -> str:
        """The code of a ticket. The same ticket has the same code."""
        head = _HEAD.pack(FORMAT, self._kid, UUID(ticket_id).bytes, UUID(event_id).bytes, version)
        text = head + seat.encode()
        return urlsafe_b64encode(text + self._key.private.sign(text)).rstrip(b"=").decode()


def _short(kid: str) -> bytes:
    return sha256(kid.encode()).digest()[:8]
