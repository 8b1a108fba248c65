"""The keys that tokens, receipts and tickets are signed with. They live a room below, where mails have tickets too."""

from __future__ import annotations

from connectors.signing_keys import Key, KeyRing, generate_pem, read_jwks

__all__ = ["Key", "KeyRing", "generate_pem", "read_jwks"]
