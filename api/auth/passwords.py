"""Passwords: Argon2id at 19 MiB, t=2, p=1 (OWASP's figures), 18 ms each, in threads that are shared out.

A flood waits here, and beyond its share is told to come again; sales go on beside it. Logins go before registrations,
which have a line of their own, and networks by turns, so neither new accounts nor one client's guesses keep anybody
from logging in.
"""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.background import Background
from api.pools import PASSWORDS
from api.shares import Lane, Share, Who, asking

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
PARALLELISM = 1


class Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self, share: Share = PASSWORDS) -> None:
        self._hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
        self._background = Background(share, "passwords")
        self._nobodys: str | None = None

    async def hash_new(self, password: str) -> str:
        """The hash to store of a new account. Raises Problem too-many-at-once (429) and busy (503)."""
        who = asking.get()
        # Counted apart: who registers many accounts does not use up the logins of the network that they share.
        newcomer = Who("", tuple([f"new/{network}" for network in who.networks]), Lane.READ)
        return await self._background.run(lambda: self._hasher.hash(password), newcomer)

    async def hash(self, password: str) -> str:
        """The hash to store of an account that there is. Raises as `hash_new` does."""
        return await self._background.run(lambda: self._hasher.hash(password), _known())

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` belongs to `stored`. An unknown account (None) takes as long as a known one."""
        return await self._background.run(lambda: self._verify(stored, password), _known())

    def close(self) -> None:
        """Forget what waits."""
        self._background.close()

    def _verify(self, stored: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash("nobody's password")
        try:
            self._hasher.verify(stored or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def _known() -> Who:
    return asking.get()._replace(lane=Lane.SALE)
