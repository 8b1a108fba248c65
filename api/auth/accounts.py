"""Accounts and sessions in Postgres. A refresh token works once; its second use ends the whole session.

Guarantee: rotation is one statement, so if a token is used twice at once, exactly one use succeeds. Every end of a
session locks the user's row first, so no running refresh can save the session. A session begins in one statement, which
locks the user's row and checks that the password is still the verified one. A change of password, role or second
factor, and an erasure, hold this lock too, and need an open session. So a thief of an access token gains nothing that
lasts longer than the token.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import time
from uuid import UUID, uuid4

import asyncpg

from api.auth import audit
from api.auth.attempts import AttemptKind, Attempts
from api.auth.audit import Actor, AuditKind
from api.auth.factors import Factors, Second
from api.auth.mail import normalised, spellings
from api.auth.mailboxes import Mailboxes
from api.auth.origin import Origin
from api.auth.passwords import Passwords
from api.auth.sessions import Sessions
from api.auth.tokens import AccessTokens, Caller, FactorNeed, Role, effective, factor_need, unauthorized
from api.fairness.limits import ACCESS_TOKEN_TTL_S, REFRESH_TOKEN_TTL_S
from api.http.problem import Problem, not_found
from api.reads.database import SQL, Connection, QueryPool
from api.shapes.accounts import TokensOut, UserOut
from connectors.token_digest import token_digest
from schemas.ids import SessionId, UserId

TOKEN_BYTES = 32
BESIDE_THE_LOG = 2**31 - 1  # the "partition" in the id of a message that no record made


@dataclass(frozen=True, slots=True)
class AccountStore:
    """The work of the auth and users routes."""

    database: QueryPool
    passwords: Passwords
    tokens: AccessTokens
    sessions: Sessions
    factors: Factors
    mailboxes: Mailboxes
    attempts: Attempts

    async def register(self, email: str, password: str, name: str, origin: Origin) -> UserOut:
        """Add a buyer, and mail them a link. Raises Problem email-taken (409), password-too-common (422)."""
        address, user_id = normalised(email), UserId(str(uuid4()))
        hashed = await self.passwords.hash_new(password, about=(address, name))

        async def work(connection: Connection) -> asyncpg.Record:
            await connection.execute(SQL["user_add"], user_id, address, name.strip(), hashed, BESIDE_THE_LOG)
            await audit.record(connection, AuditKind.REGISTERED, user_id, origin, actor=Actor.SOMEBODY)
            row = await connection.fetchrow(SQL["user"], user_id)
            assert row is not None
            return row

        try:
            return user_out(await self.database.within(work))
        except asyncpg.UniqueViolationError:
            raise Problem("email-taken", "an account with this address exists; log in", field="email") from None

    async def named(self, email: str, network: str) -> asyncpg.Record | None:
        """The account's row for a login by address. `known`: the account has had a login from this network."""
        return await self.database.row("user_credentials", spellings(email), network)

    async def login(
        self,
        account: asyncpg.Record | None,
        password: str,
        second: Second,
        origin: Origin,
        limit: Callable[[], Awaitable[None]],
    ) -> TokensOut:
        """Tokens of a new session. Raises Problem invalid-credentials (401), with the same work for an unknown account
        as for a known one; second-factor-required (401); after `limit` invalid-second-factor (401)."""
        hashed = account["password_hash"] if account else None
        if not await self.passwords.verify(hashed, password) or account is None:
            if account is None:
                await self.attempts.note(AttemptKind.UNKNOWN_ACCOUNT, origin)
            else:
                await audit.record_refusal(
                    self.database, AuditKind.LOGIN, account["id"], origin, detail={"why": "password"}
                )
            raise _wrong()
        user_id, used = UserId(str(account["id"])), ""
        if account["second_factor"]:
            if second.missing:
                raise Problem("second-factor-required", "send a code of your authenticator, or a recovery code")
            await limit()
            used = await self.factors.check(user_id, second, origin)
        token, session_id = secrets.token_urlsafe(TOKEN_BYTES), SessionId(str(uuid4()))

        async def work(connection: Connection) -> bool:
            where = (origin.address, origin.client, origin.network)
            opened = await connection.fetchrow(
                SQL["session_open"], session_id, user_id, hashed, token_digest(token), _expiry(), *where
            )
            if opened is not None:
                await audit.record(
                    connection, AuditKind.LOGIN, user_id, origin, session_id=session_id, detail={"second_factor": used}
                )
            return opened is not None

        if not await self.database.within(work):  # the password has changed since it was verified
            raise _wrong()
        return self._tokens(account, user_id, session_id, token)

    async def refresh(self, token: str, origin: Origin) -> TokensOut:
        """The next tokens of a session. Raises Problem invalid-refresh-token (401). A second use ends the session."""
        old, new = token_digest(token), secrets.token_urlsafe(TOKEN_BYTES)
        row = await self.database.write(
            "refresh_token_rotate", old, token_digest(new), _expiry(), origin.address, origin.client
        )
        if row is None:
            if await self._end_by_token(old, origin, only_reused=True):
                raise _refused("the refresh token was used before, so its session has ended; log in again")
            raise _refused("the refresh token is unknown, expired or revoked; log in again")
        return self._tokens(row, row["user_id"], row["session_id"], new)

    async def logout(self, token: str, origin: Origin) -> None:
        """End the session of a refresh token. An unknown token is no error."""
        await self._end_by_token(token_digest(token), origin, only_reused=False)

    async def end_session(self, caller: Caller, session_id: SessionId, origin: Origin) -> bool:
        """End one of the caller's sessions, also the current one. False: the caller has no such open session."""

        async def work(connection: Connection) -> bool:
            await require_open(connection, caller)
            ended = await connection.fetchrow(SQL["session_end"], caller.user_id, session_id)
            if ended is not None:
                own = caller.session_id
                await audit.record(
                    connection,
                    AuditKind.SESSION_ENDED,
                    caller.user_id,
                    origin,
                    session_id=own,
                    detail={"ended": session_id},
                )
            return ended is not None

        if not await self.database.within(work):
            return False
        await self.sessions.end([session_id])
        return True

    async def end_other_sessions(self, caller: Caller, origin: Origin) -> None:
        """End all of the caller's sessions except the current one."""

        async def work(connection: Connection) -> list[SessionId]:
            await require_open(connection, caller)
            ended = await connection.fetchval(SQL["sessions_end"], caller.user_id, UUID(caller.session_id))
            own = caller.session_id
            await audit.record(
                connection,
                AuditKind.SESSIONS_ENDED,
                caller.user_id,
                origin,
                session_id=own,
                detail={"sessions": len(ended)},
            )
            return list(ended)

        await self.sessions.end(await self.database.within(work))

    async def check_password(self, caller: Caller, password: str, *, field: str) -> None:
        """Check the caller's password. Raises Problem invalid-credentials (401), or not-found without an account."""
        row = await self.database.row("user_password", caller.user_id)
        if row is None:
            raise not_found("account", caller.user_id)
        if not await self.passwords.verify(row["password_hash"], password):
            raise Problem("invalid-credentials", "this is not the account's password", field=field)

    async def update(
        self, caller: Caller, name: str | None, description: str | None, links: list[str] | None
    ) -> UserOut:
        """Change the account and return it. None leaves a field unchanged. Raises Problem not-found."""
        if await self.database.write("user_update", caller.user_id, name, None, description, links) is None:
            raise not_found("account", caller.user_id)
        return await self.own(caller.user_id)

    async def change_password(self, caller: Caller, password: str, origin: Origin) -> None:
        """Set a new password, end all other sessions and reset links, and mail the owner.

        Raises Problem password-too-common (422), unauthorized (401) if the session has ended.
        """
        user_id = caller.user_id
        account = await self.own(user_id)
        hashed = await self.passwords.hash(password, about=(account.email, account.name))

        async def work(connection: Connection) -> list[SessionId]:
            await require_open(connection, caller)
            await connection.execute(SQL["user_update"], user_id, None, hashed, None, None)
            ended = await connection.fetchval(SQL["sessions_end"], user_id, UUID(caller.session_id))
            await connection.execute(SQL["reset_links_end"], user_id)
            await connection.execute(SQL["account_mail_add"], user_id, "password-changed")
            await audit.record(
                connection,
                AuditKind.PASSWORD_CHANGED,
                user_id,
                origin,
                session_id=caller.session_id,
                detail={"sessions": len(ended)},
            )
            return list(ended)

        await self.sessions.end(await self.database.within(work))

    async def become_organizer(self, caller: Caller, origin: Origin) -> tuple[UserOut, str]:
        """The account, and an access token with its new role. It lasts as long as the caller's token and belongs to the
        same session, which has to be open. Raises Problem unauthorized (401), not-found."""

        async def work(connection: Connection) -> asyncpg.Record:
            await require_open(connection, caller)
            before = await connection.fetchrow(SQL["user"], caller.user_id)
            await connection.execute(SQL["user_become_organizer"], caller.user_id)
            after = await connection.fetchrow(SQL["user"], caller.user_id)
            assert before is not None
            assert after is not None
            if before["role"] != after["role"]:
                roles = {"before": before["role"], "role": after["role"]}
                await audit.record(
                    connection,
                    AuditKind.ROLE_CHANGED,
                    caller.user_id,
                    origin,
                    session_id=caller.session_id,
                    detail=roles,
                )
            return after

        row = await self.database.within(work)
        return user_out(row), self.access_token(row, caller)

    def access_token(self, row: asyncpg.Record, caller: Caller) -> str:
        """An access token of the caller's session. It expires with the caller's current one."""
        role, waiting = effective(Role(row["role"]), factor=row["second_factor"])
        ttl_s = max(1, caller.expires_at - int(time()))
        return self.tokens.issue(
            caller.user_id,
            role,
            session_id=caller.session_id,
            ttl_s=ttl_s,
            waiting=waiting,
            mailbox=self._mailbox(row),
        )

    async def own(self, user_id: UserId) -> UserOut:
        """An account as its owner sees it. Raises Problem not-found."""
        row = await self.database.row("user", user_id)
        if row is None:
            raise not_found("account", user_id)
        return user_out(row)

    async def erase(self, caller: Caller) -> None:
        """Delete all personal data of the caller from Postgres, and end their sessions. Raises Problem not-found,
        unauthorized (401) if the session has ended."""
        user_id = caller.user_id

        async def work(connection: Connection) -> list[SessionId]:
            await require_open(connection, caller)
            await connection.execute(SQL["inbox_lock"])
            row = await connection.fetchrow(SQL["user_erase"], user_id)
            assert row is not None
            await audit.record(connection, AuditKind.ERASED, None, Origin(), detail={"erased": user_id})
            return list(row["sessions"])

        await self.sessions.end(await self.database.within(work))

    async def _end_by_token(self, token_hash: bytes, origin: Origin, *, only_reused: bool) -> bool:
        """End the session of a token. False if there is no such token."""

        async def work(connection: Connection) -> asyncpg.Record | None:
            await connection.execute(SQL["user_lock_by_token"], token_hash)
            row = await connection.fetchrow(SQL["session_end_by_token"], token_hash, only_reused)
            if row is not None and row["was_open"]:
                user_id, session_id = row["user_id"], row["session_id"]
                if only_reused:
                    await audit.record(
                        connection,
                        AuditKind.REFRESH_REUSED,
                        user_id,
                        origin,
                        session_id=session_id,
                        actor=Actor.SOMEBODY,
                        refused=True,
                    )
                else:
                    await audit.record(connection, AuditKind.SESSION_ENDED, user_id, origin, session_id=session_id)
            return row

        row = await self.database.within(work)
        if row is not None:
            await self.sessions.end([row["session_id"]])
        return row is not None

    def _tokens(self, row: asyncpg.Record, user_id: UserId, session_id: SessionId, refresh_token: str) -> TokensOut:
        role, factor = Role(row["role"]), bool(row["second_factor"])
        shown, waiting = effective(role, factor=factor)
        return TokensOut(
            access_token=self.tokens.issue(
                user_id, shown, session_id=session_id, waiting=waiting, mailbox=self._mailbox(row)
            ),
            refresh_token=refresh_token,
            expires_in=ACCESS_TOKEN_TTL_S,
            second_factor=factor,
            second_factor_wanted=factor_need(role, staff=row["staff"]),
        )

    def _mailbox(self, row: asyncpg.Record) -> int:
        return self.mailboxes.number(row["email"], verified=row["email_verified_at"] is not None)


async def require_open(connection: Connection, caller: Caller) -> None:
    """Lock the caller's row, and check that their session is open. Raises Problem not-found, unauthorized (401)."""
    if await connection.fetchrow(SQL["user_lock"], caller.user_id) is None:
        raise not_found("account", caller.user_id)
    session_id = caller.session_id or None
    if await connection.fetchrow(SQL["session_is_open"], caller.user_id, session_id) is None:
        raise unauthorized("this needs an open session; log in again")


def user_out(row: asyncpg.Record) -> UserOut:
    """An account as its owner sees it."""
    role, factor = Role(row["role"]), bool(row["second_factor"])
    asked: FactorNeed = factor_need(role, staff=row["staff"])
    return UserOut(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=role,
        description=row["description"],
        links=row["links"],
        created_at=row["created_at"],
        email_verified=row["email_verified_at"] is not None,
        second_factor=factor,
        second_factor_wanted=asked,
    )


def _wrong() -> Problem:
    return Problem("invalid-credentials", "the address or the password is wrong")


def _expiry() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=REFRESH_TOKEN_TTL_S)


def _refused(detail: str) -> Problem:
    return Problem("invalid-refresh-token", detail, field="refresh_token")
