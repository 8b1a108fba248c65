"""Seat locks in Redis: they guard the decisions of the log, and show foreign owners (`circle locks`) the claimed seats.

Guarantee: Redis takes a batch's claims of one event all together or not at all. It takes them only under the newest
ownership epoch, and only if the decision knew every foreign lock. If Redis loses everything, the worker installs its
state again.

One Lua call serves many events, so Redis is one server (with replicas, if you like), and no cluster of shards. The
worker refuses a cluster.

Keys, hash-tagged by event:
- `circle:{EVENT}:meta` hash: `epoch`, and `foreign_version`, which every change of a foreign lock raises;
- `circle:{EVENT}:claims` hash: "ticket_type_id/seat" (general admission: "ticket_type_id/#reservation_id") to
  "STATUS|reservation_id|expires_us|epoch|offset", STATUS h (held), s (sold) or b (blocked by the organizer, and then
  the block's id instead of the reservation's); epoch and offset are the fencing token;
- `circle:{EVENT}:foreign` hash: the same places to "owner|expires_us";
- `circle:installed:PARTITION`: "done" when Redis has every event of the partition, an epoch while its owner installs,
  "distrusted" after its owner's death;
- `circle:{EVENT}:availability` hash: ticket_type_id to JSON {"total","available","held","sold","blocked","waiting"}.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import redis
from redis.exceptions import ClusterCrossSlotError, ClusterDownError, MovedError, NoScriptError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from connectors import redis_clients
from connectors.errors import CircleError, Fenced, ServiceUnreachable
from connectors.logs import Log
from connectors.stoppable_wait import Stopped, pause
from schemas.ids import US_PER_S, BlockId, EventId, ReservationId, TicketTypeId
from schemas.statuses import ClaimStatus

SOCKET_TIMEOUT_S = 5.0
OUTAGE_S_MAX = 60.0  # a worker waits this long for Redis to come back, then it ends with a clear error
RETRY_S = 0.1  # Redis sends no signal when it is back; OUTAGE_S_MAX bounds the wait
SAID_EVERY_S = 2.0  # … and this is how often the log says so during the wait
CALL_PLACES_MAX = 2_000  # of one Lua call: others wait a millisecond for Redis; a larger batch takes more calls
CALL_EVENTS_MAX = 500
KEYS_CACHED = 16_384  # a batch of many events has two calls for each; about 7 MB
_LETTERS = {ClaimStatus.HELD: "h", ClaimStatus.CONFIRMED: "s", ClaimStatus.BLOCKED: "b"}
SCRIPTS = Path(__file__).parent / "lua"

log = Log("seat_locks")


K = TypeVar("K", bound=str)


class Locks(NamedTuple):
    """The foreign locks of an event as Redis has them, and their version."""

    version: str
    places: set[str]


class LockRefused(CircleError):
    """A foreign owner's request for places is refused. The message names the place and its owner."""


Claims = Mapping[str, str]
"""Place to claim; "" ends the claim."""
Call = tuple[str, Sequence[str], list[Any]]
"""A script's name, its keys and its arguments."""


