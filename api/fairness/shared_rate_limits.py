"""Rate limits for all API processes together: token buckets in Redis, one Lua call each.

For requests without an account, such as login and registration: they are rare and cost 18 ms anyway. Bounded: KEYS_MAX
keys for each rate, and Redis drops an unused rate when its buckets are full. Redis sees digests, no addresses. Without
Redis each process counts by itself. It also does so for a request that finds no place in the pool.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.fairness.limits import REDIS_TIMEOUT_S
from api.fairness.pools import REDIS_LIMITS
from api.fairness.rate_limits import Rate, RateLimiter, rates_of_address
from api.fairness.shares import Places
from api.http.client_address import ClientAddress
from api.http.problem import Problem, retry_after
from connectors import logs
from schemas.ids import US_PER_S

KEYS_MAX = 50_000  # of one rate: about 6 MB in Redis, which needs its memory for the seats' claims
KEY_PREFIX = "circle:limits:"
SCRIPT = Path(__file__).with_name("take.lua").read_text()

log = logs.get("api.fairness.shared_rate_limits")


class SharedLimiter:
    """The buckets of all processes."""

    def __init__(self, redis: Redis, scale: float, *, keys_max: int = KEYS_MAX) -> None:
        self._take = redis.register_script(SCRIPT)
        self._scale, self._keys_max = scale, keys_max
        self._alone = RateLimiter(scale)
        self.places = Places(REDIS_LIMITS, "requests that are counted")

    async def take_of_address(self, rate: Rate, address: ClientAddress) -> None:
        """Take a token of the address' bucket and of its network's. Raises as `take` does."""
        for of_key, key in zip(rates_of_address(rate), address.keys, strict=False):
            await self.take(of_key, key)

    async def take(self, rate: Rate, key: str) -> None:
        """Take one token, or raise Problem rate-limited (429) with Retry-After."""
        if not self._scale:
            return
        interval = max(1, round(US_PER_S / (rate.per_s * self._scale)))
        bucket = round(interval * max(1.0, rate.burst * self._scale))
        member = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        name = KEY_PREFIX + rate.name.replace(" ", "-")
        try:
            turn = await self.places.enter(patience_s=REDIS_TIMEOUT_S)
        except Problem:  # a flood, or Redis is slow
            self._alone.take(rate, key)
            return
        try:
            wait_us = int(await self._take([name], [member, interval, bucket, self._keys_max]))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("limits.alone", rate=rate.name, error=f"{type(error).__name__}: {error}")
            self._alone.take(rate, key)
            return
        finally:
            self.places.give_back(turn)
        if wait_us > 0:
            wait = wait_us / US_PER_S
            detail = f"too many {rate.name}"
            raise Problem("rate-limited", detail, headers=retry_after(wait), retry_after_s=round(wait, 3))
