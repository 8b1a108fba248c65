"""Passwords: Argon2id at 19 MiB, t=2, p=1 (OWASP's numbers), 18 ms each, in threads with fair shares.

A flood of logins waits here, and beyond its share gets 429 or 503; sales continue. Logins go before registrations,
which have their own line, and networks take turns. So neither new accounts nor one client's guesses block the logins
of other users.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from api.fairness.background import Background
from api.fairness.owner import Lane, Who, asking
from api.fairness.pools import PASSWORDS
from api.fairness.shares import FairShare
from api.http.problem import Problem

MEMORY_KIB = 19 * 1024
ITERATIONS = 2
PARALLELISM = 1
# Two months at the rate of rate_limits.ACCOUNT_LOGINS; also zxcvbn's limit between weak and fair.
GUESSES_MIN = 1_000_000
MEASURED_CHARS_MAX = 40  # measuring takes 5 ms for these and grows with the square; a longer text only adds guesses
WORD_CHARS_MIN = 4  # "ada" in a password does not make it weak


class Passwords:
    """Hashes and verifies, a few at a time."""

    def __init__(self, share: FairShare = PASSWORDS) -> None:
        self._hasher = PasswordHasher(time_cost=ITERATIONS, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
        self._background = Background(share, "passwords")
        self._dummy: str | None = None

    async def hash_new(self, password: str, *, about: Sequence[str]) -> str:
        """The hash to store for a new account. `about`: what an attacker knows of the account, its address and name.

        Raises Problem password-too-common (422) for a password that GUESSES_MIN guesses would find, too-many-at-once
        (429) and busy (503).
        """
        who = asking.get()
        # Counted apart: a client that registers many accounts does not use up its network's logins.
        newcomer = Who("", tuple([f"new/{network}" for network in who.networks]), Lane.READ)
        return await self._hash_uncommon(password, about, newcomer)

    async def hash(self, password: str, *, about: Sequence[str]) -> str:
        """The hash to store for an existing account. Raises as `hash_new` does."""
        return await self._hash_uncommon(password, about, _known())

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` belongs to `stored`. An unknown account (None) takes as long as a known one."""
        return await self._background.run(lambda: self._verify(stored, password), _known())

    def close(self) -> None:
        """Drop the waiting work."""
        self._background.close()

    async def _hash_uncommon(self, password: str, about: Sequence[str], who: Who) -> str:
        hashed = await self._background.run(
            lambda: None if guessable(password, about) else self._hasher.hash(password), who
        )
        if hashed is None:
            detail = "password: it is common, or made of your name or address; choose another one"
            raise Problem("password-too-common", detail, field="password")
        return hashed

    def _verify(self, stored: str | None, password: str) -> bool:
        if self._dummy is None:
            self._dummy = self._hasher.hash("no account's password")
        try:
            self._hasher.verify(stored or self._dummy, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def guessable(password: str, about: Sequence[str]) -> bool:
    """Whether an attacker who tries likely passwords first finds it soon. Takes a few milliseconds."""
    known = [word for text in about for word in [text, *re.split(r"[\W_]+", text)] if len(word) >= WORD_CHARS_MIN]
    folded = password.casefold()
    if any(folded == word.casefold() for word in known):
        return True
    estimate = zxcvbn(password[:MEASURED_CHARS_MAX], user_inputs=[word[:MEASURED_CHARS_MAX] for word in known])
    return bool(estimate["guesses"] < GUESSES_MIN)


def _known() -> Who:
    return asking.get()._replace(lane=Lane.SALE)
