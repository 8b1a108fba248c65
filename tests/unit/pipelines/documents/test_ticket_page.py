"""The page to print: one page for every title, with readable texts and a code that can be scanned."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.auth.keys import KeyRing
from api.ticket_codes import TicketCodes
from pipelines.documents.ticket_page import DISPUTED, Printer
from tests.unit.pipelines.documents.tickets import EVENT_ID, TICKET_ID, scanned, ticket

CODE = TicketCodes(KeyRing.load(None)).sign(TICKET_ID, EVENT_ID, "A-12")
LONG = "A rather long title of an evening with several guests, a talk and a concert, the tenth of the open circle"
MARKUP = '#panic("no") $x^2$ *bold* _soft_ @ref <label> #image("/etc/passwd") \\ `raw` // gone'


@pytest.fixture(scope="module")
def printer() -> Printer:
    return Printer()


def opened(page: bytes) -> pypdfium2.PdfDocument:
    return pypdfium2.PdfDocument(page)


def words(page: bytes) -> str:
    """All text of the only page, without characters that only mark possible line breaks."""
    with opened(page) as document:
        assert len(document) == 1
        text = document[0].get_textpage().get_text_range()
    return "".join(unicodedata.normalize("NFKC", text).replace("\u200b", "").replace("\ufffe", "").split())


def fonts(page: bytes) -> Iterator[str]:
    """The fonts whose glyphs are on the page."""
    with opened(page) as document:
        for one in document[0].get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_TEXT]):
            yield one.get_font().get_base_name()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"title": "X"},
        {"title": LONG, "venue": MARKUP},
        {"title": "W" * 200, "venue": "M" * 200, "ticket_type": "Q" * 100, "holder": "H" * 100},
        {"title": "Żółta łódź – Ελληνικά – Кириллица – Tiếng Việt"},
    ],
    ids=["normal", "short", "long", "without a place to break", "letters"],
)
def test_everything_is_on_one_page_and_the_code_can_be_scanned(printer: Printer, changes: dict[str, Any]) -> None:
    page = printer.page(ticket(**changes), CODE)
    text = words(page)
    for name in ("title", "venue", "ticket_type", "holder"):
        assert "".join(getattr(ticket(**changes), name).split()) in text, name
    assert "SeatA-12" in text
    assert "Wednesday,1May2030,20:00–23:00Europe/Vienna(CEST)" in text
    with opened(page) as document:
        assert scanned(document[0].render(scale=2).to_pil()) == [CODE]


@pytest.mark.parametrize(
    ("title", "font"),
    [
        ("東京音楽祭 二〇三一", "CJK"),
        ("음악 축제", "CJK"),
        ("مهرجان الموسيقى", "Arabic"),
        ("פסטיבל ירושלים", "Hebrew"),
        ("संगीत समारोह", "Devanagari"),
        ("เทศกาลดนตรี", "Thai"),
        ("🎸 🎉", "Emoji"),
    ],
)
def test_every_script_has_a_font(printer: Printer, title: str, font: str) -> None:
    assert any(font in name for name in fonts(printer.page(ticket(title=title), CODE)))


@pytest.mark.parametrize(
    ("title", "printed"),
    [("𝗧𝗲𝗰𝗵𝗻𝗼 𝕹𝖎𝖌𝖍𝖙", "Techno Night"), ("𝟚𝟘𝟛𝟙", "2031"), ("ℙ𝕒𝕣𝕥𝕪", "Party"), ("Techno", "Techno")],
)
def test_a_decorative_letter_prints_as_its_plain_one(printer: Printer, title: str, printed: str) -> None:
    page = printer.page(ticket(title=title), CODE)
    assert "".join(printed.split()) in words(page)
    assert "boxes" not in words(page)


@pytest.mark.parametrize(
    ("title", "script"),
    [("ދިވެހި ރޭ", "Thaana"), ("ⵜⴰⵎⴰⵣⵉⵖⵜ", "Tifinagh"), ("བོད་ཡིག", "Tibetan"), ("ᠮᠣᠩᠭᠣᠯ", "Mongolian")],
)
def test_the_page_names_a_script_that_it_has_no_font_for(printer: Printer, title: str, script: str) -> None:
    text = words(printer.page(ticket(title=f"{title} Night", holder=title), CODE))
    assert f"Lettersthatthispagehasnofontforareboxes:{script}." in text
    assert "Night" in text


@pytest.mark.parametrize("title", ["नमस्ते", "Zoë 👨‍👩‍👧 🇦🇹", "می‌خواهم", "e\u0301te\u0301", "ﬁ Ⅷ ｆｕｌｌ"])
def test_marks_joiners_and_compatibility_forms_with_a_glyph_are_no_boxes(printer: Printer, title: str) -> None:
    assert "boxes" not in words(printer.page(ticket(title=title), CODE))


def test_the_hour_that_comes_twice_is_told_with_its_zone() -> None:
    start, end = datetime(2027, 10, 31, 0, 45, tzinfo=UTC), datetime(2027, 10, 31, 1, 15, tzinfo=UTC)
    assert ticket(starts_at=start, ends_at=end).when == "Sunday, 31 October 2027, 02:45 CEST – 02:15 CET\nEurope/Vienna"


@pytest.mark.parametrize("disputed", [True, False])
def test_the_page_says_that_the_payment_is_disputed(printer: Printer, *, disputed: bool) -> None:
    page = words(printer.page(ticket(disputed=disputed), CODE))
    assert ("".join(DISPUTED.split()) in page) is disputed


def test_the_same_ticket_gives_the_same_bytes(printer: Printer) -> None:
    assert printer.page(ticket(), CODE) == Printer().page(ticket(), CODE)


def test_general_admission_and_a_nameless_holder_print_too(printer: Printer) -> None:
    text = words(printer.page(ticket(seat="", ordinal=3, holder="", timezone="Mars/Olympus"), CODE))
    assert "Generaladmission,no.3" in text
    assert "HOLDER" not in text
    assert "18:00–21:00UTC" in text


@settings(max_examples=40, deadline=None)
@given(title=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200))
def test_no_title_is_too_much(title: str) -> None:
    with opened(PRINTER.page(ticket(title=title, venue=title), CODE)) as document:
        assert len(document) == 1


PRINTER = Printer()
