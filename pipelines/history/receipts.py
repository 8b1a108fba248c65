"""Position receipts: they prove to a buyer when they asked. Pure.

A receipt is signed and has (partition, offset, digest of the record). With the public keys, a reader can check it
against the log: the record at that position must have that digest. A receipt contains no identity and gives no rights.

One signature covers all records that were acknowledged together. It signs the root of a hash tree, and each receipt has
its leaf and the path to the root. So many receipts share the 45 µs of one signature. As text: a JSON Web Token with the
root, "~", and the leaf with its path as JSON in base64url. Leaves and nodes are hashed differently, so that no node
passes for a leaf.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

AUDIENCE = "circle:position-receipt"  # access tokens have another one, so neither passes for the other
ALGORITHM = "EdDSA"
DIGEST_BYTES = 16
SIGNED_TOGETHER_MAX = 256  # eight steps to the root: a receipt stays below 1 KB
STEPS_MAX = 8
RECEIPT_CHARS_MAX = 2_000
LEFT, RIGHT = "l", "r"


_encoder = msgspec.json.Encoder()


class BadReceipt(ValueError):
    """These keys have not signed this text as a receipt."""


class Receipt(msgspec.Struct, frozen=True):
    """A command's position, and its record's digest."""

    partition: int
    offset: int
    digest: str


class _Leaf(msgspec.Struct, frozen=True):
    """A receipt's own part. A step is the other hash and its side."""

    p: int
    o: int
    d: str
    w: list[str]


def record_digest(key: bytes, value: bytes) -> str:
    """The digest of a record's key and value, each with its length, so that no two records share one."""
    digest = blake2b(len(key).to_bytes(4, "big") + key, digest_size=DIGEST_BYTES)
    digest.update(value)
    return digest.hexdigest()


def issue(receipts: Sequence[Receipt], private: Ed25519PrivateKey, kid: str) -> list[str]:
    """Each receipt as text, all under one signature; at most SIGNED_TOGETHER_MAX."""
    assert 0 < len(receipts) <= SIGNED_TOGETHER_MAX
    root, ways = _tree([_leaf_hash(one.partition, one.offset, one.digest) for one in receipts])
    signed = _signed(root.hex(), private, kid)
    return [
        f"{signed}~{_text(_Leaf(one.partition, one.offset, one.digest, way))}"
        for one, way in zip(receipts, ways, strict=True)
    ]


def read(text: str, keys: Mapping[str, Ed25519PublicKey]) -> Receipt:
    """The receipt in a text. Raises BadReceipt, which says why."""
    if len(text) > RECEIPT_CHARS_MAX:
        raise BadReceipt(f"longer than {RECEIPT_CHARS_MAX} characters")
    token, _, own = text.partition("~")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise BadReceipt(f"signed with a key {kid!r} that is not among ours")
        root = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE).get("root")
        leaf = msgspec.json.decode(urlsafe_b64decode(own + "=" * (-len(own) % 4)), type=_Leaf)
        if len(leaf.w) > STEPS_MAX or _climb(leaf) != root:
            raise BadReceipt("its record is not under the signature")
    except jwt.PyJWTError as error:
        raise BadReceipt(f"not a receipt of ours: {error}") from None
    except BadReceipt:
        raise
    except ValueError as error:  # invalid base64, JSON or hexadecimal digits
        raise BadReceipt(f"not a whole receipt: {error}") from None
    return Receipt(leaf.p, leaf.o, leaf.d)


def _signed(root: str, private: Ed25519PrivateKey, kid: str) -> str:
    """A JSON Web Token, made by hand: PyJWT takes 73 µs for one, and the signature is 45 of these."""
    token = f"{_text({'alg': ALGORITHM, 'kid': kid, 'typ': 'JWT'})}.{_text({'aud': AUDIENCE, 'root': root})}"
    return f"{token}.{urlsafe_b64encode(private.sign(token.encode())).rstrip(b'=').decode()}"


def _text(value: object) -> str:
    return urlsafe_b64encode(_encoder.encode(value)).rstrip(b"=").decode()


def _tree(level: list[bytes]) -> tuple[bytes, list[list[str]]]:
    """The root, and each leaf's path to it. A hash without a neighbour goes up unchanged."""
    ways: list[list[str]] = [[] for _ in level]
    below = [[number] for number in range(len(level))]
    while len(level) > 1:
        above, groups = [], []
        for at in range(0, len(level) - 1, 2):
            left, right = level[at], level[at + 1]
            for number in below[at]:
                ways[number].append(RIGHT + right.hex())
            for number in below[at + 1]:
                ways[number].append(LEFT + left.hex())
            above.append(_node_hash(left, right))
            groups.append(below[at] + below[at + 1])
        if len(level) % 2:
            above.append(level[-1])
            groups.append(below[-1])
        level, below = above, groups
    return level[0], ways


def _climb(leaf: _Leaf) -> str:
    digest = _leaf_hash(leaf.p, leaf.o, leaf.d)
    for step in leaf.w:
        other = bytes.fromhex(step[1:])
        digest = _node_hash(digest, other) if step[:1] == RIGHT else _node_hash(other, digest)
    return digest.hex()


def _leaf_hash(partition: int, offset: int, digest: str) -> bytes:
    return blake2b(f"leaf {partition} {offset} {digest}".encode(), digest_size=DIGEST_BYTES).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return blake2b(b"node " + left + right, digest_size=DIGEST_BYTES).digest()
