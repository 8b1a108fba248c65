"""The digest under which a random token is stored, so that the database's rows open nothing."""

from __future__ import annotations

from hashlib import sha256


def token_digest(token: str) -> bytes:
    """SHA-256 of a token. Without salt and work: the token is random and too long to guess."""
    return sha256(token.encode()).digest()
