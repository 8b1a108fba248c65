"""Signatures in the format of Standard Webhooks (1.0), so that its libraries verify our calls.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac

PREFIX = "whsec_"


def headers(secret: str, identity: str, timestamp_s: int, body: bytes, *, former: str = "") -> dict[str, str]:
    """The three headers of a call: id, time and signature.

    A `former` secret that is still valid signs too: a receiver accepts any signature of the list.
    """
    signed = [signature(one, identity, timestamp_s, body) for one in (secret, former) if one]
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signed),
    }


def signature(secret: str, identity: str, timestamp_s: int, body: bytes) -> str:
    """HMAC-SHA256 of "id.timestamp.body", under the secret's bytes."""
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    signed = f"{identity}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
