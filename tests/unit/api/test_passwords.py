"""Passwords: the work is the same whether an account is known or not, and there is a limit to what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import argon2
import pytest

from api.auth.passwords import Passwords
from api.problem import Problem


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(threads=1, queue_max=3)
    yield made
    made.close()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[argon2.Parameters]:
    """The cost of each hash that was computed in full, in order. The real one is computed."""
    done: list[argon2.Parameters] = []
    real = argon2.PasswordHasher.verify

    def verify(self: argon2.PasswordHasher, stored: str | bytes, password: str | bytes) -> bool:
        done.append(argon2.extract_parameters(stored if isinstance(stored, str) else stored.decode()))
        return bool(real(self, stored, password))

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    return done


async def test_an_unknown_account_costs_the_same_hash_as_a_known_one(
    passwords: Passwords, work: list[argon2.Parameters]
) -> None:
    stored = await passwords.hash("correct-horse-7")
    assert not await passwords.verify(stored, "wrong-horse-7")
    assert not await passwords.verify(None, "wrong-horse-7")
    assert await passwords.verify(stored, "correct-horse-7")
    wrong, unknown, right = work
    assert wrong == unknown == right
    assert unknown.memory_cost == 19 * 1024
    assert unknown.time_cost == 2


async def test_nobodys_password_lets_nobody_in(passwords: Passwords) -> None:
    for guess in ("nobody's password", "", "x"):
        assert not await passwords.verify(None, guess)


async def test_a_login_that_would_wait_too_long_is_busy(passwords: Passwords) -> None:
    waiting = [asyncio.create_task(passwords.hash("correct-horse-7")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Problem) as raised:
        await passwords.hash("correct-horse-7")
    assert (raised.value.slug, raised.value.status) == ("busy", 503)
    assert len(set(await asyncio.gather(*waiting))) == 3
