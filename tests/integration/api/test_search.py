"""Search finds an event by every spelling: case, accents, ligatures and composition do not count."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator

import asyncpg
import pytest

from api.reads.database import SQL
from connectors.settings import Settings

TITLES = (
    "Café Müller",
    "Straßenfest",
    "Weißwein & Käse",
    "ΟΔΥΣΣΕΥΣ",
    "Żółta łódź",
    "İstanbul Gecesi",
    "The ﬁnal night",
    "संगीत समारोह",
    "서울 재즈",
    "100% Techno_Night \\o/",
)


INSERT = """
INSERT INTO events (id, partition, organizer_id, status, title, description, category_id, venue, starts_at, ends_at,
                    timezone, sales_open_at, sales_close_at, hold_ttl_s, max_tickets_per_user, created_at,
                    updated_offset, updated_index)
VALUES ($1, 0, 'o', 'published', $1, 'Ein Abend', '', 'Größe', 1, 2, 'UTC', 0, 0, 60, 4, 1, 1, 0)
"""


async def fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.executemany(INSERT, [(title,) for title in TITLES])
    await connection.close()


@pytest.fixture(scope="module")
def filled(module_settings: Settings) -> str:
    asyncio.run(fill(module_settings.postgres_url))
    return module_settings.postgres_url


@pytest.fixture
async def database(filled: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(filled)
    yield connection
    await connection.close()


async def found(database: asyncpg.Connection, text: str) -> list[str]:
    rows = await database.fetch(SQL["events_by_starts_at"], text, None, "published", None, None, None, None, None, 100)
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("MÜLLER", "Café Müller"),
        (unicodedata.normalize("NFD", "MÜLLER"), "Café Müller"),
        ("muller", "Café Müller"),
        (unicodedata.normalize("NFD", "café"), "Café Müller"),
        ("strassenfest", "Straßenfest"),
        ("STRASSENFEST", "Straßenfest"),
        ("STRAẞENFEST", "Straßenfest"),
        ("weisswein", "Weißwein & Käse"),
        ("οδυσσευς", "ΟΔΥΣΣΕΥΣ"),
        ("Οδυσσεύς", "ΟΔΥΣΣΕΥΣ"),
        ("zołta", "Żółta łódź"),
        ("istanbul", "İstanbul Gecesi"),
        ("final NIGHT", "The ﬁnal night"),
        ("ｆｉｎａｌ", "The ﬁnal night"),
        ("संगीत", "संगीत समारोह"),
        ("서울", "서울 재즈"),
        ("100%", "100% Techno_Night \\o/"),
        ("techno_night \\O/", "100% Techno_Night \\o/"),
    ],
)
async def test_one_spelling_finds_the_other(database: asyncpg.Connection, text: str, title: str) -> None:
    assert await found(database, text) == [title]


@pytest.mark.parametrize("text", ["100_", "%Techno%x", "o\\", "सगत", "Muller Café", "strasenfest"])
async def test_what_is_not_there_is_not_found(database: asyncpg.Connection, text: str) -> None:
    assert await found(database, text) == []


@pytest.mark.parametrize("text", ["GROSSE", "ein abend"])
async def test_venue_and_description_are_searched_too(database: asyncpg.Connection, text: str) -> None:
    assert sorted(await found(database, text)) == sorted(TITLES)


async def test_a_longer_text_is_looked_up_in_the_index(database: asyncpg.Connection) -> None:
    await database.execute("SET enable_seqscan = off")
    plan = await database.fetch("EXPLAIN SELECT id FROM events WHERE search_text LIKE search_pattern('Müller')")
    assert "events_search" in "".join(row[0] for row in plan)
