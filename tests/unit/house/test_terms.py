"""One definition for the terms of an event, one for those of a ticket type: each type with terms has exactly these."""

from __future__ import annotations

import re
import typing
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from api.shapes.events import EventIn, EventOut, EventPatch, TicketTypeIn, TicketTypeOut, TicketTypePatch
from api.shapes.terms import answer_of, term_of, terms_in
from ops.migrations import SQL_DIR
from pipelines.columns import column_type
from pipelines.notifications.calls import SENT_FIELDS
from pipelines.projections.changes import EventChange, TicketTypeChange
from pipelines.projections.store import SQL as PROJECTIONS
from pipelines.reservations.core.entities import Details, Section
from pipelines.reservations.snapshot_rows import EventRow, TicketTypeRow
from pipelines.reservations.snapshot_store import SQL as SNAPSHOTS
from schemas import commands as c
from schemas import facts as f
from schemas.event_terms import EVENT_TERMS, EventTerms
from schemas.field_types import is_flag
from schemas.terms import defaults, kinds
from schemas.ticket_type_terms import FIXED, TICKET_TYPE_CHANGES, TICKET_TYPE_TERMS, TicketTypeTerms
from tests.harness.words import DETAILS, LAYOUT, T

Definition = type[msgspec.Struct]

TYPE = "(text|integer|bigint|boolean)"
COMMAND = ("event_id", "user_id", "command_id")
WHOLE_RECORDS = [
    (c.CreateEvent, EventTerms, COMMAND),
    (f.EventCreated, EventTerms, ("user_id",)),
    (f.EventUpdated, EventTerms, ("user_id",)),
    (c.AddTicketType, TicketTypeTerms, (*COMMAND, "ticket_type_id")),
    (f.TicketTypeAdded, TicketTypeTerms, ("user_id", "ticket_type_id", "ordinal")),
]
PATCHES = [
    (c.UpdateEvent, EventTerms, COMMAND, EVENT_TERMS),
    (c.UpdateTicketType, TicketTypeTerms, (*COMMAND, "ticket_type_id"), TICKET_TYPE_CHANGES),
]
OLDER_THAN_THE_FACT = {"max_per_order", "max_per_user", "hidden"}
"""The terms that every TicketTypeUpdated has: that fact is younger than they are."""
NOT_IN_THE_API = {"reminder_at"}
"""The API works it out."""
NESTED = {"price_minor", "currency", "kind", "rows", "seats_per_row", "capacity"}
"""The terms that the API shows as a price and a layout."""
SHAPES = [
    (EventIn, EventTerms, NOT_IN_THE_API, set()),
    (EventPatch, EventTerms, NOT_IN_THE_API, set()),
    (
        EventOut,
        EventTerms,
        NOT_IN_THE_API,
        {"id", "organizer_id", "status", "created_at", "published_at", "cancelled_at", "cancel_reason", "now"},
    ),
    (TicketTypeIn, TicketTypeTerms, NESTED, {"price", "layout"}),
    (TicketTypePatch, TicketTypeTerms, NESTED | {"pool_id"}, {"price", "layout"}),
    (TicketTypeOut, TicketTypeTerms, NESTED, {"id", "event_id", "price", "price_text", "layout"}),
]


def hints_of(record: Definition) -> dict[str, Any]:
    hints = typing.get_type_hints(record, include_extras=True)
    return {name: hints[name] for name in record.__struct_fields__}


def or_none(kind: Any) -> Any:
    return kind | None


@pytest.mark.parametrize(("record", "definition", "before"), WHOLE_RECORDS)
def test_a_record_with_all_terms_has_those_of_the_definition(
    record: Definition, definition: Definition, before: tuple[str, ...]
) -> None:
    added_later = defaults(definition)
    wanted = {name: or_none(kind) if name in added_later else kind for name, kind in kinds(definition).items()}
    hints = hints_of(record)
    assert [*hints] == [*before, *wanted], "the order is that of the wire"
    assert {name: hints[name] for name in wanted} == wanted
    assert {
        one.name: one.default for one in msgspec.structs.fields(record) if one.name in added_later
    } == dict.fromkeys(added_later)


@pytest.mark.parametrize(("record", "definition", "before", "names"), PATCHES)
def test_a_command_that_changes_terms_has_those_that_may_change_and_needs_none(
    record: Definition, definition: Definition, before: tuple[str, ...], names: tuple[str, ...]
) -> None:
    hints = hints_of(record)
    assert [*hints] == [*before, *names]
    assert {name: hints[name] for name in names} == {name: or_none(kinds(definition)[name]) for name in names}
    assert {one.name: one.default for one in msgspec.structs.fields(record) if one.name in names} == dict.fromkeys(
        names
    )


