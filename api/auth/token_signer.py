"""Signs access tokens, and recognizes tokens that this installation signed for less than a verification costs.

A token is a JWT with an Ed25519 signature, which everybody verifies with the public keys. Its header has one parameter
more, `circle-mac`: a MAC of the payload under a key that derives from the signing key. A verifier must ignore header
parameters that it does not know (RFC 7515, section 4), so the MAC changes nothing for others.

Guarantee: `recognize` returns only claims of a token that `sign` would write byte for byte: the header, the payload and
the signature are compared whole, in constant time. It never refuses. A token that it does not recognize needs the full
check. Decision 0042 has the argument.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.keys import Key, KeyRing

MAC_BYTES = 16  # 128 bits, the strength of Ed25519; with `"}` behind it, base64 has no padding
MAC_PARAMETER = "circle-mac"
PURPOSE = b"general-circle access token mac v1"
_KEY_BYTES = 32
_START = '{"alg":"EdDSA","kid":"%s","typ":"JWT","' + MAC_PARAMETER + '":"'
_START_CHARS = 124  # of 93 bytes, whose base64 does not depend on what follows


@dataclass(frozen=True, slots=True)
class _Signer:
    start: bytes  # how the header of each of its tokens starts, in base64url
    mac_key: bytes
    private: Ed25519PrivateKey

    @classmethod
    def of(cls, key: Key) -> _Signer:
        raw = key.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        mac_key = HKDF(SHA256(), _KEY_BYTES, None, PURPOSE).derive(raw)
        return cls(urlsafe_b64encode((_START % key.kid).encode()), mac_key, key.private)

    def header(self, payload: bytes) -> bytes:
        """The one header that a token with this payload has, in base64url."""
        mac = blake2b(payload, digest_size=MAC_BYTES, key=self.mac_key).digest()
        return self.start + urlsafe_b64encode(_unpadded(mac) + b'"}')

    def signature(self, signed: bytes) -> bytes:
        """The one signature that this key makes (RFC 8032), in base64url."""
        return _unpadded(self.private.sign(signed))


class TokenSigner:
    """Signs with the first key of the ring, and recognizes tokens of all its keys."""

    __slots__ = ("_by_start", "_current")

    def __init__(self, keys: KeyRing) -> None:
        self._current = _Signer.of(keys.current)
        self._by_start = {one.start: one for one in map(_Signer.of, keys.by_kid.values())}

    def sign(self, claims: bytes) -> str:
        """A JWT with these claims, which are the UTF-8 text of a JSON object."""
        payload = _unpadded(claims)
        signed = self._current.header(payload) + b"." + payload
        return (signed + b"." + self._current.signature(signed)).decode()

    def recognize(self, token: str) -> bytes | None:
        """The claims of a token that a key of the ring signed here; None if only the full check can say that."""
        if not token.isascii():
            return None
        signed, _, signature = token.encode().rpartition(b".")
        header, _, payload = signed.partition(b".")
        signer = self._by_start.get(header[:_START_CHARS])
        if signer is None or not hmac.compare_digest(signer.header(payload), header):
            return None
        if not hmac.compare_digest(signer.signature(signed), signature):
            return None
        return urlsafe_b64decode(payload + b"==")


def _unpadded(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
