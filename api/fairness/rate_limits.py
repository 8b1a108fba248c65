"""Token buckets in this process, as GCRA: one number per key. Bounded: the oldest keys are forgotten, to their benefit.

WRITES, READS, ADDRESS_READS and REFUSALS count per process; the other rates count for all processes together
(api.fairness.shared_rate_limits). `CIRCLE_RATE_LIMIT_SCALE` multiplies all rates; 0 switches them off.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from time import monotonic

from api.http.client_address import ClientAddress
from api.http.problem import Problem, retry_after

NETWORK_SHARE = 10  # times one address' rate: for a whole /48 of IPv6, 65,536 networks together
KEYS_MAX = 100_000  # about 15 MB of keys and numbers

# How many reads a request counts as, by the time that it costs the process: a plain read takes 0.2 ms.
READ_COST = 1  # of every read; the others come on top
SEARCH_COST = 4  # PostgreSQL compares words
SEAT_BYTES_PER_READ = 400_000  # of a seat map before compression: 4,000 seats, which are sent in fifty parts
DRAWING_COST = 40  # 30 ms in a thread
HISTORY_COST = 100  # up to some seconds in a process of low priority
PAUSE_MAX_S = 5.0  # before a refusal, while the next one of the same client waits behind it


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """`burst` at once, `per_s` in the long run."""

    name: str
    per_s: float
    burst: int


WRITES = Rate(name="writes of one user", per_s=20, burst=100)  # a person clicks once a second; 50 retries pass
READS = Rate(name="reads of one user", per_s=100, burst=1_000)  # a page of twenty reads, five times a second
ADDRESS_READS = Rate(name="reads from one address without a token", per_s=1_000, burst=10_000)  # a crowd behind a proxy
REFUSALS = Rate(name="refusals of one client", per_s=20, burst=100)
"""Beyond it a refusal is sent later: clients that never wait for Retry-After are refused at this rate."""
ACCOUNT_LOGINS = Rate(name="logins to one account", per_s=0.2, burst=20)  # 17,000 guesses a day at most
KNOWN_LOGINS = Rate(name="logins to one account from one network", per_s=0.2, burst=20)
"""For a network with an earlier login to the account: guesses from other networks do not lock its owner out."""
PASSWORD_CHECKS = Rate(name="passwords checked in one session", per_s=0.1, burst=10)  # a stolen session guesses slowly
FACTOR_TRIES = Rate(name="second factors tried for one account", per_s=1 / 600, burst=10)
"""After the right password. A guess is right in one of 300,000 cases: in a year, one of 200 attackers gets in."""
ADDRESS_LOGINS = Rate(name="logins from one address", per_s=5, burst=100)  # an office behind one address
LOOKUPS = Rate(name="accounts named by one user", per_s=0.2, burst=20)  # slows a search for who has an account
USER_GUESSES = Rate(name="wrong codes of one user", per_s=0.02, burst=10)  # people mistype; 1,700 a day at most
ADDRESS_GUESSES = Rate(name="wrong codes from one address", per_s=0.2, burst=100)  # an office behind one address
EVENT_GUESSES = Rate(name="wrong codes for one event", per_s=2, burst=1_000)  # of a million codes: 6 days for one
PERSONAL_EXPORTS = Rate(name="exports of one's data", per_s=1 / 60, burst=5)  # each reads everything of a person
REGISTRATIONS = Rate(name="registrations from one address", per_s=2, burst=100)  # each hashes a password
ACCOUNT_REGISTRATIONS = Rate(name="registrations of one account", per_s=0.1, burst=10)  # each reveals whether it exists
ACCOUNT_LINKS = Rate(name="mailed links to one account", per_s=1 / 600, burst=3)
"""Each sends a mail, perhaps to another person's mailbox: three at once, then one in ten minutes."""
ADDRESS_LINKS = Rate(name="mailed links asked for from one address", per_s=0.1, burst=20)  # people behind one address


@cache
def rates_of_address(rate: Rate) -> tuple[Rate, Rate]:
    """The rates of an address and of the wider network around it, for the keys of a `ClientAddress`."""
    wider = Rate(name=f"{rate.name}'s network", per_s=rate.per_s * NETWORK_SHARE, burst=rate.burst * NETWORK_SHARE)
    return rate, wider


class RateLimiter:
    """All buckets of this process."""

    __slots__ = ("_scale", "_times")

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._times: OrderedDict[tuple[str, str], float] = OrderedDict()

    def take_of_address(self, rate: Rate, address: ClientAddress) -> None:
        """Take a token of the address' bucket and of its network's. Raises as `take` does."""
        for of_key, key in zip(rates_of_address(rate), address.keys, strict=False):
            self.take(of_key, key)

    def take(self, rate: Rate, key: str, cost: int = 1) -> None:
        """Take `cost` tokens, at most `rate.burst`, or raise Problem rate-limited (429) with Retry-After."""
        wait = self.try_take(rate, key, monotonic(), cost)
        if wait > 0:
            raise Problem(
                "rate-limited", f"too many {rate.name}", headers=retry_after(wait), retry_after_s=round(wait, 3)
            )

    def try_take(self, rate: Rate, key: str, now: float, cost: int = 1) -> float:
        """0.0 if `cost` tokens were there, else the seconds until they are."""
        wait, full_at = self._after(rate, key, now, cost)
        if wait > 1e-9:
            return wait
        self._keep(rate, key, full_at)
        return 0.0

    def pause_s(self, key: str, now: float) -> float:
        """How long the next refusal of a client waits, at most PAUSE_MAX_S: they leave at the rate REFUSALS."""
        wait, full_at = self._after(REFUSALS, key, now, 1)
        pause = min(max(0.0, wait), PAUSE_MAX_S)
        self._keep(REFUSALS, key, full_at - max(0.0, wait - pause))
        return pause

    def _after(self, rate: Rate, key: str, now: float, cost: int) -> tuple[float, float]:
        """The seconds until `cost` tokens are there, and when the bucket is full again after they are taken."""
        if not self._scale:
            return 0.0, now
        interval = 1.0 / (rate.per_s * self._scale)
        full_at = max(self._times.get((rate.name, key), now), now) + interval * cost
        return full_at - now - interval * max(float(cost), rate.burst * self._scale), full_at

    def _keep(self, rate: Rate, key: str, full_at: float) -> None:
        if not self._scale:
            return
        if len(self._times) >= KEYS_MAX and (rate.name, key) not in self._times:
            self._times.popitem(last=False)
        self._times[(rate.name, key)] = full_at
