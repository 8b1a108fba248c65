"""Only its organizer changes an event, never into terms that contradict each other, and a repeat changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.reservations.core import limits
from schemas.facts import Reason
from tests.harness.words import (
    ALICE,
    EVENT,
    FLOOR,
    STALLS,
    T,
    add_type,
    create,
    created,
    duplicate,
    folded,
    given,
    publish,
    published,
    refused,
    type_added,
    update,
    updated,
)

THERE_IS_NONE = f"there is no event {EVENT}"
ONLY_THE_OWNER = "only the event's organizer may do this"


def test_an_event_is_created_as_described() -> None:
    given().when(create(title="One")).then(created(title="One"))


def test_creating_it_again_changes_nothing() -> None:
    given(created()).when(create(title="Another")).then(duplicate(create(), EVENT))


def test_another_organizers_event_is_not_overwritten() -> None:
    command = create(by=ALICE)
    given(created()).when(command).then(
        refused(command, Reason.EVENT_EXISTS, "another organizer has an event with this id")
    )


BAD_SCHEDULES: list[tuple[dict[str, Any], str]] = [
    ({"ends_at": T, "starts_at": T}, "ends_at must be after starts_at"),
    ({"sales_open_at": 10, "sales_close_at": 10}, "sales_close_at must be after sales_open_at"),
    ({"hold_ttl_s": 0}, "hold_ttl_s must be 1 to 3600"),
    ({"hold_ttl_s": limits.HOLD_TTL_S_MAX + 1}, "hold_ttl_s must be 1 to 3600"),
    ({"max_tickets_per_user": 0}, "max_tickets_per_user must be 1 to 1000"),
    ({"max_tickets_per_user": 1_001}, "max_tickets_per_user must be 1 to 1000"),
]


@pytest.mark.parametrize(("changes", "detail"), BAD_SCHEDULES)
def test_a_description_that_contradicts_itself_is_refused(changes: dict[str, Any], detail: str) -> None:
    command = create(**changes)
    given().when(command).then(refused(command, Reason.INVALID_SCHEDULE, detail, field=detail.partition(" ")[0]))


@pytest.mark.parametrize(("changes", "detail"), BAD_SCHEDULES)
def test_an_update_may_not_make_it_contradict_itself(changes: dict[str, Any], detail: str) -> None:
    command = update(**changes)
    given(created()).when(command).then(
        refused(command, Reason.INVALID_SCHEDULE, detail, field=detail.partition(" ")[0])
    )


@pytest.mark.parametrize("hold_ttl_s", [limits.HOLD_TTL_S_MIN, limits.HOLD_TTL_S_MAX])
def test_the_bounds_of_a_hold_themselves_are_allowed(hold_ttl_s: int) -> None:
    given().when(create(hold_ttl_s=hold_ttl_s)).then(created(hold_ttl_s=hold_ttl_s))


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    given(created()).when(update(title="Later", venue="Garden")).then(updated(title="Later", venue="Garden"))


def test_an_update_may_set_a_text_to_empty() -> None:
    given(created(description="old")).when(update(description="")).then(updated(description=""))


def test_an_update_that_changes_nothing_is_a_duplicate() -> None:
    command = update(title="Night of the Circle")
    given(created()).when(command).then(duplicate(command, EVENT))


def test_an_update_keeps_the_organizer() -> None:
    state = folded(created(), updated(title="Later"))
    assert state.details is not None
    assert state.details.title == "Later"
    assert state.details.organizer_id == created().user_id


def test_a_draft_is_published() -> None:
    given(created()).when(publish()).then(published())


def test_publishing_again_changes_nothing() -> None:
    given(created(), published()).when(publish()).then(duplicate(publish(), EVENT))


@pytest.mark.parametrize("command", [update(title="x"), publish(), add_type()])
def test_an_event_that_does_not_exist_cannot_be_changed(command: Any) -> None:
    given().when(command).then(refused(command, Reason.EVENT_NOT_FOUND, THERE_IS_NONE))


@pytest.mark.parametrize("command", [update(by=ALICE, title="x"), publish(by=ALICE), add_type(by=ALICE)])
def test_only_the_organizer_changes_an_event(command: Any) -> None:
    given(created()).when(command).then(refused(command, Reason.NOT_OWNER, ONLY_THE_OWNER))


def test_ticket_types_get_their_ordinals_in_order() -> None:
    given(created()).when(add_type()).then(type_added(ordinal=0))
    given(created(), type_added()).when(add_type(FLOOR, kind="general", capacity=5)).then(
        type_added(FLOOR, 1, kind="general", capacity=5)
    )


def test_a_ticket_type_may_be_added_while_sales_are_open() -> None:
    given(created(), type_added(), published()).when(add_type(FLOOR)).then(type_added(FLOOR, 1))


def test_a_ticket_type_is_added_once() -> None:
    given(created(), type_added()).when(add_type(rows=9)).then(duplicate(add_type(), STALLS))


SIZES = "layout.rows must be 1 to 1000, layout.seats_per_row 1 to 500"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"kind": "standing"}, "layout.kind must be seated or general"),
        ({"price_minor": -1}, f"price.amount must be 0 to {10**12}"),
        ({"price_minor": 10**12 + 1}, f"price.amount must be 0 to {10**12}"),
        ({"sales_open_at": 5, "sales_close_at": 5}, "sales_close_at must be after sales_open_at"),
        ({"kind": "general", "capacity": 0}, "layout.capacity must be 1 to 1000000"),
        ({"kind": "general", "capacity": 1_000_001}, "layout.capacity must be 1 to 1000000"),
        ({"rows": 0}, SIZES),
        ({"rows": 1_001}, SIZES),
        ({"seats_per_row": 0}, SIZES),
        ({"seats_per_row": 501}, SIZES),
        ({"rows": 101, "seats_per_row": 500}, "layout has more than 50000 seats; make it several ticket types"),
    ],
)
def test_a_ticket_type_beyond_its_limits_is_refused(changes: dict[str, Any], detail: str) -> None:
    command = add_type(**changes)
    given(created()).when(command).then(
        refused(command, Reason.INVALID_TICKET_TYPE, detail, field=detail.partition(" ")[0])
    )


def test_an_event_has_a_limit_of_ticket_types() -> None:
    small = {"kind": "general", "capacity": 1}
    some = [type_added(f"type-{ordinal}", ordinal, **small) for ordinal in range(limits.TICKET_TYPES_PER_EVENT_MAX)]
    command = add_type("one-more")
    given(created(), *some).when(command).then(
        refused(command, Reason.INVALID_TICKET_TYPE, "an event has at most 200 ticket types")
    )
    given(created(), *some[:-1]).when(command).then(type_added("one-more", 199))
