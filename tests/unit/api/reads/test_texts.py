"""Texts that other users see: deceptive characters are refused, invisible ones removed, those that a language needs
stay."""

from __future__ import annotations

import unicodedata

import msgspec
import pytest

from api.http.problem import Problem
from api.http.routing import Route
from api.http.validation import decode
from api.reads.texts import LINE, LINE_OR_NONE, TEXT, cleaned
from api.routes import table
from api.shapes.accounts import RegisterIn
from api.shapes.base import Request, texts_of
from api.shapes.events import CategoryIn, EventIn, EventPatch, ScheduleIn

EVENT = msgspec.json.Decoder(EventIn)
FAMILY, WALES = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f",
)
PERSIAN = "می\u200cخواهم"
HEBREW = "C++\u200e ספר"
FIELDS = ("title", "venue", "description")


def event(**fields: str) -> EventIn:
    body = msgspec.json.encode(EventIn.EXAMPLE | fields)
    return decode(EVENT, body)


def refused(field: str, text: str) -> str:
    with pytest.raises(Problem) as caught:
        event(**{field: text})
    assert caught.value.extensions.get("field", field) == field
    return str(caught.value)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "odd", ["\x00", "\x07", "\x1b[31m", "\x7f", "\x80", "\x85", "\x9b31m", "\u202a", "\u202e", "\u2066", "\u2069"]
)
def test_controls_and_what_turns_the_direction_of_writing_are_refused_by_the_field(field: str, odd: str) -> None:
    assert field in refused(field, f"Opening {odd} night")


@pytest.mark.parametrize("odd", ["\n", "\r", "\t", "\u2028", "\u2029"])
def test_one_line_is_one_line_and_a_description_keeps_its_lines(odd: str) -> None:
    refused("title", f"Opening{odd}night")
    kept = event(description=f"Opening{odd}night").description
    assert kept == ("Opening\tnight" if odd == "\t" else "Opening\nnight")
    assert event(description="one\r\ntwo\n\nthree").description == "one\ntwo\n\nthree"


@pytest.mark.parametrize(
    "text", [FAMILY, WALES, PERSIAN, HEBREW, "Ångström", "Ǆ 東京 🎫️", "한국어", "ก็", "e\u0323\u0302"]
)
def test_what_languages_and_emoji_need_stays(text: str) -> None:
    for field in FIELDS:
        assert getattr(event(**{field: text}), field) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("\ufeffOpening night", "Opening night"),
        ("Open\u200bing\u00ad night\u2060", "Opening night"),
        ("Opening\u200d\u200d\u200d night", "Opening night"),
        ("\u200dOpening night\u200c", "Opening night"),
        ("  Opening night ", "Opening night"),
        ("Cafe\u0301", "Café"),
        (f"{PERSIAN}\u200c", PERSIAN),
    ],
)  # fmt: skip
def test_what_nobody_sees_is_left_out(given: str, kept: str) -> None:
    assert event(title=given).title == kept


@pytest.mark.parametrize("blank", [" ", "\u200b", "\u00a0", "\u3164", "\u2800", "\u200d", "\ufeff\u00ad", "\u0301"])
def test_what_shows_nothing_is_blank(blank: str) -> None:
    assert "not blank" in refused("title", blank)
    assert "not blank" in refused("venue", blank)


def test_hidden_tags_and_towers_of_marks_are_refused_by_name() -> None:
    assert "U+E0041" in refused("title", "Opening\U000e0041\U000e0042 night")
    assert "marks" in refused("title", "Z" + "\u0335" * 40)


def test_the_field_of_a_nested_text_is_named_whole() -> None:
    item = ScheduleIn.EXAMPLE["items"][0]
    with pytest.raises(Problem) as caught:
        decode(
            msgspec.json.Decoder(ScheduleIn),
            msgspec.json.encode({"items": [item, item | {"title": "a\u200b\U000e0041"}]}),
        )
    assert str(caught.value).startswith("items[1].title: has U+E0041")


def test_a_patch_and_a_name_are_cleaned_as_well() -> None:
    patch = decode(msgspec.json.Decoder(EventPatch), '{"title": "Cafe\u0301"}'.encode())
    assert (patch.title, patch.venue) == ("Café", msgspec.UNSET)
    assert decode(msgspec.json.Decoder(CategoryIn), '{"name": "\u200bJazz"}'.encode()).name == "Jazz"
    assert texts_of(RegisterIn) == (("name", LINE),)


def test_every_text_without_a_format_of_its_own_is_one_of_the_patterns() -> None:
    """A new field that others read must be a Line100, LineOrNone100 or Text5000."""
    shapes = {shape for route in table.ROUTES if isinstance(route, Route) for shape in (route.body,) if shape}
    waiting, free = list(shapes), []
    while waiting:
        shape = waiting.pop()
        known = dict(texts_of(shape))
        for field in msgspec.structs.fields(shape):
            info = msgspec.inspect.type_info(field.type)
            for one in getattr(info, "types", (info,)):
                if isinstance(one, msgspec.inspect.ListType):
                    one = one.item_type
                if isinstance(one, msgspec.inspect.StructType) and issubclass(one.cls, Request):
                    waiting.append(one.cls)
                elif isinstance(one, msgspec.inspect.StrType) and field.name not in known and one.pattern is None:
                    free.append(f"{shape.__name__}.{field.name}")
    assert set(free) <= {
        "CheckInIn.code", "OfflineScan.code", "ValidateIn.code", "OfflineScan.scanned_at", "OfflineScan.gate",
        "StripeEventIn.id", "StripeEventIn.type",
        "RegisterIn.email", "LoginIn.email", "BlockIn.seats", "UnblockIn.seats", "ReleaseIn.seats",
    }  # fmt: skip


def test_cleaning_twice_changes_nothing_more() -> None:
    for text in (FAMILY, WALES, PERSIAN, HEBREW, "\ufeffa\u200b\u0301 ", "  a\r\nb\u2028c "):
        once = cleaned(text, lines=True)
        assert cleaned(once, lines=True) == once
    assert len({LINE, LINE_OR_NONE, TEXT}) == 3
