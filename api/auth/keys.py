"""The keys that sign tokens, receipts and tickets. The code is in `connectors`, because mails contain tickets too."""

from __future__ import annotations

from connectors.signing_keys import Key, KeyRing, generate_pem, read_jwks

__all__ = ["Key", "KeyRing", "generate_pem", "read_jwks"]
