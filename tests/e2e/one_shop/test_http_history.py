"""The log answers its owner over HTTP: why a request was refused, the seats of a time, and a receipt that holds."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ops.run.platform import Platform
from ops.verify.follow_report import board_report
from ops.verify.receipt import check
from ops.verify.verify import VerifyOptions, follow
from pipelines.monitoring.board import Board
from tests.harness.flows import eventually
from tests.harness.shop import OnSale, Person, Shop, done, problem


@pytest.fixture
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer())


def letters(found: dict[str, Any]) -> str:
    return "".join(seat["status"][0] for seat in found["items"][0]["seats"])


def test_a_refusal_is_explained_to_its_owner_without_a_word_on_others(shop: Shop, event: OnSale) -> None:
    first, second = shop.person(), shop.person()
    held = done(first.reserve(event.id, ticket_type_id=event.seated, seats=["A-1", "A-2"]), 201)
    refused = problem(second.reserve(event.id, ticket_type_id=event.seated, seats=["A-2"]), 409, "seat-taken")
    path = f"/v1/reservations/{refused['reservation_id']}/explanation"
    found = done(second.get(path), 200)
    (decision,) = found["decisions"]
    at = held["position"]
    assert (decision["outcome"], decision["reason"], decision["seats_asked"]) == ("rejected", "seat-taken", ["A-2"])
    assert decision["had_by"] == [{"place": "A-2", "position": f"{at['partition']}-{at['offset']}", "status": "held"}]
    assert decision["free_then"]["held"] == 2
    assert first.id not in json.dumps(found)
    problem(first.get(path), 404, "reservation-not-found")
    done(first.delete(f"/v1/reservations/{held['id']}"), 200)
    later = done(first.get(f"/v1/reservations/{held['id']}/explanation"), 200)["later"]
    assert [one["what"] for one in later] == ["HoldReleased"]


def test_the_seats_are_shown_as_they_were(shop: Shop, event: OnSale) -> None:
    buyer = shop.person()
    held = done(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["A-1"]), 201)
    done(buyer.confirm(held["id"]), 200)
    path, at = f"/v1/events/{event.id}/seats", held["position"]
    then = done(shop.http.get(path, params={"at": f"{at['partition']}-{at['offset']}"}), 200)
    assert (then["source"], then["position"]) == ("log", f"{at['partition']}-{at['offset']}-0")
    assert letters(then).startswith("ha")
    assert letters(done(shop.http.get(path, params={"at": then["time"]}), 200)).startswith("ha")
    before = done(shop.http.get(path, params={"at": "2020-01-01T00:00:00Z"}), 200)
    assert (before["items"], before["position"]) == ([], None)
    now = done(shop.http.get(path, params={"at": "2099-01-01T00:00:00+02:00"}), 200)
    assert letters(now) == letters(done(shop.http.get(path), 200))
    assert letters(now).startswith("sa")
    for wrong in ("tomorrow", f"{(at['partition'] + 1) % 8}-1", "3", "x" * 65):
        assert problem(shop.http.get(path, params={"at": wrong}), 422, "invalid-request")["field"] == "at"


@pytest.mark.parametrize("prefer", ["wait=10, receipt", "respond-async"])
def test_a_receipt_holds_against_the_log(
    running: tuple[Platform, Shop], event: OnSale, prefer: str, tmp_path: Path
) -> None:
    platform, shop = running
    buyer: Person = shop.person()
    granted = buyer.reserve(event.id, prefer=prefer, ticket_type_id=event.general, quantity=1)
    body = granted.json()
    receipts = [granted.headers.get("circle-receipt") or body["receipt"]]
    if granted.status_code == 201:
        refused = buyer.reserve(event.id, prefer=prefer, ticket_type_id=event.seated, seats=["Z-99"])
        problem(refused, 409, "seat-unknown")
        receipts.append(refused.headers["circle-receipt"])
    else:
        assert granted.status_code == 202
        assert "circle-receipt" not in buyer.reserve(event.id, ticket_type_id=event.general, quantity=1).headers
    keys = tmp_path / "jwks.json"
    keys.write_text(shop.http.get("/.well-known/jwks.json").text)
    found = [check(platform.settings, receipt, keys) for receipt in receipts]
    assert [one.holds for one in found] == [True] * len(receipts)
    assert (found[0].command, found[0].reservation_id) == ("ReserveTickets", body["id"])
    assert (found[0].partition, found[0].offset) == (body["position"]["partition"], body["position"]["offset"])


def test_what_is_watched_is_on_readyz(running: tuple[Platform, Shop], event: OnSale) -> None:
    platform, shop = running
    buyer = shop.person()
    done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)

    def details() -> dict[str, Any]:
        found: dict[str, Any] = done(shop.http.get("/readyz", headers=shop.operator), 200)["details"]
        return found

    eventually(lambda: (details()["monitoring"] or {}).get("facts", 0) >= 5, "monitoring has counted the facts")
    assert {lag["flow"] for lag in details()["monitoring"]["lags"]} >= {"circle.reservations", "circle.projections"}
    assert details()["verify"] is None
    ended = []
    with closing(Board(platform.settings)) as board:
        show = board_report(board)
        assert follow(
            platform.settings,
            VerifyOptions(),
            told=lambda runs: (show(runs), ended.append(True))[0],
            stop=lambda: bool(ended),
        )
    found = details()["verify"]
    assert (found["divergences"], len(found["partitions"])) == (0, platform.settings.partitions)
    assert found["facts"] >= 5
    assert any(one["through"] >= 0 and one["digest"] for one in found["partitions"])
