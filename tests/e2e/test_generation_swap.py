"""A new generation of the rows is swapped in under a platform that sells: its callers do not notice."""

from __future__ import annotations

from typing import Any

from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.proof.checker import wait_until_settled
from ops.rebuild.projections import go_back, rebuild
from ops.verify.verify import VerifyOptions, verify
from tests.harness.flows import rows_of
from tests.harness.shop import Person, done, open_shop

EFFECTS = ("notifications", "mail_deliveries", "webhook_deliveries", "sandbox.payments", "sandbox.refunds")


def effects(settings: Settings) -> dict[str, int]:
    """The numbers of messages, calls, charges and refunds."""
    with rows_of(settings) as query:
        return {table: query(f"SELECT count(*) FROM {table}")[0][0] for table in EFFECTS}


def read(buyer: Person, path: str) -> Any:
    """Answers from the rows, without `now`, which is the clock's."""
    found = done(buyer.get(path), 200)
    found.pop("now", None)
    return found


def test_the_api_and_the_dataflows_go_on_in_the_new_tables() -> None:
    with open_shop() as (platform, shop), ProgressBars(quiet=True) as progress:
        event, buyer, other = shop.event(shop.organizer()), shop.person(), shop.person()
        bought = done(other.reserve(event.id, ticket_type_id=event.general, quantity=2), 201)["id"]
        done(other.confirm(bought), 200)
        done(other.delete(f"/v1/reservations/{bought}", prefer="wait=20"), 200)  # so that money has gone back
        held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
        paths = ["/v1/reservations", f"/v1/reservations/{held['id']}", f"/v1/events/{event.id}", "/v1/tickets"]
        before = [read(buyer, path) for path in paths]  # the API's statements are prepared by now
        wait_until_settled(platform.settings)
        told = effects(platform.settings)
        report = rebuild(platform.settings, progress, promote=True)
        assert (report.ok, report.promoted) == (True, True)
        wait_until_settled(platform.settings)
        assert effects(platform.settings) == told, "nobody is told, charged or refunded again"
        assert told["sandbox.refunds"] == 1
        assert [read(buyer, path) for path in paths] == before
        done(buyer.confirm(held["id"]), 200)
        done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
        assert len(done(buyer.get("/v1/tickets"), 200)["items"]) == 2
        assert len(done(buyer.get("/v1/reservations"), 200)["items"]) == 2
        with rows_of(platform.settings) as query:
            former = query("SELECT status FROM generation_previous.reservations ORDER BY id = $1", held["id"])
            assert former == [("cancelled",), ("held",)]
        wait_until_settled(platform.settings)
        told = effects(platform.settings)
        report = go_back(platform.settings, progress, promote=True)
        assert (report.ok, report.promoted, report.facts > 0) == (True, True, True)
        wait_until_settled(platform.settings)
        assert effects(platform.settings) == told
        assert len(done(buyer.get("/v1/tickets"), 200)["items"]) == 2
        done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
        assert len(done(buyer.get("/v1/reservations"), 200)["items"]) == 3
        found = verify(platform.settings, VerifyOptions(), progress)
        assert found.ok, [one for part in found.partitions for one in part.divergences]
