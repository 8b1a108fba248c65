"""People who ask over HTTP for a ticket type that is sold out, and ask again with the same keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from api.auth.tokens import Role
from connectors.settings import Settings
from ops.proof.checker import ToldOutcome
from ops.run.services.process import wait_for
from tests.harness.api_process import OPERATOR, ApiProcess, api_process
from tests.harness.shop import Person, done, problem, unique

WAIT_S = 60.0
ASKING = 12  # at the same time
EVENT: dict[str, Any] = {
    "title": "The last place",
    "description": "",
    "category_id": None,
    "venue": "Hall",
    "starts_at": "2096-06-01T19:00:00Z",
    "ends_at": "2096-06-01T22:00:00Z",
    "timezone": "UTC",
    "hold_ttl_s": 3_600,
    "max_tickets_per_user": 4,
}
KIND = {
    "name": "The place",
    "price": {"amount": 1500, "currency": "EUR"},
    "layout": {"kind": "general", "capacity": 1},
}


Answered = tuple[Person, str, dict[str, Any]]
"""A person, their key, and the document of its refusal."""


class Latecomers:
    """An event with one place, which its first buyer holds. `asked` has each key with its person and its answer."""

    def __init__(self, organizer: Person, first: Person) -> None:
        self.event = created(organizer)
        kinds = f"/v1/events/{self.event}/ticket-types"
        self.kind = done(organizer.post(kinds, prefer="wait=20", json=KIND), 201)["id"]
        done(organizer.post(f"/v1/events/{self.event}/publish", prefer="wait=20"), 200)
        self.first = first
        self.held = done(self.ask(first, unique()), 201)
        self.asked: dict[str, tuple[Person, httpx.Response | None]] = {}
        self._lock = threading.Lock()

    def ask(self, person: Person, key: str, *, prefer: str | None = "wait=20", **options: Any) -> httpx.Response:
        body = {"ticket_type_id": self.kind, "quantity": 1}
        path = f"/v1/events/{self.event}/reservations"
        return person.post(path, key=key, prefer=prefer, json=body, **options)

    def release(self) -> None:
        """The first buyer gives the place back."""
        done(self.first.delete(f"/v1/reservations/{self.held['id']}", prefer="wait=20"), 200)

    @contextmanager
    def asking(self, people: list[Person], *, prefer: str | None = "wait=20") -> Iterator[None]:
        """While the block runs, people ask one after the other, ASKING at the same time, each with a key of its own."""
        ended = threading.Event()

        def keep_asking(number: int) -> None:
            while not ended.is_set():
                person, key = people[number % len(people)], unique()
                answer: httpx.Response | None = None
                try:
                    answer = self.ask(person, key, prefer=prefer)
                except httpx.TransportError:
                    ended.wait(0.05)  # the process is gone; another one gets the same key later
                with self._lock:
                    self.asked[key] = person, answer

        with ThreadPoolExecutor(ASKING) as pool:
            running: list[Future[None]] = [pool.submit(keep_asking, number) for number in range(ASKING)]
            try:
                yield
            finally:
                ended.set()
            for one in running:
                one.result()

    def ask_again(self, http: httpx.Client | None = None) -> list[Answered]:
        """Each key again, through `http` or the same process: the answer that it had, or its first one. All are
        refused as sold out. Returns the person, the key and the document."""
        documents = []
        for key, (person, before) in self.asked.items():
            asks = (
                person
                if http is None
                else Person(http=http, id=person.id, email="", access_token=person.access_token, refresh_token="")
            )
            document = problem(self.ask(asks, key), 409, "sold-out")
            if before is not None and before.status_code == 409:
                assert document == before.json()
            documents.append((asks, key, document))
        return documents

    def wait_until(self, answers: int) -> None:
        """Until so many have been asked."""
        assert wait_for(lambda: len(self.asked) >= answers, timeout_s=WAIT_S) is None, len(self.asked)


def created(organizer: Person) -> str:
    """The event's id. The request is repeated with its key until a worker has decided it: the tests before may have
    killed the workers of its partition, whose sessions end first."""
    answers, key = list[httpx.Response](), unique()

    def decided() -> bool:
        answers.append(organizer.post("/v1/events", key=key, prefer="wait=20", json=EVENT))
        return answers[-1].status_code != 202

    assert wait_for(decided, timeout_s=WAIT_S) is None, answers[-1].text
    return str(done(answers[-1], 201)["id"])


@contextmanager
def latecomers(settings: Settings, scratch: Path) -> Iterator[tuple[ApiProcess, Latecomers]]:
    """An API process for running dataflows, with an event that is sold out."""
    with api_process(settings, scratch) as api:
        yield api, Latecomers(api.person(str(uuid4()), Role.ORGANIZER), api.person(str(uuid4())))


def told(documents: list[Answered]) -> list[ToldOutcome]:
    """The answers, for the checker."""
    return [
        ToldOutcome(document["reservation_id"], **document["position"], status="rejected")
        for _, _, document in documents
    ]


def edge_figures(http: httpx.Client, headers: dict[str, str] = OPERATOR) -> tuple[int, int]:
    """How many refusals of an API process went to the log together, and in how many records."""
    lines = http.get("/metrics", headers=headers).text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if line.startswith("circle_api_edge_"))
    names = ("circle_api_edge_refusals_total", "circle_api_edge_records_total")
    refusals, records = (int(float(figures[name])) for name in names)
    return refusals, records
