"""Ed25519 keys: the first key in the file signs, all of them verify. To rotate, put a new key before the others.

A key's id (`kid`) is its RFC 7638 thumbprint: the same key has the same id in every process, for ever.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from connectors.errors import SettingsError

_PEM = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """One key pair and its id."""

    kid: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> Key:
        public = private.public_key()
        thumbprint = json.dumps(_members(public), separators=(",", ":"), sort_keys=True).encode()
        return cls(_base64(sha256(thumbprint).digest()), private, public)


class KeyRing:
    """The keys that this installation signs and verifies with."""

    def __init__(self, keys: list[Key]) -> None:
        self.current = keys[0]
        self.oldest = keys[-1]  # for values that must stay the same as long as possible
        self.by_kid = {key.kid: key for key in keys}

    @classmethod
    def load(cls, path: Path | None) -> KeyRing:
        """The keys of a PEM file; without one, a key of this process alone (development). Raises SettingsError."""
        if path is None:
            return cls([Key.of(Ed25519PrivateKey.generate())])
        variable, example = "CIRCLE_JWT_KEY_FILE", "/etc/circle/jwt.pem"
        try:
            found = [load_pem_private_key(pem, None) for pem in _PEM.findall(path.read_bytes())]
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(variable, f"cannot be read: {error}", got=str(path), example=example) from None
        keys = [Key.of(key) for key in found if isinstance(key, Ed25519PrivateKey)]
        if not keys or len(keys) != len(found):
            raise SettingsError(
                variable,
                "must hold Ed25519 private keys in PEM and no others (openssl genpkey -algorithm ed25519)",
                got=str(path),
                example=example,
            )
        return cls(keys)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JSON Web Key Set (RFC 7517, RFC 8037)."""
        return {
            "keys": [
                _members(key.public) | {"use": "sig", "alg": "EdDSA", "kid": key.kid} for key in self.by_kid.values()
            ]
        }


def read_jwks(text: str) -> dict[str, Ed25519PublicKey]:
    """The Ed25519 keys of a JSON Web Key Set, by id. Raises ValueError if the text is none, or has no such key."""
    try:
        found = jwt.PyJWKSet.from_json(text).keys
    except (ValueError, jwt.PyJWTError) as error:
        raise ValueError(f"no JSON Web Key Set: {error}") from None
    keys = {one.key_id: one.key for one in found if one.key_id and isinstance(one.key, Ed25519PublicKey)}
    if not keys:
        raise ValueError("no Ed25519 key with an id in it")
    return keys


def generate_pem() -> bytes:
    """A new private key, as the key file holds it."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _members(public: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
