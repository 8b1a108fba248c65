"""Position receipts: what proves to a buyer when they asked. Pure.

A receipt is a signed (partition, offset, digest of the record). Whoever has it and the public keys can hold it against
the log: the record at that position must have that digest. It carries no identity and no way to act for anybody.

The API issues one with each 202, from the bytes it produced and where the log acknowledged them: `issue(Receipt(…))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

AUDIENCE = "circle:position-receipt"  # no access token has it, so neither passes for the other
ALGORITHM = "EdDSA"
DIGEST_BYTES = 16


class BadReceipt(ValueError):
    """The text is no receipt that these keys have signed."""


class Receipt(msgspec.Struct, frozen=True):
    """Where a command stands, and its record's digest."""

    partition: int
    offset: int
    digest: str


def record_digest(key: bytes, value: bytes) -> str:
    """Of a record's key and value, each with its length, so that no two records share one."""
    digest = blake2b(len(key).to_bytes(4, "big") + key, digest_size=DIGEST_BYTES)
    digest.update(value)
    return digest.hexdigest()


def issue(receipt: Receipt, private: Ed25519PrivateKey, kid: str) -> str:
    """The receipt as a JSON Web Token."""
    claims = {"aud": AUDIENCE, "p": receipt.partition, "o": receipt.offset, "d": receipt.digest}
    return jwt.encode(claims, private, algorithm=ALGORITHM, headers={"kid": kid})


def read(token: str, keys: Mapping[str, Ed25519PublicKey]) -> Receipt:
    """The receipt in a token. Raises BadReceipt, which says why."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise BadReceipt(f"signed with a key {kid!r} that is not among ours")
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE)
        return msgspec.convert({"partition": claims["p"], "offset": claims["o"], "digest": claims["d"]}, Receipt)
    except jwt.PyJWTError as error:
        raise BadReceipt(f"not a receipt of ours: {error}") from None
    except (KeyError, msgspec.ValidationError) as error:
        raise BadReceipt(f"not a whole receipt: {error}") from None
