"""Passwords: the work is the same for known and unknown accounts, and the waiting work is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import replace

import argon2
import pytest

from api.auth.passwords import Passwords, guessable
from api.fairness.owner import Lane, Who, asking
from api.fairness.pools import PASSWORDS
from api.fairness.shares import FairShare
from api.http.problem import Problem


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(FairShare(name="passwords", places=1, user=1, network=1, line=2, user_line=2, network_line=2))
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
    stored = await passwords.hash("correct-horse-7", about=())
    assert not await passwords.verify(stored, "wrong-horse-7")
    assert not await passwords.verify(None, "wrong-horse-7")
    assert await passwords.verify(stored, "correct-horse-7")
    wrong, unknown, right = work
    assert wrong == unknown == right
    assert unknown.memory_cost == 19 * 1024
    assert unknown.time_cost == 2


async def test_the_dummy_password_lets_no_caller_in(passwords: Passwords) -> None:
    for guess in ("no account's password", "", "x"):
        assert not await passwords.verify(None, guess)


async def test_a_login_that_would_wait_too_long_is_busy(passwords: Passwords) -> None:
    waiting = [asyncio.create_task(passwords.hash("correct-horse-7", about=())) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Problem) as raised:
        await passwords.hash("correct-horse-7", about=())
    assert (raised.value.slug, raised.value.status) == ("busy", 503)
    assert len(set(await asyncio.gather(*waiting))) == 3


def from_network(name: str) -> None:
    """The following requests come from this network."""
    asking.set(Who("", (name,), Lane.SALE))


async def test_a_login_waits_for_at_most_two_of_a_hundred_registrations_that_came_before_it() -> None:
    passwords, order = Passwords(replace(PASSWORDS, places=1, network=1)), list[str]()

    async def one(name: str, work: Awaitable[object]) -> None:
        try:
            await work
        except Problem as problem:
            name += f" {problem.status}"
        order.append(name)

    from_network("n")  # even of the same network
    tasks = [
        asyncio.create_task(one("registration", passwords.hash_new("correct-horse-7", about=()))) for _ in range(100)
    ]
    await asyncio.sleep(0)
    await one("login", passwords.verify(None, "correct-horse-7"))
    assert order.count("registration 503") == 100 - PASSWORDS.network_line // 2 - 1  # half of the line is for logins
    assert [name for name in order if name != "registration 503"][:3].count("login") == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    passwords.close()


async def test_who_guesses_from_one_network_keeps_no_other_from_logging_in() -> None:
    passwords, order = Passwords(replace(PASSWORDS, places=1, network=1)), list[str]()

    async def one(name: str) -> None:
        from_network(name)
        await passwords.verify(None, "correct-horse-7")
        order.append(name)

    tasks = [asyncio.create_task(one("greedy")) for _ in range(PASSWORDS.network_line)]
    await asyncio.sleep(0)
    await one("modest")
    assert len(order) <= 3
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    passwords.close()


@pytest.mark.parametrize(
    ("password", "refused"),
    [("password", True), ("Passw0rd!", True), ("12345678", True), ("qwertyuiop", True), ("letmein123", True),
     ("ada@example.org", True), ("Lovelace1815", True), ("lovelace", True), ("a" * 128, True),
     ("correct-horse-7", False), ("tickets for the opera", False), ("x7#Kq!2mVp", False),
     ("\U0001d4d0" * 9 + "\u0bb9\u0bc8q-zw", False), ("correct-horse-7" * 8, False)],
)  # fmt: skip
def test_a_password_that_many_have_or_that_is_made_of_the_account_is_guessable(password: str, refused: bool) -> None:
    assert guessable(password, ("ada@example.org", "Ada Lovelace")) is refused


@pytest.mark.parametrize("account", ["new", "existing"])
async def test_a_common_password_is_refused_with_its_field(account: str) -> None:
    passwords = Passwords()
    stored = passwords.hash_new if account == "new" else passwords.hash
    try:
        with pytest.raises(Problem) as raised:
            await stored("iloveyou", about=())
        assert (raised.value.slug, raised.value.status, raised.value.field) == ("password-too-common", 422, "password")
        assert await passwords.verify(await stored("correct-horse-7", about=()), "correct-horse-7")
    finally:
        passwords.close()
