"""Clients and sinks know nothing of what is sold: no name, text or comment in them has a word of tickets."""

from __future__ import annotations

import io
import re
import tokenize

import pytest

from schemas.topics import COMMANDS, FACTS
from tests.unit.docs.pages import ROOT

WORDS = (
    r"tickets?|seats?|reservations?|buyers?|organizers?|waitlists?|check_ins?|refunds?|payments?|stripe|sales?|"
    r"sold|sell(?:s|ing)?|holds?|events?|vouchers?|disputes?"
)
NAME = re.compile(rf"(?:^|_)(?:{WORDS})(?:_|$)")
TEXT = re.compile(rf"(?<![a-z_])(?:{WORDS})(?![a-z])")
SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
TOPICS = (COMMANDS, FACTS)
OTHER_SENSES = re.compile(r"CloudEvents?\b|threading event\b|event[ _]loops?\b|(?:do not|must|file) holds?\b")
"""An event of threading and asyncio, the standard of that name; and to hold as a verb."""
SAID = "They know no ticket."
LITERALS = {tokenize.STRING, tokenize.COMMENT}


def words_of_the_sale(text: str) -> list[str]:
    """The names, texts and comments of a source that have a word of the sale in them. Names of topics are allowed."""
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    found = set()
    for before, token in zip([None, None, *tokens], tokens, strict=False):
        said = token.string
        if token.type == tokenize.NAME:
            of_a_library = before is not None and before.string in ("asyncio", "threading") and said == "Event"
            if not of_a_library and NAME.search(SNAKE.sub("_", OTHER_SENSES.sub("", said)).lower()):
                found.add(said)
        elif token.type in LITERALS:
            for topic in TOPICS:
                said = said.replace(topic, "")
            found |= {one[0] for one in TEXT.finditer(SNAKE.sub(" ", OTHER_SENSES.sub("", said)).lower())}
    return sorted(found)


@pytest.mark.parametrize("folder", ["connectors", "sinks"])
def test_the_lower_folders_know_no_word_of_tickets(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert len(paths) >= 5
    assert {
        str(path.relative_to(ROOT)): words
        for path in paths
        if (words := words_of_the_sale(path.read_text().replace(SAID, "")))
    } == {}


@pytest.mark.parametrize("folder", ["connectors", "sinks"])
def test_a_lower_folder_has_no_other_file_that_could_know_one(folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.suffix for path in files} == {".py"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def of(ticket_type_id): ...", ["ticket_type_id"]),
        ("class SeatLocks: ...", ["SeatLocks"]),
        ("RESERVATIONS_MAX = 3", ["RESERVATIONS_MAX"]),
        ("payments: PaymentsBy", ["PaymentsBy", "payments"]),
        ("class Event: ...", ["Event"]),
        ("hold_ttl_s = 3  # a buyer waits", ["buyer", "hold_ttl_s"]),
        ('log("reservations", seated=True, ticketed=1)  # seats', ["reservations", "seats"]),
        ('NAME = "circle.facts.TicketsHeld"', ["tickets"]),
        ('ADDRESS = f"tickets@{host}"', ["tickets"]),
        (f'TOPIC = "{COMMANDS}"  # or {FACTS}', []),
        ("stopped = asyncio.Event()  # of the event loop, which must hold it", []),
        ('"""What makes a record a CloudEvent; the guarantees do not hold."""', []),
        ("loop = asyncio.get_running_loop(); loop = asyncio.new_event_loop()", []),
    ],
)
def test_a_word_of_tickets_is_found_in_names_texts_and_comments(text: str, found: list[str]) -> None:
    assert words_of_the_sale(text) == found
