"""A new generation of the rows is swapped in under a platform that sells: nobody who calls it notices."""

from __future__ import annotations

from ops.load.progress import Progress
from ops.replay.generation import rebuild
from ops.replay.verify import VerifyOptions, verify
from tests.harness.flows import rows_of
from tests.harness.shop import done, open_shop


def test_the_api_and_the_dataflows_go_on_in_the_new_tables() -> None:
    with open_shop() as (platform, shop), Progress(quiet=True) as progress:
        event, buyer = shop.event(shop.organizer()), shop.person()
        held = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
        paths = ["/v1/reservations", f"/v1/reservations/{held['id']}", f"/v1/events/{event.id}", "/v1/tickets"]
        before = [done(buyer.get(path), 200) for path in paths]  # the API's statements are prepared by now
        report = rebuild(platform.settings, progress, promote=True)
        assert (report.ok, report.promoted) == (True, True)
        assert [done(buyer.get(path), 200) for path in paths] == before
        done(buyer.confirm(held["id"]), 200)
        done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=1), 201)
        assert len(done(buyer.get("/v1/tickets"), 200)["items"]) == 2
        assert len(done(buyer.get("/v1/reservations"), 200)["items"]) == 2
        with rows_of(platform.settings) as query:
            assert query("SELECT status FROM generation_previous.reservations") == [("held",)]
        found = verify(platform.settings, VerifyOptions(), progress)
        assert found.ok, [one for part in found.partitions for one in part.divergences]
