"""Numbers for mailboxes: all accounts of one mailbox have one number, and the core counts them together by it.

Guarantee: the numbers are keyed, so a reader of the log cannot test addresses against them. Verified and unverified
addresses are counted apart: a stranger who registers another person's address with a "+" uses up none of their budget.
"""

from __future__ import annotations

from hashlib import blake2b

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.auth.keys import KeyRing
from api.auth.mail import mailbox_of

MAILBOX_BITS = 63  # an Avro long above 0; among a million mailboxes two share a number with a chance of 1 in 18 million


class Mailboxes:
    """The numbers. Their key is the oldest of CIRCLE_JWT_KEY_FILE: when it leaves the file, all numbers change."""

    __slots__ = ("_key",)

    def __init__(self, keys: KeyRing) -> None:
        self._key = keys.oldest.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def number(self, address: str, *, verified: bool) -> int:
        """The number of the mailbox of an account's address, from 1 to 2**63 - 1."""
        name = ("verified " if verified else "claimed ") + mailbox_of(address)
        raw = blake2b(name.encode(), key=self._key, person=b"circle mailbox", digest_size=8).digest()
        return max(1, int.from_bytes(raw) >> 64 - MAILBOX_BITS)
