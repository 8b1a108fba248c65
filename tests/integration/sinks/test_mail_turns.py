"""The order of mails: organizers take turns, for any number of mails, and no event is left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from connectors.postgres import create_pool
from connectors.settings import Settings
from pipelines.notifications.mail.desk import BATCH, EVENTS_AT_ONCE, MailDesk
from pipelines.notifications.mail.transport import FileMailbox

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    async with create_pool(settings.postgres_url, min_size=0, max_size=2) as found:
        yield found


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> MailDesk:
    return MailDesk(settings, FileMailbox(tmp_path))


async def event(pool: Pool, event_id: str, organizer: str) -> None:
    columns = await pool.fetch(
        "SELECT column_name AS name, data_type AS type FROM information_schema.columns"
        " WHERE table_name = 'events' AND is_nullable = 'NO' AND column_default IS NULL AND is_generated = 'NEVER'"
        " AND table_schema = current_schema()"
    )
    given = {"id": f"'{event_id}'", "organizer_id": f"'{organizer}'", "status": "'published'"}
    names = [row["name"] for row in columns]
    values = [given.get(row["name"], "''" if row["type"] == "text" else "0") for row in columns]
    await pool.execute(f"INSERT INTO events ({', '.join(names)}) VALUES ({', '.join(values)})")


async def mails(pool: Pool, event_id: str, count: int, *, minutes_ago: int, user_id: str = "") -> None:
    await pool.execute(
        'INSERT INTO mail_deliveries (user_id, partition, "offset", "index", template, kind, event_id, reservation_id,'
        " data, created_at, outbound_partition, outbound_offset, status, due_at)"
        " SELECT $4::text || left($1::text, 20) || n, 0, n, 0, '', 'registered', $1::text, '', '{}', 0, 0, n,"
        " 'pending', now() - make_interval(mins => $3::integer) FROM generate_series(1, $2::integer) AS n",
        event_id, count, minutes_ago, user_id,
    )  # fmt: skip


async def claimed(pool: Pool, desk: MailDesk) -> dict[str, int]:
    """The number of mails that a batch takes of each event."""
    rows = await pool.fetch(
        "SELECT event_id, count(*) FROM mail_deliveries WHERE id = ANY($1::bigint[]) GROUP BY event_id",
        await desk.claim(pool),
    )
    return {row["event_id"]: row["count"] for row in rows}


async def test_a_large_event_has_the_whole_batch_while_nobody_else_waits(pool: Pool, desk: MailDesk) -> None:
    await event(pool, "large", "ann")
    await mails(pool, "large", 3 * BATCH, minutes_ago=60)
    assert await claimed(pool, desk) == {"large": BATCH}


async def test_mails_of_others_come_with_the_first_batch_although_they_fell_due_later(
    pool: Pool, desk: MailDesk
) -> None:
    await event(pool, "large", "ann")
    await event(pool, "small", "bob")
    await mails(pool, "large", 3 * BATCH, minutes_ago=60)
    await mails(pool, "small", 2, minutes_ago=1)
    await mails(pool, "", 1, minutes_ago=1, user_id="reader")
    assert await claimed(pool, desk) == {"large": BATCH - 3, "small": 2, "": 1}
    assert await claimed(pool, desk) == {"large": BATCH}


async def test_an_organizer_of_many_events_has_one_turn_as_others_have(pool: Pool, desk: MailDesk) -> None:
    for number in range(9):
        await event(pool, f"many-{number}", "ann")
        await mails(pool, f"many-{number}", BATCH, minutes_ago=60)
    await event(pool, "other", "bob")
    await mails(pool, "other", BATCH, minutes_ago=1)
    assert (await claimed(pool, desk))["other"] >= BATCH // 3


async def test_no_event_is_left_out_however_many_have_mails(pool: Pool, desk: MailDesk) -> None:
    for number in range(EVENTS_AT_ONCE + 5):
        await mails(pool, f"event-{number:03}", 30, minutes_ago=60, user_id=f"{number}-")
    found: set[str] = set()
    for _ in range(4):
        found |= set(await claimed(pool, desk))
    assert f"event-{EVENTS_AT_ONCE + 4:03}" in found


async def test_what_is_not_due_waits_and_every_mail_has_its_turn(pool: Pool, desk: MailDesk) -> None:
    await mails(pool, "later", 5, minutes_ago=-60)
    await mails(pool, "x" * 5_000, 3, minutes_ago=5)
    assert sum((await claimed(pool, desk)).values()) == 3
    assert await claimed(pool, desk) == {}
