"""A session that ends during a refresh or a login stays ended, statement by statement on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from api.auth.accounts import BESIDE_THE_LOG
from api.reads.database import SQL, QueryPool
from connectors.settings import Settings

OLD, NEW = b"old", b"new"
LATER = datetime.now(UTC) + timedelta(days=1)
WAITS_FOR_A_LOCK = """SELECT EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"""


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    opened = await asyncpg.connect(settings.postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[QueryPool]:
    opened = QueryPool(settings.postgres_url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("how", ["one", "password", "token", "erase"])
async def test_a_refresh_that_is_under_way_does_not_save_its_session(
    connection: asyncpg.Connection[asyncpg.Record], database: QueryPool, how: str
) -> None:
    user, session = str(uuid4()), str(uuid4())
    await database.write("user_add", user, "ada@example.org", "Ada", "hash", BESIDE_THE_LOG)
    await database.write("session_open", session, user, "hash", OLD, LATER, "", "", "")
    ways = {
        "one": (("user_lock", user), ("session_end", user, session)),
        "password": (("user_lock", user), ("sessions_end", user, None)),
        "token": (("user_lock_by_token", OLD), ("session_end_by_token", OLD, False)),
        "erase": (("user_lock", user), ("inbox_lock",), ("user_erase", user)),
    }
    async with connection.transaction():
        refreshed = await connection.fetchrow(SQL["refresh_token_rotate"], OLD, NEW, LATER, "", "")
        assert refreshed is not None
        ending = asyncio.create_task(database.transact(*ways[how]))
        while not await connection.fetchval(WAITS_FOR_A_LOCK):
            assert not ending.done(), "it did not wait for the refresh"
            await asyncio.sleep(0.01)
    await ending
    assert await database.write("refresh_token_rotate", NEW, b"newer", LATER, "", "") is None
    assert [row["session_id"] for row in await database.rows("sessions_ended", 900)] == [session]


async def test_a_refresh_that_comes_while_its_session_ends_finds_it_ended(
    connection: asyncpg.Connection[asyncpg.Record], database: QueryPool
) -> None:
    user, session = str(uuid4()), str(uuid4())
    await database.write("user_add", user, "ada@example.org", "Ada", "hash", BESIDE_THE_LOG)
    await database.write("session_open", session, user, "hash", OLD, LATER, "", "", "")
    async with connection.transaction():
        await connection.fetchrow(SQL["user_lock"], user)
        await connection.fetchrow(SQL["sessions_end"], user, None)
        refreshing = asyncio.create_task(database.write("refresh_token_rotate", OLD, NEW, LATER, "", ""))
        while not await connection.fetchval(WAITS_FOR_A_LOCK):
            assert not refreshing.done(), "it did not wait for the end"
            await asyncio.sleep(0.01)
    assert await refreshing is None


async def test_a_login_beside_a_change_of_the_password_begins_no_session(
    connection: asyncpg.Connection[asyncpg.Record], database: QueryPool
) -> None:
    """Its password was right at the check, but is the old one when it asks for a session."""
    user = str(uuid4())
    await database.write("user_add", user, "ada@example.org", "Ada", "hash", BESIDE_THE_LOG)
    async with connection.transaction():
        await connection.fetchrow(SQL["user_lock"], user)
        await connection.fetchrow(SQL["user_update"], user, None, "another hash", None, None)
        await connection.fetchrow(SQL["sessions_end"], user, None)
        opening = ("session_open", str(uuid4()), user, "hash", OLD, LATER, "", "", "")
        login = asyncio.create_task(database.write(*opening))
        while not await connection.fetchval(WAITS_FOR_A_LOCK):
            assert not login.done(), "it did not wait for the change"
            await asyncio.sleep(0.01)
    assert await login is None
    assert await database.rows("sessions_of_user", user, None, None, 10, 900.0) == []
