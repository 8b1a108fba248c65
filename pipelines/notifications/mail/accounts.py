"""Sends mails about accounts: the link that proves an address, the link to a new password, word of what was changed.

They go straight from their rows: a link is no business of a topic. Guarantee: a link's token is made when its mail is
written and stands nowhere but in it; PostgreSQL has its SHA-256. The texts hold nothing that a stranger chose, neither
a name nor a title: whoever types somebody else's address makes us send them nothing of theirs. An address that nobody
has proven gets links only. A mail that fails in a way that nobody foresaw is set aside in its row, and the others go.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
from jinja2 import TemplateError

from connectors.failure_policy import Bound, is_of_record
from connectors.logs import Log
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.mail.desk import BATCH_S, LEASE_S, PRUNE_EVERY_S, retry
from pipelines.notifications.mail.render import Link, render_account
from pipelines.notifications.mail.transport import MailFailed, MailRefused, MailSession, Transport
from pipelines.notifications.metrics import DELIVERIES

ACCOUNT_MAIL = "account-mail"
VERIFY_EMAIL, PASSWORD_RESET = "verify-email", "password-reset"
TOKEN_BYTES = 32
# Long enough for a mail that comes the next day, and short for what sets a password.
LINK_TTL_S = {VERIFY_EMAIL: 3 * 86_400, PASSWORD_RESET: 3_600}
LINKS_MAX = 5  # of one user and kind at a time
BATCH = 20
FAILED_KEPT_DAYS = 30
PRUNED_MAX = 5_000
WHEREABOUTS_KEPT_DAYS = 90  # client addresses and networks; longer than any session lasts
EVENTS_KEPT_DAYS = 400  # a year and the time to ask about it
SET_ASIDE = "set aside: "  # how the error of a row begins that `circle dlq rows` shows and redrives

SQL = queries(Path(__file__).parent / "sql" / "account_mails.sql")
log = Log("mail")


class AccountDesk:
    """One of the postman's desks. Without a transport nobody sends anything, and nothing is kept for later."""

    name = ACCOUNT_MAIL

    def __init__(self, settings: Settings, transport: Transport | None) -> None:
        self._settings, self._transport = settings, transport
        self._bound = Bound(ACCOUNT_MAIL)
        self._pruned = 0.0

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Send one batch, one mail after the other. Returns whether there may be more."""
        await self._prune(pool)
        if self._transport is None:
            await pool.execute(SQL["forget_all_account_mails"])
            return False
        await pool.execute(SQL["drop_addressless"])
        claimed = [row[0] for row in await pool.fetch(SQL["claim_account_mails"], LEASE_S, BATCH)]
        if not claimed:
            return False
        left = await self._rows(pool, claimed)
        try:
            async with asyncio.timeout(BATCH_S), AsyncExitStack() as stack:
                session = await stack.enter_async_context(self._transport.session())
                while left:
                    await self._send(pool, session, left[0])
                    left.pop(0)
        except MailFailed as error:  # nobody answers
            for row in left:
                await self._later(pool, row, str(error))
        except TimeoutError:
            for row in left:
                await self._later(pool, row, "the server is slow")
        return len(claimed) == BATCH

    async def _rows(self, pool: asyncpg.Pool[asyncpg.Record], claimed: Sequence[int]) -> list[asyncpg.Record]:
        """What is known of claimed mails; one that cannot even be read is set aside."""
        try:
            return await pool.fetch(SQL["account_mails"], claimed)
        except Exception as error:
            if not is_of_record(error):
                raise
        rows: list[asyncpg.Record] = []
        for one in claimed:
            try:
                rows += await pool.fetch(SQL["account_mails"], [one])
            except Exception as error:
                if not is_of_record(error):
                    raise
                await self._set_aside(pool, one, error)
        return rows

    async def _send(self, pool: asyncpg.Pool[asyncpg.Record], session: MailSession, row: asyncpg.Record) -> None:
        kind = row["kind"]
        # Only links go to an address that nobody has proven, and none that proves it to one that somebody has.
        if row["verified"] == (kind == VERIFY_EMAIL) and kind != PASSWORD_RESET:
            log.info("account_mail.dropped", kind=kind, user=str(row["user_id"]), verified=row["verified"])
            await pool.execute(SQL["account_mail_done"], row["id"])
            return
        try:
            link = await self._link(pool, row)
            letter = render_account(
                kind, row["email"], self._settings.mail_from, f"account/{row['id']}", row["created_at"], link
            )
            await session.send(letter)
        except MailRefused as error:
            await self._failed(pool, row, str(error))
        except MailFailed as error:
            await self._later(pool, row, str(error))
        except Exception as error:
            if not isinstance(error, TemplateError) and not is_of_record(error):
                raise
            await self._set_aside(pool, row["id"], error)
        else:
            self._bound.went_well()
            await pool.execute(SQL["account_mail_done"], row["id"])
            DELIVERIES.labels(ACCOUNT_MAIL, "sent").inc()

    async def _link(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record) -> Link | None:
        """A new link for each try: one that was taken although nobody said so stays good."""
        purpose = row["kind"]
        if purpose not in LINK_TTL_S:
            return None
        token, ttl_s = secrets.token_urlsafe(TOKEN_BYTES), LINK_TTL_S[purpose]
        digest = hashlib.sha256(token.encode()).digest()
        await pool.execute(SQL["add_link"], digest, row["user_id"], purpose, ttl_s, LINKS_MAX)
        # Behind the #: what a browser keeps to itself, so no log and no Referer header has it.
        return Link(f"{self._settings.public_url.rstrip('/')}/account#{purpose}={token}", token, ttl_s)

    async def _later(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record, error: str) -> None:
        verdict = retry(row["attempts"], error)
        if verdict.status == "failed":
            await self._failed(pool, row, verdict.error)
            return
        log.warning("account_mail.retry", kind=row["kind"], id=row["id"], error=error, seconds=verdict.due_s)
        await pool.execute(SQL["account_mail_again"], row["id"], error, verdict.due_s)
        DELIVERIES.labels(ACCOUNT_MAIL, "retry").inc()

    async def _failed(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record, error: str) -> None:
        """Given up: whoever waits for it asks for another."""
        log.error("account_mail.failed", kind=row["kind"], id=row["id"], user=str(row["user_id"]), error=error)
        await pool.execute(SQL["account_mail_failed"], row["id"], error)
        DELIVERIES.labels(ACCOUNT_MAIL, "failed").inc()

    async def _set_aside(self, pool: asyncpg.Pool[asyncpg.Record], id_: int, error: Exception) -> None:
        """For a reason that nobody foresaw. Only its class is written: its text may have the address in it."""
        told = SET_ASIDE + self._bound.failed(error, whole=False)
        log.error("account_mail.set_aside", id=id_, error=type(error).__name__)
        await pool.execute(SQL["account_mail_failed"], id_, told)
        DELIVERIES.labels(ACCOUNT_MAIL, "failed").inc()

    async def _prune(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        if time.monotonic() - self._pruned < PRUNE_EVERY_S and self._pruned:
            return
        self._pruned = time.monotonic()
        await pool.execute(SQL["prune_links"], PRUNED_MAX)
        await pool.execute(SQL["prune_failed"], FAILED_KEPT_DAYS)
        await pool.execute(SQL["prune_identity"], WHEREABOUTS_KEPT_DAYS, EVENTS_KEPT_DAYS, PRUNED_MAX)
