"""Numbers for mailboxes: accounts whose addresses are one mailbox's have one number, by which the core counts together.

Guarantee: nobody can try addresses on a number that is on the log, because it is keyed. Addresses that are verified
are counted apart from those that are not: whoever registers somebody's address with a "+" spends nothing of theirs.
"""

from __future__ import annotations

from hashlib import blake2b

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.keys import KeyRing
from api.auth.mail import mailbox_of

MAILBOX_BITS = 63  # an Avro long above 0; two of a million mailboxes share one with a chance of 1 to 18 million


class Mailboxes:
    """The numbers. The key is the oldest of CIRCLE_JWT_KEY_FILE: once that one leaves the file, all numbers are new."""

    __slots__ = ("_key",)

    def __init__(self, keys: KeyRing) -> None:
        self._key = keys.oldest.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def number(self, address: str, *, verified: bool) -> int:
        """The number of the mailbox of an account's address, from 1 to 2**63 - 1."""
        name = ("verified " if verified else "claimed ") + mailbox_of(address)
        raw = blake2b(name.encode(), key=self._key, person=b"circle mailbox", digest_size=8).digest()
        return max(1, int.from_bytes(raw) >> 64 - MAILBOX_BITS)
