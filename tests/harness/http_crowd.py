"""People who ask over HTTP while the broker is away, and repeat with the same keys when it is back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from api.auth.tokens import Role
from connectors.settings import Settings
from ops.proof.checker import ToldOutcome
from ops.run.services.process import wait_for
from tests.harness.api_process import api_process
from tests.harness.shop import OnSale, Person, Shop, done, problem, unique

PEOPLE, SEATS_EACH = 20, 2
BACK_S = 90.0


class HttpCrowd:
    """Each has one key and asks for SEATS_EACH seats of one event; the first one got theirs before."""

    def __init__(self, event: OnSale, people: list[Person]) -> None:
        self._event = event
        self._asking = [(person, unique()) for person in people]
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._first = done(self._ask(self._asking[0]), 201)

    def are_turned_away(self) -> None:
        """Everyone gets 503 with Retry-After, and soon."""
        for answer in self._all(self._asking):
            problem(answer, 503, "not-acknowledged")
            assert int(answer.headers["retry-after"]) >= 1

    def have_one_outcome_each(self, meanwhile: Callable[[], None]) -> list[ToldOutcome]:
        """Everyone asks until they have their seats: one hold for one key, for every result of the first attempts.

        `meanwhile` restarts dead processes, as the supervisor does.
        """
        assert wait_for(lambda: self._all_have_theirs(meanwhile), timeout_s=BACK_S) is None, (
            f"{len(self._outcomes)} of {PEOPLE}"
        )
        first, *_ = outcomes = [self._outcomes[key] for _, key in self._asking]
        assert first == self._first, "an outcome from before has changed"
        assert [done(answer, 201) for answer in self._all(self._asking)] == outcomes
        seats = [seat for one in outcomes for seat in one["seats"]]
        assert len(seats) == len(set(seats)) == SEATS_EACH * PEOPLE
        return [ToldOutcome(one["id"], one["position"]["partition"], one["position"]["offset"]) for one in outcomes]

    def _all_have_theirs(self, meanwhile: Callable[[], None]) -> bool:
        meanwhile()
        left = [who for who in self._asking if who[1] not in self._outcomes]
        for (_, key), answer in zip(left, self._all(left), strict=True):
            assert answer.status_code in (201, 202, 503), answer.text
            if answer.status_code == 201:
                self._outcomes[key] = answer.json()
        return len(self._outcomes) == PEOPLE

    def _all(self, asking: list[tuple[Person, str]]) -> list[httpx.Response]:
        with ThreadPoolExecutor(PEOPLE) as pool:
            return list(pool.map(self._ask, asking))

    def _ask(self, who: tuple[Person, str]) -> httpx.Response:
        person, key = who
        wanted = {"ticket_type_id": self._event.seated, "quantity": SEATS_EACH}
        return person.reserve(self._event.id, key=key, prefer="wait=5", **wanted)


@contextmanager
def http_crowd(settings: Settings, scratch: Path) -> Iterator[HttpCrowd]:
    """An API for running dataflows, with an event on sale: 40 seats, exactly enough."""
    with api_process(settings, scratch) as api:
        shop = Shop(str(api.http.base_url))
        try:
            event = shop.event(api.person(str(uuid4()), Role.ORGANIZER))
            yield HttpCrowd(event, [api.person(str(uuid4())) for _ in range(PEOPLE)])
        finally:
            shop.http.close()
