"""Sends mails about accounts: the link that proves an address, the link to a new password, news of changes.

They are sent from their rows, so no topic contains a link. Guarantee: a link's token is made when its mail is written,
and only the mail contains it; PostgreSQL has its SHA-256. The texts contain nothing that a user chose, no name and no
title. So a stranger who enters another person's address cannot send them a text. An unproven address gets only links. A
mail with an unexpected error is set aside in its row, and the others go on.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
from jinja2 import TemplateError

from connectors.failure_policy import FailureBound, is_of_record
from connectors.logs import Log
from connectors.sql_files import queries
from connectors.token_digest import token_digest
from pipelines.notifications.desks import KEPT_DAYS, PRUNED_MAX, SET_ASIDE, PruneTimer
from pipelines.notifications.kinds import MailStatus
from pipelines.notifications.mail.desk import BATCH_S, LEASE_S, retry
from pipelines.notifications.mail.render import Link, render_account
from pipelines.notifications.mail.transport import MailFailed, MailRefused, MailSession, Transport
from pipelines.notifications.metrics import DELIVERIES
from pipelines.platform_settings import PlatformSettings
from sinks.postman import Desk

ACCOUNT_MAIL = "account-mail"
VERIFY_EMAIL, PASSWORD_RESET = "verify-email", "password-reset"
TOKEN_BYTES = 32
# Long enough for a mail that arrives the next day; shorter for a link that sets a password.
LINK_TTL_S = {VERIFY_EMAIL: 3 * 86_400, PASSWORD_RESET: 3_600}
LINKS_MAX = 5  # of one user and kind at a time
BATCH = 20
WHEREABOUTS_KEPT_DAYS = 90  # client addresses and networks; longer than any session lasts
EVENTS_KEPT_DAYS = 400  # a year, and some time for questions about it

SQL = queries(Path(__file__).parent / "sql" / "account_mails.sql")
log = Log("mail")


class AccountDesk(Desk):
    """One of the postman's desks. Without a transport it sends nothing and keeps nothing for later."""

    name = ACCOUNT_MAIL

    def __init__(self, settings: PlatformSettings, transport: Transport | None) -> None:
        self._settings, self._transport = settings, transport
        self._bound = FailureBound(ACCOUNT_MAIL)
        self._prune_timer = PruneTimer()

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
        except MailFailed as error:  # no server answers
            for row in left:
                await self._later(pool, row, str(error))
        except TimeoutError:
            for row in left:
                await self._later(pool, row, "the server is slow")
        return len(claimed) == BATCH

    async def _rows(self, pool: asyncpg.Pool[asyncpg.Record], claimed: Sequence[int]) -> list[asyncpg.Record]:
        """The rows of claimed mails. A row that cannot be read is set aside."""
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
        # An unproven address gets only links; a proven address gets no second link to prove it.
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
            DELIVERIES.labels(ACCOUNT_MAIL, MailStatus.SENT).inc()

    async def _link(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record) -> Link | None:
        """A new link for each try. The link of an earlier try stays valid: the server may have taken that mail."""
        purpose = row["kind"]
        if purpose not in LINK_TTL_S:
            return None
        token, ttl_s = secrets.token_urlsafe(TOKEN_BYTES), LINK_TTL_S[purpose]
        digest = token_digest(token)
        await pool.execute(SQL["add_link"], digest, row["user_id"], purpose, ttl_s, LINKS_MAX)
        # Behind the #: a browser does not send this part, so no log and no Referer header contains it.
        return Link(f"{self._settings.public_url.rstrip('/')}/account#{purpose}={token}", token, ttl_s)

    async def _later(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record, error: str) -> None:
        verdict = retry(row["attempts"], error)
        if verdict.status == MailStatus.FAILED:
            await self._failed(pool, row, verdict.error)
            return
        log.warning("account_mail.retry", kind=row["kind"], id=row["id"], error=error, seconds=verdict.due_s)
        await pool.execute(SQL["account_mail_again"], row["id"], error, verdict.due_s)
        DELIVERIES.labels(ACCOUNT_MAIL, "retry").inc()

    async def _failed(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record, error: str) -> None:
        """Give the mail up. Its user can ask for another one."""
        log.error("account_mail.failed", kind=row["kind"], id=row["id"], user=str(row["user_id"]), error=error)
        await pool.execute(SQL["account_mail_failed"], row["id"], error)
        DELIVERIES.labels(ACCOUNT_MAIL, MailStatus.FAILED).inc()

    async def _set_aside(self, pool: asyncpg.Pool[asyncpg.Record], id_: int, error: Exception) -> None:
        """Set a mail aside after an unexpected error. Only its class is written: its text may have the address."""
        reason = SET_ASIDE + self._bound.failed(error, whole=False)
        log.error("account_mail.set_aside", id=id_, error=type(error).__name__)
        await pool.execute(SQL["account_mail_failed"], id_, reason)
        DELIVERIES.labels(ACCOUNT_MAIL, MailStatus.FAILED).inc()

    async def _prune(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        if not self._prune_timer.due():
            return
        await pool.execute(SQL["prune_links"], PRUNED_MAX)
        await pool.execute(SQL["prune_failed"], KEPT_DAYS)
        await pool.execute(SQL["prune_identity"], WHEREABOUTS_KEPT_DAYS, EVENTS_KEPT_DAYS, PRUNED_MAX)
