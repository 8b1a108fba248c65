"""People who buy over HTTP while hosts come and go. Each request has one key, and is repeated until it has an outcome.

Guarantee: after the block each key has an outcome. `check_answers` asks each key once more: it has the same one.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from api.auth.tokens import AccessTokens, Role
from ops.proof.checker import ToldOutcome
from ops.run.services.process import wait_for
from schemas.ids import UserId
from tests.harness.machines import Machines
from tests.harness.shop import EVENT, SEATED, Person, Shop, unique

AT_ONCE = 6
PEOPLE = 200
EVENTS, ROWS, SEATS_PER_ROW = 6, 20, 20
HOLD_TTL_S = 20
ANSWER_S_MAX = 8.0  # a connection that hangs is given up, and the key sent again
OUTCOME_S_MAX = 120.0
ASK_AGAIN_S = 0.2
WAIT_S_MAX = 180.0
SHORT = {"venue": "Hall", "hold_ttl_s": HOLD_TTL_S, "max_tickets_per_user": 50}
STALLS = SEATED | {"layout": {"kind": "seated", "rows": ROWS, "seats_per_row": SEATS_PER_ROW}}


@dataclass(frozen=True, kw_only=True)
class Bought:
    """One request with its outcome, and the seats that were paid for."""

    person: Person
    event: str
    key: str
    outcome: dict[str, Any]
    paid: tuple[str, ...] = ()


class Buyers:
    """Buys at events of its own, through `url`. `tries` counts answers by status, and failed connections as 0."""

    def __init__(self, url: str, tokens: AccessTokens, *, seed: int = 1) -> None:
        self._tokens, self._rng = tokens, random.Random(seed)
        self.shop = Shop(url)
        self.shop.http.timeout = httpx.Timeout(ANSWER_S_MAX)
        self._organizer = self.person(Role.ORGANIZER)
        self.events = [self.event() for _ in range(EVENTS)]
        self._people = [self.person() for _ in range(PEOPLE)]
        self.bought: list[Bought] = []
        self.tries: Counter[int] = Counter()
        self._news = threading.Condition()
        self._failed: BaseException | None = None

    def close(self) -> None:
        self.shop.http.close()

    @contextmanager
    def buying(self) -> Iterator[None]:
        """AT_ONCE people buy, one after the other, until the block ends."""
        ended = threading.Event()

        def buy() -> None:
            try:
                while not ended.is_set():
                    self._buy()
            except BaseException as error:
                with self._news:
                    self._failed = error
                    self._news.notify_all()
                raise

        with ThreadPoolExecutor(AT_ONCE) as pool:
            running: list[Future[None]] = [pool.submit(buy) for _ in range(AT_ONCE)]
            try:
                yield
            finally:
                ended.set()
            for one in running:
                one.result()

    def wait_bought(self, more: int) -> None:
        """Until `more` further requests have an outcome."""
        with self._news:
            wanted = len(self.bought) + more
            there = self._news.wait_for(lambda: len(self.bought) >= wanted or self._failed is not None, WAIT_S_MAX)
        assert self._failed is None, self._failed
        assert there, f"{wanted - len(self.bought)} of {more} have no outcome; tries by status: {dict(self.tries)}"

    def wait_paid(self, more: int, timeout_s: float) -> None:
        """Until `more` further requests are paid for."""
        wanted = self._paid() + more
        with self._news:
            there = self._news.wait_for(lambda: self._paid() >= wanted or self._failed is not None, timeout_s)
        assert self._failed is None, self._failed
        assert there, f"{wanted - self._paid()} of {more} are not paid within {timeout_s:.0f} s"

    def _paid(self) -> int:
        return sum(1 for one in self.bought if one.paid)

    def wait_tried(self, more: int) -> None:
        """Until `more` further answers are here, of any status, or attempts that failed."""
        wanted = self.tries.total() + more
        problem = wait_for(lambda: self.tries.total() >= wanted or self._failed is not None, timeout_s=WAIT_S_MAX)
        assert self._failed is None, self._failed
        assert problem is None, f"{problem}: {dict(self.tries)}"

    def check_answers(self) -> list[ToldOutcome]:
        """Each key has the same outcome again, and no seat was paid for twice. Returns the outcomes for the checker."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            again = list(pool.map(lambda one: self._reserve(one.person, one.event, one.key), self.bought))
        for one, outcome in zip(self.bought, again, strict=True):
            assert _identity(outcome) == _identity(one.outcome), f"the key {one.key} has another outcome"
        sold = [(one.event, seat) for one in self.bought for seat in one.paid]
        assert len(sold) == len(set(sold)) > 0
        return [_told(outcome) for outcome in again]

    def _buy(self) -> None:
        with self._news:
            person, event = self._rng.choice(self._people), self._rng.choice(self.events)
            pays, key = self._rng.random() < 0.7, unique()
        outcome = self._reserve(person, event, key)
        paid: tuple[str, ...] = ()
        if pays and "seats" in outcome and outcome["status"] == "held":
            confirmed = self._until(lambda: person.confirm(outcome["id"], key=f"pay-{key}"), (200, 409))
            paid = tuple(ticket["seat"] for ticket in confirmed.get("tickets") or ())
        with self._news:
            self.bought.append(Bought(person=person, event=event, key=key, outcome=outcome, paid=paid))
            self._news.notify_all()

    def _reserve(self, person: Person, event: str, key: str) -> dict[str, Any]:
        event_id, _, kind = event.partition(" ")
        wanted = {"ticket_type_id": kind, "quantity": 2}
        return self._until(lambda: person.reserve(event_id, key=key, prefer="wait=5", **wanted), (200, 201, 409))

    def _until(self, ask: Callable[[], httpx.Response], final: tuple[int, ...]) -> dict[str, Any]:
        """The first answer with one of these statuses. A connection that fails, 202 and 503 mean: ask again."""
        deadline, last = time.monotonic() + OUTCOME_S_MAX, "no answer"
        while time.monotonic() < deadline:
            try:
                answer = ask()
            except httpx.TransportError as error:
                self.tries[0] += 1
                last = repr(error)
            else:
                self.tries[answer.status_code] += 1
                if answer.status_code in final:
                    document: dict[str, Any] = answer.json()
                    return document
                assert answer.status_code in (202, 503), answer.text
                last = answer.text
            time.sleep(ASK_AGAIN_S)  # as a polite client does
        raise AssertionError(f"no outcome in {OUTCOME_S_MAX:.0f} s: {last}")

    def person(self, role: Role = Role.BUYER) -> Person:
        """A new caller, without an account: the log needs none."""
        user_id = str(uuid4())
        token = self._tokens.issue(UserId(user_id), role)
        return Person(http=self.shop.http, id=user_id, email="", access_token=token, refresh_token="")

    def event(self) -> str:
        """A new event on sale, and its ticket type after a space. It waits for a read side that is late."""
        event = self._accepted("/v1/events", EVENT | SHORT, 201)["id"]
        self._wait_shown(event, "draft")
        kind = self._accepted(f"/v1/events/{event}/ticket-types", STALLS, 201)["id"]
        self._accepted(f"/v1/events/{event}/publish", None, 200)
        self._wait_shown(event, "published")
        return f"{event} {kind}"

    def _accepted(self, path: str, body: dict[str, Any] | None, status: int) -> dict[str, Any]:
        """The answer; 202 if its rows take longer than a request waits for them."""
        answer = self._organizer.post(path, prefer="wait=20", json=body)
        assert answer.status_code in (status, 202), answer.text
        document: dict[str, Any] = answer.json()
        return document

    def _wait_shown(self, event: str, status: str) -> None:
        """Until the read side shows the event with this status."""

        def shown() -> bool:
            answer = self._organizer.get(f"/v1/events/{event}")
            return answer.status_code == 200 and answer.json()["status"] == status

        problem = wait_for(shown, timeout_s=OUTCOME_S_MAX)
        assert problem is None, f"{problem}: {self._organizer.get(f'/v1/events/{event}').text}"


@contextmanager
def buyers(machines: Machines, *, seed: int = 1) -> Iterator[Buyers]:
    """Buyers at the proxy of these machines."""
    people = Buyers(machines.url, machines.tokens, seed=seed)
    try:
        yield people
    finally:
        people.close()


def _identity(outcome: dict[str, Any]) -> tuple[object, ...]:
    """What stays the same of an outcome: its place on the log, its reservation, the seats or the refusal."""
    held = "type" not in outcome
    seats = tuple(outcome["seats"]) if held else outcome["type"]
    return tuple(outcome["position"].values()), outcome["id" if held else "reservation_id"], seats


def _told(outcome: dict[str, Any]) -> ToldOutcome:
    at = outcome["position"]
    if "type" in outcome:
        return ToldOutcome(outcome["reservation_id"], at["partition"], at["offset"], status="rejected")
    return ToldOutcome(outcome["id"], at["partition"], at["offset"])
