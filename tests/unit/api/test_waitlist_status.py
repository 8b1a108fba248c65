"""An entry of a waiting list has the status of its offer, once there is one."""

from __future__ import annotations

import pytest

from api.routes.waitlist import status_of
from schemas.statuses import ReservationStatus


@pytest.mark.parametrize(
    ("entry", "offer", "status"),
    [
        ("waiting", None, "waiting"),
        ("ended", None, "ended"),
        ("offered", None, "offered"),
        ("offered", ReservationStatus.HELD, "offered"),
        ("offered", ReservationStatus.CONFIRMED, "bought"),
        ("offered", ReservationStatus.RELEASED, "released"),
        ("offered", ReservationStatus.EXPIRED, "expired"),
        ("offered", ReservationStatus.CANCELLED, "cancelled"),
    ],
)
def test_an_entry_becomes_what_its_offer_became(entry: str, offer: str | None, status: str) -> None:
    assert status_of(entry, offer) == status
