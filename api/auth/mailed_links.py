"""Mailed links: they verify an address or set a new password. `pipelines.notifications.mail.accounts` sends them.

Guarantee: a link works once, and only until it expires. A request for a link does not reveal whether the account
exists: in both cases it has the same answer, the same statement and one row.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.auth import audit
from api.auth.audit import Actor, AuditKind
from api.auth.origin import Origin
from api.auth.passwords import Passwords
from api.auth.sessions import Sessions
from api.http.problem import Problem
from api.reads.database import SQL, Connection, QueryPool
from connectors.token_digest import token_digest
from schemas.ids import SessionId, UserId


@dataclass(frozen=True, slots=True)
class MailedLinks:
    """The work of the routes for mailed links."""

    database: QueryPool
    passwords: Passwords
    sessions: Sessions

    async def verify_email(self, token: str, origin: Origin) -> None:
        """Mark the address as verified: the token proves access to its mails. Raises Problem link-not-valid (410)."""
        link = token_digest(token)

        async def work(connection: Connection) -> bool:
            await connection.execute(SQL["user_lock_by_link"], link, "verify-email")
            row = await connection.fetchrow(SQL["email_verify"], link)
            if row is not None:
                await audit.record(connection, AuditKind.EMAIL_VERIFIED, row["id"], origin, actor=Actor.SOMEBODY)
            return row is not None

        if not await self.database.within(work):
            raise link_not_valid()

    async def ask_verification(self, user_id: UserId) -> None:
        """Send another link to the account's address, unless it is verified."""
        await self.database.write("verification_ask", user_id)

    async def ask_reset(self, email: str, origin: Origin) -> None:
        """Send a reset link, if the account exists."""
        await self.database.write("password_reset_ask", email, origin.address, origin.client)

    async def reset(self, token: str, password: str, origin: Origin) -> None:
        """Set a new password, end all sessions and links, and mail the owner. A second factor stays.

        Raises Problem link-not-valid (410), or password-too-common (422), after which the link still works.
        """
        link = token_digest(token)
        account = await self.database.row("reset_link", link)
        if account is None:
            raise link_not_valid()
        hashed = await self.passwords.hash(password, about=(account["email"], account["name"]))

        async def work(connection: Connection) -> list[SessionId]:
            user_id = await connection.fetchval(SQL["user_lock_by_link"], link, "password-reset")
            if user_id is None or await connection.fetchrow(SQL["reset_link"], link) is None:
                raise link_not_valid()
            await connection.execute(SQL["password_reset"], user_id, hashed)
            ended = await connection.fetchval(SQL["sessions_end"], user_id, None)
            await connection.execute(SQL["network_known"], user_id, origin.network)
            await connection.execute(SQL["account_mail_add"], user_id, "password-changed")
            await audit.record(
                connection,
                AuditKind.PASSWORD_RESET,
                user_id,
                origin,
                actor=Actor.SOMEBODY,
                detail={"sessions": len(ended)},
            )
            return list(ended)

        await self.sessions.end(await self.database.within(work))


def link_not_valid() -> Problem:
    """410 for a mailed link that is not valid."""
    return Problem("link-not-valid", "the link was used, has expired or is unknown; ask for another one", field="token")
