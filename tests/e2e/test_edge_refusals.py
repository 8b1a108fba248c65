"""Requests for a sold-out ticket type that go to the log together get the answers that they would get alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.fairness.limits import EDGE_KNOWN_S, METRICS_KEPT_S
from ops.proof.checker import ToldOutcome
from ops.proof.checker.quiescence import wait_until_settled
from ops.proof.full_check import check
from ops.run.platform import Platform
from schemas.codec import Codec
from schemas.commands import ReserveInTurn, ReserveTickets
from tests.harness.api_process import api_process
from tests.harness.flows import command_records
from tests.harness.latecomers import Latecomers, edge_figures
from tests.harness.shop import Person, Shop, done, open_shop, problem, unique

MANY = 60


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Platform, Shop]]:
    with open_shop() as opened:
        yield opened


@pytest.fixture
def crowd(running: tuple[Platform, Shop]) -> Latecomers:
    shop = running[1]
    return Latecomers(shop.organizer(), shop.person())


@pytest.fixture(scope="module")
def people(running: tuple[Platform, Shop]) -> list[Person]:
    return [running[1].person() for _ in range(6)]


def current_figures(shop: Shop) -> tuple[int, int]:
    """Refusals that went together, and their records: the figures of this moment."""
    time.sleep(METRICS_KEPT_S)  # the same figures are served for so long
    return edge_figures(shop.http, shop.operator)


def by_key(platform: Platform) -> dict[str, type[ReserveTickets] | type[ReserveInTurn]]:
    """Each reservation with the type of its first command on the log."""
    found: dict[str, type[ReserveTickets] | type[ReserveInTurn]] = {}
    for record in command_records(platform.settings):
        command = Codec().decode(record.value())
        if isinstance(command, ReserveInTurn):
            for one in command.reservation_ids:
                found.setdefault(one, ReserveInTurn)
        elif isinstance(command, ReserveTickets):
            found.setdefault(command.reservation_id, ReserveTickets)
    return found


def test_refusals_that_went_together_are_as_those_that_went_alone(
    running: tuple[Platform, Shop], crowd: Latecomers, people: list[Person]
) -> None:
    platform, shop = running
    before, records_before = current_figures(shop)
    alone = crowd.ask(people[0], unique(), headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    with crowd.asking(people):
        crowd.wait_until(MANY)
    figures = current_figures(shop)
    together, records = figures[0] - before, figures[1] - records_before
    assert together > MANY / 2
    assert records < together / 2, "several share a record"
    documents = crowd.ask_again()
    reference = problem(alone, 409, "sold-out")
    settings = platform.settings
    wait_until_settled(settings, no_holds=False)
    commands = by_key(platform)
    assert commands[reference["reservation_id"]] is ReserveTickets
    told = []
    for person, _, document in documents:
        assert document.keys() == reference.keys()
        assert document["as_of"] == document["position"]
        same = ("type", "title", "status", "detail")
        assert [document[name] for name in same] == [reference[name] for name in same]
        reservation = done(person.get(f"/v1/reservations/{document['reservation_id']}"), 200)
        assert (reservation["status"], reservation["reason"]) == ("rejected", "sold-out")
        assert reservation["position"] == document["position"]
        told.append(ToldOutcome(document["reservation_id"], **document["position"], status="rejected"))
    assert sum(commands[document["reservation_id"]] is ReserveInTurn for *_, document in documents) >= together
    assert {response.headers["content-type"] for _, response in crowd.asked.values() if response is not None} == {
        alone.headers["content-type"]
    }
    report = check(settings, told=told, strict=False)
    assert report.ok, report.text()
    person, _, document = documents[-1]
    explained = done(person.get(f"/v1/reservations/{document['reservation_id']}/explanation"), 200)
    (decision,) = explained["decisions"]
    assert (decision["outcome"], decision["reason"], decision["free_then"]["available"]) == ("rejected", "sold-out", 0)
    position = document["as_of"]
    assert decision["position"].startswith(f"{position['partition']}-{position['offset']}-")


def test_a_place_that_is_given_back_ends_the_refusals(
    running: tuple[Platform, Shop], crowd: Latecomers, people: list[Person]
) -> None:
    before = current_figures(running[1])[0]
    with crowd.asking(people):
        crowd.wait_until(MANY)
        crowd.release()
        asked = len(crowd.asked)
        crowd.wait_until(asked + MANY)
    assert current_figures(running[1])[0] > before
    answers = [response for _, response in crowd.asked.values() if response is not None]
    statuses = [response.status_code for response in answers]
    assert statuses.count(201) == 1, "the place was sold once, to the first request behind the release"
    assert statuses.count(409) == len(statuses) - 1
    (sold,) = (response.json() for response in answers if response.status_code == 201)
    key = next(key for key, (_, response) in crowd.asked.items() if response is not None and response.json() == sold)
    again = crowd.ask(crowd.asked[key][0], key)
    assert (done(again, 201), again.headers["idempotency-replayed"]) == (sold, "true")


def test_the_same_key_has_the_same_answer_on_each_way_to_the_log(
    running: tuple[Platform, Shop], crowd: Latecomers, people: list[Person], tmp_path: Path
) -> None:
    """Together and alone, by the hot way and by Sanic's, through this process and another without edge refusals."""
    platform = running[0]
    with crowd.asking(people[:2]):
        crowd.wait_until(20)
        keys = [unique() for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:  # the same keys at the same time: within one window
            twins = list(pool.map(lambda key: crowd.ask(people[0], key), keys * 2))
    for first, second in zip(twins[:8], twins[8:], strict=True):
        assert problem(first, 409, "sold-out") == problem(second, 409, "sold-out")
    key, (person, answer) = next((key, one) for key, one in crowd.asked.items() if one[1] is not None)
    assert answer is not None
    body = f'{{"ticket_type_id":"{crowd.kind}","quantity":1}}'.encode()
    path = f"/v1/events/{crowd.event}/reservations"
    chunked = person.post(path, key=key, content=iter([body]), headers={"content-type": "application/json"})
    assert problem(chunked, 409, "sold-out") == answer.json()
    receipt = crowd.ask(person, key, prefer="wait=20, receipt")
    assert problem(receipt, 409, "sold-out") == answer.json()
    assert "circle-receipt" in receipt.headers
    key_file = platform.settings.jwt_key_file
    assert key_file is not None
    (tmp_path / "jwt.pem").write_bytes(key_file.read_bytes())
    with api_process(platform.settings, tmp_path, CIRCLE_EDGE_REFUSALS="off") as other:
        crowd.ask_again(other.http)
        assert edge_figures(other.http) == (0, 0)


def test_a_lone_request_and_one_for_fewer_places_do_not_wait_for_others(
    running: tuple[Platform, Shop], people: list[Person]
) -> None:
    shop = running[1]
    event = shop.event(shop.organizer(), max_tickets_per_user=200)
    buyer = people[0]
    for _ in range(9):
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=10), 201)
    done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=9), 201)
    before = current_figures(shop)
    problem(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2), 409, "sold-out")
    done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    time.sleep(EDGE_KNOWN_S)  # what was learned counts for so long
    problem(buyer.reserve(event.id, ticket_type_id=event.general, quantity=2), 409, "sold-out")
    assert current_figures(shop) == before
