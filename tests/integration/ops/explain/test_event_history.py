"""`circle explain` and `circle seats` on a log, with and without Postgres for the look-up of the reservation."""

from __future__ import annotations

import pytest

from connectors.settings import Settings
from schemas.placement import partition_of
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.words import ALICE, BOB, EVENT, R1, R2, add_type, create, publish, release, reserve


@pytest.fixture
def home(settings: Settings) -> int:
    number = partition_of(EVENT, settings.partitions)
    log = BothLogs(partition=number, seed=1)
    for command in (create(), add_type(), publish(), reserve(2, ["B-1", "B-2"]), reserve(1, ["B-2"], rid=R2, by=BOB)):
        log.put(command)
    log.put(release())
    log.take(60)
    write_both(settings, [log])
    return number


def test_a_reservation_is_explained_from_the_log_alone(circle: Circle, home: int) -> None:
    code, found = circle("explain", R2, "--json")
    assert code == 0
    (one,) = found["decisions"]
    assert (one["position"], one["outcome"], one["reason"]) == (f"{home}-4-0", "rejected", "seat-taken")
    assert one["had_by"] == [{"place": "B-2", "position": f"{home}-3", "status": "held"}]
    code, text = circle("explain", R1, "--event", EVENT)
    assert code == 0
    assert "HoldReleased" in text
    assert ALICE not in text


def test_a_reservation_that_is_nowhere_is_said_so(circle: Circle, home: int) -> None:
    assert circle("explain", "nobody") == (1, "")
    assert circle("explain", "nobody", "--event", EVENT) == (1, "")


def test_the_seat_map_as_it_was(circle: Circle, home: int) -> None:
    code, then = circle("seats", EVENT, "--at", f"{home}-3", "--json")
    assert (code, then["position"]) == (0, f"{home}-3-0")
    assert then["sections"][0]["rows"][1] == {"row": "B", "seats": "hh...."}
    code, text = circle("seats", EVENT)
    assert code == 0
    assert "B  ......" in text
    other = (home + 1) % 8
    assert circle("seats", EVENT, "--at", f"{other}-3")[0] == 2
    assert circle("seats", EVENT, "--at", "tomorrow")[0] == 2
    assert circle("seats", "no-such-event")[0] == 1
