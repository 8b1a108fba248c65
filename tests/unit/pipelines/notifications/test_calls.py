"""A call to an organizer has all data about their event, and nothing that identifies a buyer."""

from __future__ import annotations

import msgspec
import pytest

from pipelines.notifications.calls import OMITTED_FIELDS, SENT_FIELDS, TEST, TYPE_NAMES, TYPES, call_of
from schemas import facts as f
from schemas.facts import Reason
from schemas.times import rfc3339_micros
from tests.harness.fact_logs import FactLog, recorded
from tests.harness.words import ALICE, BOB, DEADLINE, EVENT, R1, STALLS, T, created, held, payment_requested, rejected


def test_a_hold_is_told_with_its_place_on_the_log_and_without_its_buyer() -> None:
    call = call_of(recorded(held(["A-1", "A-2"]), offset=7, index=1, count=2, partition=3))
    assert call is not None
    assert (call.event_id, call.partition, call.offset, call.index, call.type) == (EVENT, 3, 7, 1, "tickets.held")
    assert msgspec.json.decode(call.payload) == {
        "type": "tickets.held",
        "timestamp": rfc3339_micros(T + 7),
        "data": {
            "event_id": EVENT,
            "position": {"partition": 3, "offset": 7, "index": 1},
            "reservation_id": R1,
            "ticket_type_id": STALLS,
            "quantity": 2,
            "seats": ["A-1", "A-2"],
            "amount": 5_000,
            "currency": "EUR",
            "expires_at": rfc3339_micros(DEADLINE),
            "promo_code": None,
            "access_code": None,
            "discount": None,
        },
    }


@pytest.mark.parametrize("fact", list(TYPES), ids=lambda fact: fact.__name__)
def test_every_field_of_what_is_told_is_known_to_be_told_or_not(fact: type[f.Fact]) -> None:
    fields = set(fact.__struct_fields__)
    assert fields <= SENT_FIELDS | OMITTED_FIELDS, "say in calls.py whether organizers are told it"


def test_no_field_is_both_and_none_that_names_a_person_is_told() -> None:
    assert not SENT_FIELDS & OMITTED_FIELDS
    assert {name for name in SENT_FIELDS if "user" in name} == {"max_per_user", "max_tickets_per_user"}
    assert not {name for name in SENT_FIELDS if "token" in name or "member" in name}


def test_no_body_has_a_users_id_in_it() -> None:
    log = FactLog(partition=0, seed=31)
    facts = log.take(600)
    users = {getattr(one.fact, "user_id", "") for one in facts} - {""}
    calls = [call for one in facts if (call := call_of(one)) is not None]
    assert len({call.type for call in calls}) > 5
    assert len(users) > 5
    assert not [call for call in calls for user in users if user in call.payload]
    assert [call_of(one) for one in facts if call_of(one) is not None] == calls


@pytest.mark.parametrize(
    "fact", [rejected(Reason.SOLD_OUT, "0 left"), payment_requested(), f.TickObserved(), f.StaffAdded(ALICE, BOB)]
)
def test_what_is_no_business_of_organizers_is_not_told(fact: f.Fact) -> None:
    assert call_of(recorded(fact, offset=1)) is None


def test_a_time_that_is_not_set_is_null() -> None:
    call = call_of(recorded(created(sales_open_at=0), offset=1))
    assert call is not None
    data = msgspec.json.decode(call.payload)["data"]
    assert data["sales_open_at"] is None
    assert data["title"] == "Night of the Circle"


def test_every_type_has_a_name_of_its_own() -> None:
    assert len(TYPE_NAMES) == len(TYPES)
    assert TEST not in TYPE_NAMES
