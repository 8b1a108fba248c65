"""Seals secrets that have to be read later, with a key that is not in the database (AES-256-GCM).

The key is derived (HKDF-SHA256) from a signing key of CIRCLE_JWT_KEY_FILE; the sealed text has that key's id. The
newest signing key seals. An older key still opens its own sealed texts while it stays in the file.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.keys import Key, KeyRing

NONCE_BYTES = 12
PURPOSE = b"general-circle second factor v1"


class CannotOpen(Exception):
    """The text was sealed with a key that has left the key file, or for another account."""


class Sealer:
    """Seals and opens secrets, each for one account."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._derived: dict[str, AESGCM] = {}

    def seal(self, secret: bytes, about: str) -> bytes:
        """The sealed secret. It opens only with the same `about`."""
        key, nonce = self._keys.current, os.urandom(NONCE_BYTES)
        return key.kid.encode() + b"." + nonce + self._cipher(key).encrypt(nonce, secret, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """The secret. Raises CannotOpen."""
        kid, _, rest = sealed.partition(b".")
        key = self._keys.by_kid.get(kid.decode(errors="replace"))
        if key is None:
            raise CannotOpen("the text was sealed with a key that is not in CIRCLE_JWT_KEY_FILE")
        try:
            return self._cipher(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], about.encode())
        except (InvalidTag, ValueError):
            raise CannotOpen("the text was changed, or sealed for another account") from None

    def _cipher(self, key: Key) -> AESGCM:
        if key.kid not in self._derived:
            raw = key.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            self._derived[key.kid] = AESGCM(HKDF(SHA256(), 32, None, PURPOSE).derive(raw))
        return self._derived[key.kid]
