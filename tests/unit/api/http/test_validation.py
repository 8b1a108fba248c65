"""For every input the result is a value, or a problem that names the field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http import validation
from api.http.problem import FieldError, Problem
from api.shapes.accounts import RegisterIn
from api.shapes.events import EventIn, EventsQuery, TicketTypeIn
from api.shapes.reservations import ConfirmIn, ReservationIn, ValidateIn
from schemas.times import utc

ID = "8a7f1f0e-5a7a-4a8e-9f0a-0123456789ab"
RESERVE = msgspec.json.Decoder(ReservationIn)
TYPE = msgspec.json.Decoder(TicketTypeIn)


def problem(decoder: msgspec.json.Decoder[object], body: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        validation.decode(decoder, body)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"nonsense", b'{"quantity":NaN}', b'{"quantity":1}x', b'{"quantity":1,"seats":["\\ud800"]}',
     b'{"ticket_type_id":"\xff"}', b'{"a":' * 5000],
)  # fmt: skip
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    found = problem(RESERVE, body)
    assert (found.slug, found.status) in (("malformed-json", 400), ("invalid-request", 422))
    assert found.field is not None


PRICED = b'{"name":"x","price":{%s},"layout":{"kind":"general","capacity":5}}'


@pytest.mark.parametrize(
    ("decoder", "body", "field"),
    [
        (RESERVE, b'{"ticket_type_id":"%s","quantity":1,"quantity":2}' % ID.encode(), "quantity"),
        (RESERVE, b'{"ticket_type_id":"%s","quantity":1,"\\u0071uantity":1}' % ID.encode(), "quantity"),
        (RESERVE, b'{"ticket_type_id":"%s","seats":["A-1"],"seats":["A-1"]}' % ID.encode(), "seats"),
        (TYPE, PRICED % b'"amount":1,"currency":"EUR","amount":1', "price.amount"),
    ],
)
def test_a_name_that_is_given_twice_is_named(decoder: msgspec.json.Decoder[object], body: bytes, field: str) -> None:
    found = problem(decoder, body)
    assert (found.slug, found.field, found.detail) == ("invalid-request", field, f"{field}: is given more than once")


def test_a_colon_in_a_text_is_no_name() -> None:
    body = b'{"name":"a: b","price":{"amount":1,"currency":"EUR"},"layout":{"kind":"general","capacity":5}}'
    assert validation.decode(TYPE, body).name == "a: b"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", "body"),
        (b'"text"', "body"),
        (b"{}", "ticket_type_id"),
        (b'{"ticket_type_id":7}', "ticket_type_id"),
        (b'{"ticket_type_id":"nope","quantity":1}', "ticket_type_id"),
        (b'{"ticket_type_id":"%s\\n","quantity":1}' % ID[:-1].encode(), "ticket_type_id"),
        (b'{"ticket_type_id":"%s","quantity":0}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":11}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":"2"}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":true}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":1.5}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":null}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":9999999999999999999999999}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":1e400}' % ID.encode(), "quantity"),
        (b'{"ticket_type_id":"%s","quantity":1,"price":1}' % ID.encode(), "price"),
        (b'{"ticket_type_id":"%s","seats":[]}' % ID.encode(), "seats"),
        (b'{"ticket_type_id":"%s","seats":["A-1","b-2"]}' % ID.encode(), "seats[1]"),
        (b'{"ticket_type_id":"%s","seats":["A-1\\u0000"]}' % ID.encode(), "seats[0]"),
        (b'{"ticket_type_id":"%s","seats":["A-1\\n"]}' % ID.encode(), "seats[0]"),
        (b'{"ticket_type_id":"%s","seats":["A-0"]}' % ID.encode(), "seats[0]"),
    ],
)
def test_a_wrong_field_is_named(body: bytes, field: str) -> None:
    found = problem(RESERVE, body)
    assert (found.status, found.field) == (422, field)
    assert [error.field for error in found.errors] == [field]
    assert field in found.detail


GENERAL = '{"kind":"general","capacity":1}'


@pytest.mark.parametrize(
    ("name", "price", "layout", "field"),
    [
        ("x", '{"amount":-1,"currency":"EUR"}', GENERAL, "price.amount"),
        ("x", '{"amount":1,"currency":"eur"}', GENERAL, "price.currency"),
        ("x", '{"amount":1,"currency":"EUR"}', '{"kind":"round"}', "layout.kind"),
        ("x", '{"amount":1,"currency":"EUR"}', '{"kind":"general","rows":2}', "layout.rows"),
        ("x", '{"amount":1,"currency":"EUR"}', '{"kind":"seated","rows":2}', "layout.seats_per_row"),
        (" ", '{"amount":1,"currency":"EUR"}', GENERAL, "name"),
        ("a\\u0000", '{"amount":1,"currency":"EUR"}', GENERAL, "name"),
        ("a\\n", '{"amount":1,"currency":"EUR"}', GENERAL, "name"),
    ],
)
def test_a_wrong_field_within_a_field_is_named_by_its_path(name: str, price: str, layout: str, field: str) -> None:
    body = f'{{"name":"{name}","price":{price},"layout":{layout}}}'
    assert problem(TYPE, body.encode()).field == field


def test_a_shape_says_what_is_wrong_with_which_of_its_texts_and_its_words_are_not_read() -> None:
    body = f'{{"name":"a\U000e0041b","price":{{"amount":1,"currency":"EUR"}},"layout":{GENERAL}}}'
    invisible = problem(TYPE, body.encode())
    assert invisible.document() == {
        "type": "/problems/invalid-request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "name: has U+E0041 in it, which is invisible",
        "field": "name",
        "errors": (FieldError("name", "has U+E0041 in it, which is invisible"),),
    }
    others_words = msgspec.ValidationError("`name` has words of another program - at `$.price`")
    assert validation.problem_of(others_words).field == "price"


def outcome(shape: type[object], body: bytes) -> Problem | None:
    """The problem that decoding raises; any other error fails the test."""
    try:
        validation.decode(msgspec.json.Decoder(shape), body)
    except Problem as found:
        return found
    return None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_problem(body: bytes) -> None:
    for shape in (ReservationIn, EventIn, RegisterIn, ConfirmIn, ValidateIn, TicketTypeIn):
        found = outcome(shape, body)
        assert found is None or (found.status in (400, 422) and msgspec.json.encode(found.document()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=20), children, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*sorted(EventIn.__struct_fields__), "other"]), JSON, max_size=8))
def test_any_json_is_a_value_or_a_problem_with_a_field(value: dict[str, object]) -> None:
    body = msgspec.json.encode(value)
    found = outcome(EventIn, body)
    assert found is None or (found.status in (400, 422) and found.field)


def test_a_query_is_converted() -> None:
    found = validation.query("limit=5&sort=-created_at&from=2026-01-01T00:00:00Z&q=a%20b", EventsQuery)
    assert (found.limit, found.sort.value, found.q) == (5, "-created_at", "a b")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("sort=price", "sort"),
        ("from=yesterday", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("category=7", "category"),
        ("cursor=%00", "cursor"),
        ("cursor=", "cursor"),
        ("q=%00", "q"),
        ("colour=red", "colour"),
        ("&".join(f"a{i}=1" for i in range(50)), "query"),
    ],
)
def test_a_wrong_parameter_is_named(text: str, field: str) -> None:
    with pytest.raises(Problem) as caught:
        validation.query(text, EventsQuery)
    assert (caught.value.status, caught.value.field) == (422, field)


@pytest.mark.parametrize("text", ["", "x", ID[:-1], ID + "\n", "{" + ID + "}", ID.replace("-", ""), "urn:uuid:" + ID])
def test_a_path_id_that_is_no_uuid_leads_nowhere(text: str) -> None:
    with pytest.raises(Problem) as caught:
        validation.uuid_of(text, field="event_id")
    assert (caught.value.status, caught.value.field) == (404, "event_id")


def test_a_uuid_has_one_form() -> None:
    assert validation.uuid_of(ID.upper(), field="event_id") == ID


@given(st.integers(min_value=0, max_value=4 * 10**15))
def test_times_survive_the_way_there_and_back(us: int) -> None:
    moment = utc(us)
    if validation.TIME_MIN <= moment < validation.TIME_MAX:
        assert validation.micros(moment, field="starts_at") == us
    else:
        with pytest.raises(Problem):
            validation.micros(moment, field="starts_at")


@pytest.mark.parametrize(
    ("content_type", "json"),
    [("application/json", True), ("Application/JSON", True), ("application/json; charset=utf-8", True),
     ("application/json;charset=utf-8", True), ("application/merge-patch+json", True), (" application/json ", True),
     ("application/vnd.api+json; x=y", True), ("text/plain; x=json", False), ("text/plain;json", False),
     ("text/json-ish", False), ("application/jsonp", False), ("multipart/form-data; boundary=json", False),
     ("application/x-www-form-urlencoded; json", False), ("text/plain, application/json", False), ("json", False),
     ("application/", False), ("", False), ("application/json\n, text/plain", False)],
)  # fmt: skip
def test_json_is_what_the_media_type_says_and_not_its_parameters(content_type: str, json: bool) -> None:
    assert validation.is_json(content_type) is json
