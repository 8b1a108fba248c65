"""The desk of mails about accounts, batch by batch: refused mails are set aside, old rows are deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import asyncpg
import pytest

from connectors.failure_policy import IN_A_ROW_MAX, EverythingFails
from connectors.settings import Settings
from pipelines.notifications.mail.accounts import BATCH, EVENTS_KEPT_DAYS, LINKS_MAX, WHEREABOUTS_KEPT_DAYS, AccountDesk
from pipelines.notifications.mail.transport import transport
from pipelines.watch.set_aside_rows import redrive_rows, set_aside_rows
from tests.harness.mail_server import MailServer
from tests.harness.words import ALICE, BOB

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(settings.postgres_url, min_size=1, max_size=2) as opened:
        add = "INSERT INTO users (id, email, name, password_hash) VALUES ($1, $2, 'A', '')"
        await opened.executemany(add, [(ALICE, "alice@example.org"), (BOB, "bob@example.org")])
        await opened.execute("UPDATE users SET email_verified_at = now() WHERE id = $1", BOB)
        yield opened


async def ask(pool: Pool, kind: str, *users: str | None) -> None:
    await pool.executemany("INSERT INTO account_mails (user_id, kind) VALUES ($1, $2)", [(one, kind) for one in users])


async def left(pool: Pool) -> list[tuple[Any, ...]]:
    rows = await pool.fetch("SELECT status, attempts, error FROM account_mails ORDER BY id")
    return [tuple(row) for row in rows]


async def test_a_flood_of_registrations_keeps_no_forgotten_password_waiting(
    settings: Settings, server: MailServer, pool: Pool
) -> None:
    desk = AccountDesk(settings, transport(replace(settings, smtp_url=server.url)))
    await ask(pool, "verify-email", *[ALICE] * (2 * BATCH))
    await ask(pool, "password-reset", BOB)
    assert await desk.work(pool) is True
    assert [one["Subject"] for one in server.taken if one["To"] == "bob@example.org"] == ["A new password"]
    assert len(server.taken) == BATCH
    assert len(await left(pool)) == BATCH + 1


async def test_only_links_go_to_an_address_that_nobody_has_proven(
    settings: Settings, server: MailServer, pool: Pool
) -> None:
    desk = AccountDesk(settings, transport(replace(settings, smtp_url=server.url)))
    for kind in ("password-changed", "verify-email", "password-reset"):
        await ask(pool, kind, ALICE, BOB, *([None] if kind == "password-reset" else []))
    assert await desk.work(pool) is False
    assert sorted((one["To"], one["Subject"]) for one in server.taken) == [
        ("alice@example.org", "A new password"),
        ("alice@example.org", "Is this your mail address?"),
        ("bob@example.org", "A new password"),
        ("bob@example.org", "Your password was changed"),
    ]
    assert await left(pool) == []


async def test_a_mail_is_tried_again_and_one_that_is_refused_is_set_aside(
    settings: Settings, server: MailServer, pool: Pool
) -> None:
    desk = AccountDesk(settings, transport(replace(settings, smtp_url=server.url)))
    await ask(pool, "verify-email", ALICE)
    server.answer = lambda _: "451 4.3.2 busy"
    await desk.work(pool)
    assert await left(pool) == [("pending", 1, "the server refused the mail for now (451)")]
    server.answer = lambda _: "550 5.1.1 no such user"
    await pool.execute("UPDATE account_mails SET due_at = now()")
    await desk.work(pool)
    assert await left(pool) == [("failed", 2, "the server refused the mail for good (550)")]
    assert await pool.fetchval("SELECT count(*) FROM mailed_links") == 2, "each try had a link of its own"
    server.answer = lambda _: "250 OK"
    await ask(pool, "verify-email", *[ALICE] * 6)
    await desk.work(pool)
    assert await pool.fetchval("SELECT count(*) FROM mailed_links") == LINKS_MAX


@pytest.mark.parametrize(
    ("poison", "error", "mend"),
    [
        ("kind = 'none-such'", "TemplateNotFound", "kind = 'password-changed'"),
        ("created_at = '12000-01-01'", "OverflowError", "created_at = now()"),
    ],
    ids=["it cannot be made", "it cannot even be read"],
)
async def test_a_mail_that_fails_as_nobody_foresaw_is_set_aside_and_its_neighbours_go(
    settings: Settings, server: MailServer, pool: Pool, poison: str, error: str, mend: str
) -> None:
    desk = AccountDesk(settings, transport(replace(settings, smtp_url=server.url)))
    await ask(pool, "password-changed", BOB, BOB, BOB)
    (poisoned,) = await pool.fetchrow("SELECT id FROM account_mails ORDER BY id OFFSET 1 LIMIT 1")
    await pool.execute(f"UPDATE account_mails SET {poison} WHERE id = $1", poisoned)
    await desk.work(pool)
    assert len(server.taken) == 2
    assert await left(pool) == [("failed", 1, f"set aside: account-mail: {error}")]
    (aside,) = await set_aside_rows(settings, 10)
    assert (aside.table, aside.id, aside.error) == (
        "account_mails", f"mail-{poisoned}", f"set aside: account-mail: {error}"
    )  # fmt: skip
    await pool.execute(f"UPDATE account_mails SET {mend} WHERE id = $1", poisoned)
    assert await redrive_rows(settings, [aside.id]) == [aside.id]
    await desk.work(pool)
    assert len(server.taken) == 3
    assert await left(pool) == []
    assert await set_aside_rows(settings, 10) == []


async def test_where_no_mail_can_be_made_the_desk_ends_with_the_reason(
    settings: Settings, server: MailServer, pool: Pool
) -> None:
    desk = AccountDesk(settings, transport(replace(settings, smtp_url=server.url)))
    await ask(pool, "none-such", *[BOB] * (IN_A_ROW_MAX + 1))
    for _ in range(IN_A_ROW_MAX // BATCH):
        assert await desk.work(pool) is True
    with pytest.raises(EverythingFails, match=r"account-mail: 51 in a row failed.*: TemplateNotFound;"):
        await desk.work(pool)
    assert server.taken == []
    assert (await left(pool)).count(("failed", 1, "set aside: account-mail: TemplateNotFound")) == IN_A_ROW_MAX


async def test_without_a_mail_server_nothing_is_kept_for_later(settings: Settings, pool: Pool) -> None:
    await ask(pool, "verify-email", ALICE, None)
    assert await AccountDesk(settings, None).work(pool) is False
    assert await left(pool) == []


async def test_where_somebody_was_is_forgotten_before_what_happened(settings: Settings, pool: Pool) -> None:
    add = """INSERT INTO security_events (kind, outcome, actor, user_id, address, user_agent, at)
             VALUES ('login', 'done', 'owner', $1, '192.0.2.7', 'curl', now() - make_interval(days => $2))"""
    await pool.executemany(add, [(BOB, 1), (BOB, WHEREABOUTS_KEPT_DAYS + 1), (BOB, EVENTS_KEPT_DAYS + 1)])
    known = "INSERT INTO known_networks VALUES ($1, $2, now() - make_interval(days => $3))"
    await pool.executemany(known, [(BOB, "192.0.2.7", 1), (BOB, "192.0.2.8", WHEREABOUTS_KEPT_DAYS + 1)])
    await AccountDesk(settings, None).work(pool)
    rows = await pool.fetch("SELECT address, user_agent FROM security_events ORDER BY at DESC")
    assert [tuple(row) for row in rows] == [("192.0.2.7", "curl"), ("", "")]
    assert await pool.fetchval("SELECT array_agg(network) FROM known_networks") == ["192.0.2.7"]