class SeatLocks:
    """The worker's side: install, claim, show. A claim, and a show, is one Lua call for all events of a batch."""

    def __init__(self, url: str, *, stop_requested: Callable[[], bool] = lambda: False) -> None:
        self._url, self._stop_requested = url, stop_requested
        self.client: redis.Redis = redis_clients.connect(
            url, socket_timeout=SOCKET_TIMEOUT_S, socket_connect_timeout=SOCKET_TIMEOUT_S, decode_responses=True
        )
        self._sha: dict[str, str] = {}

    def close(self) -> None:
        """Let go of the connection."""
        self.client.close()

    def install(self, epochs: Mapping[EventId, int], claims: Mapping[EventId, Claims]) -> dict[EventId, Locks]:
        """Make each event's claims what the log says. Raises Fenced when a newer epoch is there."""
        calls = [
            ("install", _keys(event, "meta", "claims", "foreign"), [epochs[event], len(own), *_flat(own)])
            for event, own in claims.items()
        ]
        locks: dict[EventId, Locks] = {}
        for event, answer in zip(claims, self._call(calls), strict=True):
            _refuse_fenced(event, epochs[event], answer)
            locks[event] = Locks(answer[1], set(answer[2:]))
        return locks

    def claim(
        self, epochs: Mapping[EventId, int], versions: Mapping[EventId, str], claims: Mapping[EventId, Claims]
    ) -> dict[EventId, Locks | None]:
        """Write each event's changed claims. The answer has the events that Redis refused; it wrote nothing of these.

        The value is the foreign locks that the decision did not know. It is None if Redis has lost the event: install
        it. Raises Fenced when a newer owner has taken over.
        """
        missed: dict[EventId, Locks | None] = {}
        parts = list(_parts(claims))
        calls = [
            (
                "claim",
                [key for event in part for key in _keys(event, "meta", "claims", "foreign")],
                [text for event in part for text in _changes(epochs[event], versions[event], claims[event])],
            )
            for part in parts
        ]
        answers = [answer for call in self._call(calls) for answer in call]
        for event, answer in zip((event for part in parts for event in part), answers, strict=True):
            _refuse_fenced(event, epochs[event], answer)
            if answer[0] == "MISSING":
                missed[event] = None
            elif answer[0] == "LOCKS":
                missed[event] = Locks(answer[1], set(answer[2:]))
        return missed

    def publish(
        self,
        epochs: Mapping[EventId, int],
        shown: Mapping[EventId, Mapping[TicketTypeId, str]],
        messages: Iterable[tuple[str, bytes]],
        *,
        parts: Collection[EventId] = (),
    ) -> set[EventId]:
        """After a commit, in one round trip: the events' counters, and messages to channels.

        `parts` are the events with counters of only some ticket types. Returns the events whose counters were not
        written: a newer owner has taken over, or Redis does not have the rest of a part.
        """
        together = list(_parts(shown))
        calls: list[Call] = [
            (
                "show",
                [key for event in part for key in _keys(event, "meta", "availability")],
                [
                    text
                    for event in part
                    for text in (epochs[event], int(event in parts), len(shown[event]), *_flat(shown[event]))
                ],
            )
            for part in together
        ]
        written = [answer for call in self._call(calls, messages) for answer in call]
        events = [event for part in together for event in part]
        return {event for event, done in zip(events, written, strict=True) if not done}

    def marks(self, keys: list[str]) -> list[str | None]:
        """The values that `mark` has set for `keys`; None for each key that Redis has lost."""
        values: list[str | None] = self._patiently(lambda: self.client.mget(keys)) if keys else []
        return values

    def mark(self, key: str, value: str) -> None:
        """Set `key`. The value stays until Redis loses everything."""
        self._patiently(lambda: self.client.set(key, value))

    def mark_done(self, key: str, began: str, done: str) -> bool:
        """Set `key` to `done` if it is still `began`. False when Redis has lost everything since then."""
        return bool(self._call([("mark_done", [key], [began, done])])[0])

    def _call(self, calls: Sequence[Call], messages: Iterable[tuple[str, bytes]] = ()) -> list[Any]:
        """Make the calls and publish the messages in one round trip. Returns the answers of the calls."""
        published = [("PUBLISH", channel, message) for channel, message in messages]
        if not calls and not published:
            return []

        def attempt() -> list[Any]:
            for script in {script for script, _, _ in calls} - self._sha.keys():
                self._sha[script] = self.client.script_load((SCRIPTS / f"{script}.lua").read_text())
            asked = [("EVALSHA", self._sha[script], len(keys), *keys, *arguments) for script, keys, arguments in calls]
            try:
                return redis_clients.send_together(self.client, [*asked, *published])[: len(asked)]
            except NoScriptError:  # Redis was restarted or flushed: every call here may be repeated
                self._sha.clear()
                return attempt()
            except (ClusterCrossSlotError, ClusterDownError, MovedError) as error:
                # New connections refuse a cluster. A proxy may hide its mode, but not this.
                raise redis_clients.RedisIsACluster(self._url.rpartition("@")[2]) from error

        answers: list[Any] = self._patiently(attempt)
        return answers

    def _patiently(self, attempt: Callable[[], Any]) -> Any:
        """Run `attempt`, again while Redis is away, for at most OUTAGE_S_MAX. Raises ServiceUnreachable, Stopped."""
        deadline, said_at = time.monotonic() + OUTAGE_S_MAX, 0.0
        while True:
            try:
                return attempt()
            except (RedisConnectionError, RedisTimeoutError) as error:
                now = time.monotonic()
                if now > deadline:
                    address = self._url.rpartition("@")[2]
                    raise ServiceUnreachable("Redis", address, f"{error}; is CIRCLE_REDIS_URL right?") from error
                if now - said_at >= SAID_EVERY_S:
                    said_at = now
                    log.warning("redis.unreachable", error=str(error))
                if not pause(RETRY_S, self._stop_requested):
                    raise Stopped("stopped while Redis was away; uncommitted commands are read again") from None


