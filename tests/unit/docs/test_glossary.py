"""One word for each idea: every term of the glossary is in use, and nothing is there twice."""

from __future__ import annotations

import re

import pytest

from schemas.commands import COMMANDS
from schemas.facts import FACTS
from tests.unit.docs.pages import rows, source_text, text_of

TERMS = rows(text_of("GLOSSARY.md").partition("## Retired words")[0])
SOURCE = source_text()


@pytest.mark.parametrize(("term", "meaning", "name"), TERMS, ids=[cells[0] for cells in TERMS])
def test_a_term_has_a_meaning_and_a_name_in_the_code(term: str, meaning: str, name: str) -> None:
    assert meaning.endswith("."), f"{term}: the meaning is a sentence"
    assert re.search(rf"\b{re.escape(name.strip('`'))}\b", SOURCE), f"{term}: {name} is not in the code"


def test_no_term_is_there_twice() -> None:
    terms = [cells[0].lower() for cells in TERMS]
    assert len(terms) > 50
    assert len(terms) == len(set(terms))


def test_the_designs_words_are_all_there() -> None:
    terms = {cells[0] for cells in TERMS}
    assert terms >= {
        "event", "ticket type", "seat", "hold", "reservation", "ticket", "command", "fact", "position", "log time",
        "projection", "dead letter", "fencing token", "lag", "read model", "outbox", "offset", "snapshot", "watermark",
        "backfill", "cutover",
    }  # fmt: skip


def test_commands_are_imperative_and_facts_are_past_tense() -> None:
    past = re.compile(r"(ed|Held)$")
    assert [
        fact.__name__ for fact in FACTS if not past.search(fact.__name__) and fact.__name__ != "CommandUnreadable"
    ] == []
    assert [command.__name__ for command in COMMANDS if past.search(command.__name__)] == []
