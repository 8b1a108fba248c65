"""Sends the due mails, and writes the outcome of each into its row.

Guarantee: a mail is sent until the server has taken it, at most TRIES_MAX times in about a day. After that it goes to
the dead letters of notifications.outbound. So does a mail with an unexpected error. While no server answers at all,
mails wait and no try counts. A crash between the server's answer and the row sends the mail once more, with the same
Message-ID. The desk looks the address up when it sends. A user whose account is gone gets nothing, and the row says so.
Mails to an unproven address wait until the user proves it, at most KEPT_DAYS. Organizers take turns, so the mails of a
large event do not delay the mails of other events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
from jinja2 import TemplateError

from connectors.backoff import Backoff
from connectors.clock import now_ms
from connectors.failure_policy import FailureBound, is_of_record
from connectors.logs import Log
from connectors.metrics import RECORD_AGES
from connectors.schema_registry import codec_of
from connectors.sql_files import queries
from pipelines.notifications.delivery_spans import delivered, delivery
from pipelines.notifications.desks import KEPT_DAYS, PRUNED_MAX, SET_ASIDE, WAITING_COUNTED_MAX, PruneTimer
from pipelines.notifications.kinds import Channel, MailStatus, NotificationKind, outdated
from pipelines.notifications.mail.attachments import Attachment, Attachments
from pipelines.notifications.mail.render import Mail, Occasion, render
from pipelines.notifications.mail.transport import MailFailed, MailRefused, MailSession, Transport
from pipelines.notifications.metrics import DELIVERIES, WAITING
from pipelines.notifications.outbound import outgoing
from pipelines.platform_settings import PlatformSettings
from pipelines.stored_records import StoredRecord
from schemas.ids import US_PER_MS
from schemas.notifications import Notification
from schemas.times import utc
from sinks.dead_letters import DeadLetters
from sinks.postman import Desk

ROWS_AGAIN_S = 1.0  # a mail may be due before the rows have its tickets
ROWS_TRIES_MAX = 10  # then the mail goes without its tickets
BATCH = 40  # mails of one claim: 15 seconds of work for a slow server
EVENTS_AT_ONCE = 50  # events that one claim looks at: about 12 ms
SESSIONS = 4  # connections to the server at once: servers allow one sender so many
LEASE_S = 90.0  # a mail whose process died is due again after this
BATCH_S = 60.0  # … so a batch ends well before that, and its remaining mails are handed back
TRIES_MAX = 32  # with the backoff about a day: a mail server may be away for a night
BACKOFF = Backoff(first_s=5.0, max_s=3_600.0)
AWAY_BACKOFF = Backoff(first_s=5.0, max_s=300.0)  # a server that is back is found within five minutes

# Data that does not fit the template, an invalid address, a time beyond the calendar: such a mail cannot be written.
UNWRITABLE = (TemplateError, MessageError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)

SQL = queries(Path(__file__).parent / "sql" / "mail.sql")
log = Log("mail")


class Verdict(NamedTuple):
    """The outcome of an attempt. `due_s`: seconds until the next try of a pending mail."""

    status: MailStatus
    error: str = ""
    due_s: float = 0.0
    counts: bool = True


class MailDesk(Desk):
    """One of the postman's desks: `work` sends due mails."""

    name = Channel.MAIL

    def __init__(self, settings: PlatformSettings, transport: Transport) -> None:
        self._settings, self._transport, self._codec = settings, transport, codec_of(settings)
        self._dead_letters = DeadLetters(settings)
        self._attachments = Attachments(settings.jwt_key_file)
        self._bound = FailureBound("mail")
        self._behind = ""  # the last event whose mails were claimed
        self._away = 0  # how often in a row no server answered
        self._prune_timer = PruneTimer()

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Send one batch. Returns whether there may be more."""
        await self._prune(pool)
        claimed = await self.claim(pool)
        WAITING.labels(Channel.MAIL).set(await pool.fetchval(SQL["mails_waiting"], WAITING_COUNTED_MAX))
        if not claimed:
            return False
        letters: list[tuple[asyncpg.Record, EmailMessage]] = []
        for row in await self._rows(pool, claimed):
            made = await self._made(pool, row)
            if isinstance(made, Verdict):
                await self._settle(pool, row, made)
            else:
                letters.append((row, made))
        parts = [letters[start::SESSIONS] for start in range(min(SESSIONS, len(letters)))]
        ended = await asyncio.gather(*(self._send(pool, part) for part in parts), return_exceptions=True)
        for error in (one for one in ended if one is not None):
            raise error
        return True

    async def claim(self, pool: asyncpg.Pool[asyncpg.Record]) -> list[int]:
        """The ids of the next due mails, from EVENTS_AT_ONCE events. The next call goes on with later events."""
        rows = await pool.fetch(SQL["claim_mails"], LEASE_S, BATCH, self._behind, EVENTS_AT_ONCE)
        if not rows and self._behind:
            self._behind = ""
            rows = await pool.fetch(SQL["claim_mails"], LEASE_S, BATCH, self._behind, EVENTS_AT_ONCE)
        self._behind = (rows[0]["behind"] or "") if rows else ""
        return [row["id"] for row in rows]

    async def _rows(self, pool: asyncpg.Pool[asyncpg.Record], claimed: Sequence[int]) -> list[asyncpg.Record]:
        """The rows of claimed mails. A row that cannot be read is set aside."""
        try:
            return await pool.fetch(SQL["mails"], claimed)
        except Exception as error:
            if not is_of_record(error):
                raise
        rows: list[asyncpg.Record] = []
        for one in claimed:
            try:
                rows += await pool.fetch(SQL["mails"], [one])
            except Exception as error:
                if not is_of_record(error):
                    raise
                log.exception("mail.set_aside", error, id=one)
                reason = SET_ASIDE + self._bound.failed(error)
                await pool.execute(SQL["settle_mail"], one, MailStatus.FAILED, reason, 0.0, True)
        return rows

    async def _made(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record) -> EmailMessage | Verdict:
        """The mail, or why it is not sent."""
        if not row["email"]:
            return Verdict(MailStatus.ERASED, "the account is gone")
        if not row["verified"]:
            return Verdict(MailStatus.HELD)
        if row["attempts"] > TRIES_MAX:  # something ended the process at each try
            return Verdict(MailStatus.FAILED, f"given up after {TRIES_MAX} tries that were never finished")
        try:
            data = msgspec.json.decode(row["data"])
            if outdated(row["kind"], data, datetime.now(UTC)):
                return Verdict(MailStatus.OUTDATED, "it would come too late")
            files: list[Attachment] | None = []
            if row["kind"] == NotificationKind.RESERVATION_CONFIRMED and row["reservation_id"]:
                files = await self._attachments.of(pool, row)
            if files is None and row["attempts"] <= ROWS_TRIES_MAX:
                return Verdict(MailStatus.PENDING, "its tickets are not in the rows yet", ROWS_AGAIN_S)
            return render(self._mail(row, data, files or []), self._settings.mail_from)
        except UNWRITABLE as error:  # its text may have the address in it
            log.error("mail.unwritable", kind=row["kind"], id=row["id"], error=type(error).__name__)
            return Verdict(MailStatus.FAILED, f"it cannot be written: {type(error).__name__}")

    async def _send(
        self, pool: asyncpg.Pool[asyncpg.Record], letters: Sequence[tuple[asyncpg.Record, EmailMessage]]
    ) -> None:
        """Send mails over one connection. Each mail's row is settled as soon as the server has the mail."""
        left = list(letters)
        try:
            async with asyncio.timeout(BATCH_S), AsyncExitStack() as stack:
                session = await stack.enter_async_context(self._transport.session())
                self._away = 0
                while left:
                    row, letter = left[0]
                    with delivery("send mail", row["kind"], trace=row["trace"], attempt=row["attempts"]) as span:
                        verdict = await self._sent(session, row, letter)
                        delivered(span, verdict.status, failed=verdict.status != MailStatus.SENT)
                    await self._settle(pool, row, verdict)
                    left.pop(0)
        except MailFailed as error:  # no server answers: these mails are not at fault
            self._away += 1
            due_s = AWAY_BACKOFF.wait_s(self._away - 1)
            for row, _ in left:
                await self._settle(pool, row, Verdict(MailStatus.PENDING, str(error), due_s, counts=False))
        except TimeoutError:
            for row, _ in left:
                await self._settle(pool, row, Verdict(MailStatus.PENDING, "the server is slow", 0.0, counts=False))

    async def _sent(self, session: MailSession, row: asyncpg.Record, letter: EmailMessage) -> Verdict:
        """Send one mail, and say how it went."""
        try:
            await session.send(letter)
        except MailRefused as error:
            return Verdict(MailStatus.FAILED, str(error))
        except MailFailed as error:
            return retry(row["attempts"], str(error))
        except Exception as error:
            if not is_of_record(error):
                raise
            log.exception("mail.set_aside", error, kind=row["kind"], id=row["id"])
            return Verdict(MailStatus.FAILED, self._bound.failed(error, whole=False))
        self._bound.went_well()
        return Verdict(MailStatus.SENT)

    async def _settle(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record, verdict: Verdict) -> None:
        where = {"kind": row["kind"], "id": row["id"], "attempt": row["attempts"]}
        if verdict.status == MailStatus.FAILED:
            await asyncio.to_thread(self._put_aside, row, verdict.error)
        elif verdict.status == MailStatus.ERASED:
            log.info("mail.dropped", reason=verdict.error, user=row["user_id"], **where)
        elif verdict.status == MailStatus.PENDING:
            log.warning("mail.retry", error=verdict.error, seconds=verdict.due_s, **where)
        if verdict.status == MailStatus.HELD:
            await pool.execute(SQL["hold_mail"], row["id"], row["user_id"])
        else:
            settled = (row["id"], verdict.status, verdict.error, verdict.due_s, verdict.counts)
            await pool.execute(SQL["settle_mail"], *settled)
        if verdict.status == MailStatus.SENT:
            RECORD_AGES.observe("mailed", [row["created_at"] // US_PER_MS], now_ms())
        DELIVERIES.labels(Channel.MAIL, "retry" if verdict.status == MailStatus.PENDING else verdict.status).inc()

    def _mail(self, row: asyncpg.Record, data: dict[str, Any], files: Sequence[Attachment]) -> Mail:
        return Mail(
            identity="/".join(str(row[name]) for name in ("user_id", "partition", "offset", "index", "template")),
            kind=row["kind"],
            email=row["email"],
            name=row["name"],
            created_at=utc(row["created_at"]),
            data=data,
            link=f"{self._settings.public_url.rstrip('/')}/your-tickets#{row['reservation_id']}",
            attachments=tuple(files),
            occasion=Occasion(
                title=row["title"] or "",
                venue=row["venue"] or "",
                starts_at=utc(row["starts_at"]) if row["starts_at"] else None,
                timezone=row["timezone"] or "UTC",
                ticket_type=row["ticket_type"] or "",
                currency=row["currency"] or "",
                price_minor=row["price_minor"] or 0,
            ),
        )

    def _put_aside(self, row: asyncpg.Record, error: str) -> None:
        """Write the dead letter before the row: the mail must not be lost."""
        fields = {name: row[name] for name in Notification.__struct_fields__ if name != "channel"}
        record = outgoing(Notification(channel=Channel.MAIL, **fields), self._codec)
        stored = StoredRecord(record, row["outbound_partition"], row["outbound_offset"], row["created_at"])
        self._dead_letters.put(stored, f"mail: {error}")
        self._dead_letters.flush()

    async def _prune(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        if self._prune_timer.due():
            await pool.execute(SQL["prune_mails"], KEPT_DAYS, PRUNED_MAX)


def retry(attempts: int, error: str) -> Verdict:
    """The next try after `attempts` tries, each time later; or the end of the tries."""
    if attempts >= TRIES_MAX:
        return Verdict(MailStatus.FAILED, f"given up after {attempts} tries: {error}")
    return Verdict(MailStatus.PENDING, error, BACKOFF.wait_s(attempts - 1))