class ForeignLocks:
    """The foreign owner's side: what `circle locks` does."""

    def __init__(self, url: str) -> None:
        self._client: redis.Redis = redis_clients.connect(url, decode_responses=True)
        self._url = url

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def take(self, event: EventId, places: list[str], *, owner: str, seconds: int) -> int:
        """Lock places ("ticket_type_id/seat") for `owner`. Raises LockRefused, naming the place another has."""
        seconds_now, micros = self._ask(lambda: self._client.time())
        expires_us = (seconds_now + seconds) * US_PER_S + micros
        answer = self._eval("foreign_take", _keys(event, "meta", "claims", "foreign"), [owner, expires_us, *places])
        if answer[0] == "CLAIMED":
            raise LockRefused(f"{answer[1]}: a buyer has claimed it; choose another seat")
        if answer[0] == "LOCKED":
            raise LockRefused(f"{answer[1]}: locked by {answer[2]}; it can be had when they free it")
        return int(answer[1])

    def refuse_taken(self, event: EventId, places: list[str], *, owner: str) -> None:
        """Raise LockRefused if `take` would refuse these places now. Changes nothing."""
        claims, foreign = _keys(event, "claims", "foreign")
        now_s, now_us = self._ask(lambda: self._client.time())
        claimed: list[str | None] = self._ask(lambda: self._client.hmget(claims, places))
        locked: list[str | None] = self._ask(lambda: self._client.hmget(foreign, places))
        for place, claim, lock in zip(places, claimed, locked, strict=True):
            if claim is not None:
                raise LockRefused(f"{place}: a buyer has claimed it; choose another seat")
            other, _, expires = (lock or "").rpartition("|")
            ended = expires.isdecimal() and int(expires) <= now_s * US_PER_S + now_us
            if lock is not None and other != owner and not ended:
                raise LockRefused(f"{place}: locked by {other}; it can be had when they free it")

    def free(self, event: EventId, places: list[str], *, owner: str) -> int:
        """Free the places that `owner` has. Returns their number."""
        return int(self._eval("foreign_free", _keys(event, "meta", "foreign"), [owner, *places]))

    def held(self, event: EventId) -> dict[str, tuple[str, int]]:
        """The event's foreign locks: place to (owner, expiry in microseconds; 0 if none was written)."""
        locks: dict[str, str] = self._ask(lambda: self._client.hgetall(_keys(event, "foreign")[0]))
        parsed = {place: lock.rpartition("|") for place, lock in locks.items()}
        return {
            place: (owner, int(expires)) if expires.isdecimal() else (locks[place], 0)
            for place, (owner, _, expires) in parsed.items()
        }

    def _eval(self, script: str, keys: Sequence[str], arguments: list[Any]) -> Any:
        text = (SCRIPTS / f"{script}.lua").read_text()
        return self._ask(lambda: self._client.eval(text, len(keys), *keys, *arguments))

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise ServiceUnreachable("Redis", self._url.rpartition("@")[2], str(error)) from error


def claim_text(status: ClaimStatus, owner: ReservationId | BlockId, expires_us: int, epoch: int, offset: int) -> str:
    """The value of a claim; epoch and offset are its fencing token."""
    return f"{_LETTERS[status]}|{owner}|{expires_us}|{epoch}|{offset}"


@lru_cache(maxsize=KEYS_CACHED)
def _keys(event: EventId, *names: str) -> tuple[str, ...]:
    return tuple(f"circle:{{{event}}}:{name}" for name in names)


def _parts(events: Mapping[EventId, Mapping[K, str]]) -> Iterator[list[EventId]]:
    """The events in the parts that fit one Lua call. An event's own places are never divided."""
    part: list[EventId] = []
    places = 0
    for event, own in events.items():
        if part and (places + len(own) > CALL_PLACES_MAX or len(part) == CALL_EVENTS_MAX):
            yield part
            part, places = [], 0
        part.append(event)
        places += len(own)
    if part:
        yield part


def _changes(epoch: int, version: str, claims: Claims) -> list[Any]:
    """One event's arguments of claim.lua."""
    ended = [place for place, claim in claims.items() if not claim]
    made = [text for pair in claims.items() if pair[1] for text in pair] if ended else _flat(claims)
    return [epoch, version, len(made) // 2, len(ended), *made, *ended]


def _flat(pairs: Mapping[K, str]) -> list[str]:
    return list(chain.from_iterable(pairs.items()))


def _refuse_fenced(event: EventId, epoch: int, answer: list[str]) -> None:
    if answer[0] == "FENCED":
        raise Fenced(f"event {event}: epoch {epoch} is over, a worker with epoch {answer[1]} owns its partition now")
