"""A stream ticket opens its stream once and lives half a minute, also between hosts whose clocks differ by minutes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from api.auth.keys import KeyRing
from api.auth.stream_tickets import KEY_PREFIX, StreamTickets
from api.auth.tokens import AHEAD_S_MAX, AccessTokens, Caller, Role
from api.fairness.limits import STREAM_TICKET_TTL_S
from api.http.problem import Problem
from connectors import redis_clients
from connectors.settings import Settings
from schemas.ids import UserId

RING = KeyRing.load(None)
PATH = "/v1/notifications/stream"
AHEAD_S = 240


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = redis_clients.connect_async(settings.redis_url)
    yield client
    await client.aclose()


def host(redis: Redis, clock_s: float = 0) -> StreamTickets:
    """An API host whose clock is so far ahead; negative is behind."""

    def clock() -> float:
        return time.time() + clock_s

    return StreamTickets(redis, RING, AccessTokens(RING, clock), clock)


def caller() -> Caller:
    return Caller(user_id=UserId(str(uuid4())), role=Role.BUYER, expires_at=int(time.time()) + 900)


@pytest.mark.parametrize(("issuer_s", "opener_s"), [(0, AHEAD_S), (AHEAD_S, 0), (-AHEAD_S / 2, AHEAD_S / 2)])
async def test_a_ticket_opens_its_stream_once_through_a_host_whose_clock_differs_by_minutes(
    redis: Redis, issuer_s: float, opener_s: float
) -> None:
    issuer, opener, who = host(redis, issuer_s), host(redis, opener_s), caller()
    ticket = await issuer.issue(who, PATH)
    assert await opener.take(ticket, PATH) == who
    for one in (issuer, opener):
        with pytest.raises(Problem, match="already used"):
            await one.take(ticket, PATH)


@pytest.mark.parametrize("clock_s", [-AHEAD_S, 0, AHEAD_S])
async def test_a_ticket_lives_half_a_minute_by_one_clock_and_its_use_does_not_prolong_it(
    redis: Redis, clock_s: float
) -> None:
    issuer = host(redis, clock_s)
    ticket = await issuer.issue(caller(), PATH)
    (key,) = [name async for name in redis.scan_iter(KEY_PREFIX + "*")]
    assert 0 < await redis.pttl(key) <= STREAM_TICKET_TTL_S * 1_000
    await redis.pexpire(key, 5_000)
    await issuer.take(ticket, PATH)
    assert 0 < await redis.pttl(key) <= 5_000
    await redis.delete(key)  # as its end does
    for one in (issuer, host(redis)):
        with pytest.raises(Problem, match="expired"):
            await one.take(ticket, PATH)


async def test_a_ticket_that_no_host_has_issued_opens_nothing(redis: Redis) -> None:
    """The signature alone is not enough, and neither is the entry in Redis."""
    one = host(redis)
    ticket = one.signed(caller(), PATH)
    with pytest.raises(Problem, match="expired"):
        await one.take(ticket, PATH)
    issued = await one.issue(caller(), PATH)
    (key,) = [name async for name in redis.scan_iter(KEY_PREFIX + "*")]
    other = StreamTickets(redis, KeyRing.load(None), AccessTokens(RING))
    with pytest.raises(Problem, match="not valid"):
        await other.take(issued, PATH)
    assert await redis.get(key) == b"unused", "a refused ticket is not used up"


async def test_an_old_ticket_opens_nothing_even_if_its_entry_is_written_to_redis_again(redis: Redis) -> None:
    ticket = await host(redis).issue(caller(), PATH)
    with pytest.raises(Problem, match="expired"):
        await host(redis, AHEAD_S_MAX + STREAM_TICKET_TTL_S).take(ticket, PATH)
