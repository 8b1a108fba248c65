"""Passwords: Argon2id at 19 MiB, t=2, p=1 (OWASP's figures), 18 ms each, in threads that are shared out.

A flood waits here, and beyond its share is told to come again; sales go on beside it. Logins go before registrations,
which have a line of their own, and networks by turns, so neither new accounts nor one client's guesses keep anybody
from logging in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from api.fairness.background import Background
from api.fairness.pools import PASSWORDS
from api.fairness.shares import Lane, Share, Who, asking
from api.http.problem import Problem

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
PARALLELISM = 1
# Two months at what a stranger may try (rate_limits.ACCOUNT_LOGINS); zxcvbn's own line between weak and fair.
GUESSES_MIN = 1_000_000
MEASURED_CHARS_MAX = 40  # measuring takes 5 ms for these and grows with the square; more characters are more guesses
WORD_CHARS_MIN = 4  # "ada" in a password gives nothing away


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

    async def refuse_common(self, password: str, *, about: Sequence[str]) -> None:
        """Raises Problem password-too-common (422) for what GUESSES_MIN guesses would find; `about`: what a guesser
        knows of the account, its address and name."""
        if await self._background.run(lambda: guessable(password, about), _known()):
            detail = "password: many people have this one, or it is made of your name or address; take another"
            raise Problem("password-too-common", detail, field="password")

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


def guessable(password: str, about: Sequence[str]) -> bool:
    """Whether somebody who tries the likely ones first gets there soon. A few milliseconds."""
    known = [word for text in about for word in [text, *re.split(r"[\W_]+", text)] if len(word) >= WORD_CHARS_MIN]
    folded = password.casefold()
    if any(folded == word.casefold() for word in known):
        return True
    found = zxcvbn(password[:MEASURED_CHARS_MAX], user_inputs=[word[:MEASURED_CHARS_MAX] for word in known])
    return bool(found["guesses"] < GUESSES_MIN)


def _known() -> Who:
    return asking.get()._replace(lane=Lane.SALE)
