"""Clients and sinks know nothing of what is sold: no name in them is a word of tickets."""

from __future__ import annotations

import io
import re
import tokenize

import pytest

from tests.unit.docs.pages import ROOT

WORDS = re.compile(r"(?:^|_)(tickets?|seats?|reservations?|buyers?|organizers?|waitlist|check_ins?|refunds?)(?:_|$)")
SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def names_of_the_sale(text: str) -> list[str]:
    """The names in a source that have a word of the sale in them. Texts, comments and examples do not count."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    return sorted(name for name in names if WORDS.search(SNAKE.sub("_", name).lower()))


@pytest.mark.parametrize("folder", ["connectors", "sinks"])
def test_no_name_in_the_lower_folders_is_a_word_of_tickets(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert len(paths) >= 5
    assert {
        str(path.relative_to(ROOT)): names for path in paths if (names := names_of_the_sale(path.read_text()))
    } == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def of(ticket_type_id): ...", ["ticket_type_id"]),
        ("class SeatLocks: ...", ["SeatLocks"]),
        ("RESERVATIONS_MAX = 3  # one a ticket", ["RESERVATIONS_MAX"]),
        ('log("reservations", seated=True, ticketed=1)  # seats', []),
    ],
)
def test_a_word_of_tickets_is_found_in_names_and_not_in_texts(text: str, found: list[str]) -> None:
    assert names_of_the_sale(text) == found