def test_a_changed_ticket_type_has_all_terms_that_are_not_fixed() -> None:
    hints = hints_of(f.TicketTypeUpdated)
    required = {name for name in TICKET_TYPE_CHANGES if name not in defaults(TicketTypeTerms)} | OLDER_THAN_THE_FACT
    wanted = {
        name: kind if name in required else or_none(kind)
        for name, kind in kinds(TicketTypeTerms).items()
        if name not in FIXED
    }
    assert [*hints] == ["user_id", "ticket_type_id", *wanted]
    assert {name: hints[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("entity", "definition"),
    [(Details, EventTerms), (EventRow, EventTerms), (Section, TicketTypeTerms), (TicketTypeRow, TicketTypeTerms)],
)
def test_entities_and_rows_inherit_the_terms(entity: Definition, definition: Definition) -> None:
    assert issubclass(entity, definition)
    hints = hints_of(entity)
    assert {name: hints[name] for name in kinds(definition)} == kinds(definition)


@pytest.mark.parametrize(("change", "definition"), [(EventChange, EventTerms), (TicketTypeChange, TicketTypeTerms)])
def test_a_change_of_a_row_has_the_terms_as_a_whole(change: Definition, definition: Definition) -> None:
    kept = hints_of(change)["terms"]
    assert definition in (kept, *typing.get_args(kept))
    assert not {*change.__struct_fields__} & {*kinds(definition)}


@pytest.mark.parametrize(("table", "definition"), [("events", EventTerms), ("ticket_types", TicketTypeTerms)])
def test_a_table_has_a_column_for_each_term_with_its_type_and_default(table: str, definition: Definition) -> None:
    columns: dict[str, tuple[str, str | None]] = {}
    for path in sorted(SQL_DIR.glob("*.sql")):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        for made in re.findall(rf"CREATE TABLE {table} \((.*?)\n\);", text, re.DOTALL):
            found = re.findall(
                r"^ +(\w+) +(text|integer|bigint|boolean) +NOT NULL(?: DEFAULT ([^,\s]+))?", made, re.MULTILINE
            )
            columns |= {name: (kind, default or None) for name, kind, default in found}
        for changed in re.findall(rf"ALTER TABLE {table}\b(.*?);", text, re.DOTALL):
            found = re.findall(rf"ADD COLUMN (\w+) +{TYPE} +NOT NULL DEFAULT ([^,\s]+)", changed)
            columns |= {name: (kind, default) for name, kind, default in found}
    meant = defaults(definition)
    wanted = {
        name: (column_type(kind), literal(meant[name], kind) if name in meant else None)
        for name, kind in kinds(definition).items()
    }
    assert {name: columns.get(name) for name in wanted} == wanted, "ops/migrations/sql"


def literal(value: Any, kind: Any) -> str:
    if is_flag(kind):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (PROJECTIONS["put_events"], EVENT_TERMS),
        (PROJECTIONS["patch_events"], EVENT_TERMS),
        (PROJECTIONS["put_ticket_types"], TICKET_TYPE_TERMS),
        (PROJECTIONS["patch_ticket_types"], TICKET_TYPE_CHANGES),
        (SNAPSHOTS["event"], EVENT_TERMS),
        (SNAPSHOTS["ticket_types"], TICKET_TYPE_TERMS),
    ],
)
def test_the_queries_write_and_read_every_term(text: str, names: tuple[str, ...]) -> None:
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
    assert "<<" not in text
    if "unnest" in text:
        assert [name for name in names if f"{name} = " not in text] == []


@pytest.mark.parametrize(("shape", "definition", "elsewhere", "others"), SHAPES)
def test_a_shape_of_the_api_has_a_field_for_each_term_with_its_type(
    shape: Definition, definition: Definition, elsewhere: set[str], others: set[str]
) -> None:
    fields = {field: term for field in shape.__struct_fields__ if (term := term_of(definition, field)) is not None}
    assert set(shape.__struct_fields__) - fields.keys() == others
    assert sorted(fields.values()) == sorted(kinds(definition).keys() - elsewhere)
    hints = typing.get_type_hints(shape)
    for field, term in fields.items():
        assert in_the_api(term, kinds(definition)[term]) in (hints[field], *typing.get_args(hints[field])), field


def in_the_api(term: str, kind: Any) -> type:
    if term.endswith("_at"):
        return datetime
    return bool if is_flag(kind) else typing.cast("type", getattr(kind, "__origin__", kind))


@pytest.mark.parametrize(("shape", "definition"), [(EventIn, EventTerms), (TicketTypeIn, TicketTypeTerms)])
def test_a_request_without_a_term_means_what_a_record_without_it_means(
    shape: Definition, definition: Definition
) -> None:
    example: Any = getattr(shape, "EXAMPLE")  # noqa: B009 - a class variable of requests
    required = {one.name for one in msgspec.structs.fields(shape) if one.required}
    body = msgspec.convert({name: value for name, value in example.items() if name in required}, shape)
    found = terms_in(definition, body)
    meant = defaults(definition)
    assert {name: found[name] for name in meant if name in found} == {
        name: value for name, value in meant.items() if name not in NOT_IN_THE_API
    }


def test_terms_go_through_a_request_a_row_and_an_answer_unchanged() -> None:
    starts_at = datetime(2031, 5, 1, 17, tzinfo=UTC)
    body = msgspec.convert(EventIn.EXAMPLE | {"refund_until": "2031-04-01T00:00:00Z", "offer_ttl_s": 90}, EventIn)
    own = {"id": "e", "organizer_id": "u", "status": "draft", "created_at": T, "published_at": 0, "cancelled_at": 0}
    answer = answer_of(EventOut, EventTerms, terms_in(EventTerms, body) | own | {"cancel_reason": ""})
    assert (answer.starts_at, answer.refund_until) == (starts_at, datetime(2031, 4, 1, tzinfo=UTC))
    assert (answer.offer_ttl_s, answer.category_id, answer.sales_close_at, answer.published_at) == (
        90,
        None,
        None,
        None,
    )
    assert terms_in(EventTerms, EventPatch(refund_until=None, category_id=None)) == {
        "refund_until_at": 0,
        "category_id": "",
    }


def test_organizers_hear_of_every_term() -> None:
    assert {*EVENT_TERMS, *TICKET_TYPE_TERMS} <= SENT_FIELDS


def test_the_words_of_the_tests_have_every_term() -> None:
    assert [*DETAILS, *defaults(EventTerms)] == [*EVENT_TERMS]
    assert {*LAYOUT, *defaults(TicketTypeTerms)} == {*TICKET_TYPE_TERMS}
