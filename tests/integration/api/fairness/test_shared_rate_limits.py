"""All API processes share one rate limit for each client, on Redis; without Redis each process limits alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from api.fairness.owner import Who, asking
from api.fairness.rate_limits import (
    ACCOUNT_LOGINS,
    ACCOUNT_REGISTRATIONS,
    ADDRESS_LOGINS,
    REGISTRATIONS,
    Rate,
    rates_of_address,
)
from api.fairness.shared_rate_limits import KEY_PREFIX, SharedLimiter
from api.http.client_address import parse
from api.http.problem import Problem
from connectors.settings import Settings
from ops.run.services.process import free_port
from tests.harness.api_process import api_process
from tests.harness.flows import rows_of
from tests.harness.shop import problem, unique

RATE = Rate(name="things", per_s=0.5, burst=3)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    async with Redis.from_url(settings.redis_url) as client:
        await client.delete(KEY_PREFIX + RATE.name)
        yield client


async def refused(limiter: SharedLimiter, key: str) -> Problem:
    with pytest.raises(Problem) as raised:
        await limiter.take(RATE, key)
    assert raised.value.slug == "rate-limited"
    return raised.value


async def test_two_processes_have_one_bucket(redis: Redis, settings: Settings) -> None:
    async with Redis.from_url(settings.redis_url) as other:
        here, there = SharedLimiter(redis, 1), SharedLimiter(other, 1)
        for limiter in (here, there, here):
            await limiter.take(RATE, "ada@example.org")
        refusal = await refused(there, "ada@example.org")
        assert 0 < refusal.extensions["retry_after_s"] <= 2
        assert refusal.headers["retry-after"] in ("1", "2")
        await refused(here, "ada@example.org")
        await there.take(RATE, "bob@example.org")
    members = await redis.zrange(KEY_PREFIX + RATE.name, 0, -1)
    assert len(members) == 2
    assert not any(b"example" in member for member in members), "no address is in Redis"


async def test_who_floods_is_counted_by_its_process_and_others_by_all(redis: Redis) -> None:
    limiter, flood, others = SharedLimiter(redis, 1), Who("", ("198.51.100.7",)), Who("", ("198.51.100.8",))
    share = limiter.places.line.share
    waiting = [asyncio.create_task(limiter.places.enter(flood)) for _ in range(share.network + share.network_line)]
    await asyncio.sleep(0)
    asking.set(flood)
    for _ in range(3):
        await limiter.take(RATE, "flood")
    await refused(limiter, "flood")
    assert await redis.zcard(KEY_PREFIX + RATE.name) == 0, "Redis was not asked"
    asking.set(others)
    await limiter.take(RATE, "others")
    assert await redis.zcard(KEY_PREFIX + RATE.name) == 1
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_the_scale_multiplies_and_zero_switches_off(redis: Redis) -> None:
    off, wide = SharedLimiter(redis, 0), SharedLimiter(redis, 2)
    for _ in range(20):
        await off.take(RATE, "ada")
    for _ in range(6):
        await wide.take(RATE, "ada")
    await refused(wide, "ada")


async def test_keys_are_bounded_and_whoever_took_most_stays(redis: Redis) -> None:
    limiter = SharedLimiter(redis, 1, keys_max=50)
    for _ in range(3):
        await limiter.take(RATE, "the attacked one")
    for number in range(200):
        await limiter.take(RATE, f"made up {number}")
    assert await redis.zcard(KEY_PREFIX + RATE.name) == 50
    await refused(limiter, "the attacked one")


async def test_a_rate_that_is_not_used_leaves_nothing(redis: Redis) -> None:
    await SharedLimiter(redis, 1).take(RATE, "ada")
    assert 0 < await redis.pttl(KEY_PREFIX + RATE.name) <= 7_000


async def test_without_redis_each_process_counts_for_itself() -> None:
    async with Redis.from_url(f"redis://127.0.0.1:{free_port()}/0", socket_connect_timeout=1) as nowhere:
        limiter = SharedLimiter(nowhere, 1)
        for _ in range(3):
            await limiter.take(RATE, "ada")
        await refused(limiter, "ada")


async def test_an_address_of_ipv6_has_the_limit_of_its_64_and_a_wider_one_of_its_48(redis: Redis) -> None:
    limiter = SharedLimiter(redis, 1)
    wide = rates_of_address(RATE)[1]
    await redis.delete(KEY_PREFIX + wide.name.replace(" ", "-"))

    async def take(text: str) -> None:
        await limiter.take_of_address(RATE, parse(text))

    for host in range(RATE.burst):
        await take(f"2001:db8:1:2::{host + 1}")
    with pytest.raises(Problem):
        await take("2001:db8:1:2:ffff::9")
    for network in range(3, 3 + wide.burst - RATE.burst):
        await take(f"2001:db8:1:{network:x}::1")
    with pytest.raises(Problem) as raised:
        await take("2001:db8:1:ffff::1")
    assert raised.value.detail == f"too many {wide.name}"
    await take("2001:db8:2::1")


def test_logins_are_limited_for_one_account_and_for_one_address(settings: Settings, tmp_path: Path) -> None:
    """`CIRCLE_RATE_LIMIT_SCALE` at 0.05: one login to an account, five from an address."""
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.05") as api:

        def login(email: str) -> tuple[int, str]:
            said = {"x-forwarded-for": unique()}  # no proxy is trusted here
            response = api.http.post("/v1/auth/login", json={"email": email, "password": "wrong-horse-7"}, headers=said)
            if response.status_code != 401:
                assert int(problem(response, 429, "rate-limited")["retry_after_s"]) >= 0
                assert int(response.headers["retry-after"]) >= 1
            return response.status_code, response.json()["detail"]

        account = f"{unique()}@example.org"
        assert login(account)[0] == 401
        assert login(account.upper()) == (429, f"too many {ACCOUNT_LOGINS.name}")
        assert [login(f"{unique()}@example.org")[0] for _ in range(3)] == [401] * 3
        assert login(f"{unique()}@example.org") == (429, f"too many {ADDRESS_LOGINS.name}")
        with rows_of(settings) as query:
            noted = query(
                "SELECT kind, outcome, actor, user_id, address, detail::text FROM security_events ORDER BY id"
            )
        assert {tuple(row) for row in noted} == {
            ("login", "refused", "somebody", None, "127.0.0.1", f'{{"why": "{why}"}}')
            for why in ("unknown-account", "rate-limited")
        }
        assert len(noted) < 5  # of six attempts: a row of each kind, and two where the hour ended meanwhile


def test_behind_trusted_proxies_each_client_has_an_address_and_cannot_make_one_up(
    settings: Settings, tmp_path: Path
) -> None:
    """Five logins from an address. The outer proxy adds the client's address, the inner one the outer proxy's."""
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.05", CIRCLE_TRUSTED_PROXIES="2") as api:

        def login(headers: dict[str, str]) -> int:
            body = {"email": f"{unique()}@example.org", "password": "wrong-horse-7"}
            return api.http.post("/v1/auth/login", json=body, headers=headers).status_code

        def through(client: str) -> int:
            return login({"x-forwarded-for": f"{unique()}, {client}, 198.51.100.1"})

        assert [through("192.0.2.1") for _ in range(6)] == [401] * 5 + [429]
        assert through("192.0.2.2") == 401
        assert login({}) == 401, "past the proxies: its own address"
        ipv6 = ["2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:443", "2001:0DB8::4", "2001:db8:0:0:ffff::5"]
        assert [through(client) for client in ipv6] == [401] * 5
        assert through("2001:db8::6") == 429, "five addresses of one /64"
        unread = ["unknown", "_hidden", "256.1.1.1", "[::1", "for=192.0.2.9"]
        assert [through(client) for client in unread] == [401] * 5
        assert through("192.0.2.7:99999") == 429, "what cannot be read has one bucket"


def test_registrations_are_limited_for_one_account_and_for_one_address(settings: Settings, tmp_path: Path) -> None:
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.1") as api:

        def register(email: str) -> httpx.Response:
            account = {"email": email, "password": "correct-horse-7", "name": "Ada"}
            return api.http.post("/v1/auth/register", json=account)

        account = f"{unique()}@example.org"
        assert register(account).status_code == 201
        assert problem(register(account), 429, "rate-limited")["detail"] == f"too many {ACCOUNT_REGISTRATIONS.name}"
        assert [register(f"{unique()}@example.org").status_code for _ in range(8)] == [201] * 8
        refused = problem(register(f"{unique()}@example.org"), 429, "rate-limited")
        assert refused["detail"] == f"too many {REGISTRATIONS.name}"


def test_wrong_passwords_from_everywhere_slow_strangers_and_not_the_owner(settings: Settings, tmp_path: Path) -> None:
    """FIELD C8, at half of the scale: ten logins to an account at once by strangers, and as many from a known
    network."""
    with api_process(settings, tmp_path, CIRCLE_RATE_LIMIT_SCALE="0.5", CIRCLE_TRUSTED_PROXIES="1") as api:

        def login(network: str, password: str) -> int:
            body = {"email": account["email"], "password": password}
            headers = {"x-forwarded-for": network}
            return api.http.post("/v1/auth/login", json=body, headers=headers).status_code

        home, wrong = "203.0.113.7", "wrong-horse-7"
        account = {"email": f"{unique()}@example.org", "password": "correct-horse-7", "name": "Ada"}
        assert api.http.post("/v1/auth/register", json=account).status_code == 201
        assert login(home, account["password"]) == 200
        attacks = [login(f"198.51.100.{number}", wrong) for number in range(1, 21)]
        assert attacks[:9] == [401] * 9
        assert attacks[-5:] == [429] * 5, "strangers are limited for the account, wherever they are"
        assert [login(home, account["password"]) for _ in range(5)] == [200] * 5, "the owner gets in from home"
        assert login("192.0.2.1", account["password"]) == 429, "from elsewhere the owner is a stranger meanwhile"
        assert [login(home, wrong) for _ in range(12)][-1] == 429, "a network that is known has a limit of its own"
