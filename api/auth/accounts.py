"""Accounts and sessions in Postgres. A refresh token works once; one that comes again ends its whole session.

Guarantee: rotation is one statement, so of two uses of a token at once exactly one succeeds. Whatever ends a session
locks the user's row first, so no refresh that is under way can save it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import asyncpg

from api.auth.mail import normalised
from api.auth.passwords import Passwords
from api.auth.sessions import Sessions
from api.auth.tokens import AccessTokens, Caller, Role
from api.database import Database
from api.limits import ACCESS_TOKEN_TTL_S, REFRESH_TOKEN_TTL_S
from api.problem import Problem, not_found
from api.shapes.accounts import TokensOut, UserOut

TOKEN_BYTES = 32
BESIDE_THE_LOG = 2**31 - 1  # the "partition" in the id of a message that no record made


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the auth and users routes do."""

    database: Database
    passwords: Passwords
    tokens: AccessTokens
    sessions: Sessions

    async def register(self, email: str, password: str, name: str) -> UserOut:
        """A new buyer. Raises Problem email-taken (409)."""
        address = normalised(email)
        hashed = await self.passwords.hash_new(password)
        try:
            row = await self.database.write("user_add", str(uuid4()), address, name.strip(), hashed, BESIDE_THE_LOG)
        except asyncpg.UniqueViolationError:
            raise Problem("email-taken", "an account with this address exists; log in", field="email") from None
        assert row is not None
        return user_out(row)

    async def verify_email(self, token: str) -> None:
        """Whoever has the mailed token reads the account's mails. Raises Problem link-not-valid (410)."""
        link = _hash(token)
        _, row = await self.database.transact(("user_lock_by_link", link, "verify-email"), ("email_verify", link))
        if row is None:
            raise link_not_valid()

    async def ask_verification(self, user_id: str) -> None:
        """Another link to the account's address, unless it is proven already."""
        await self.database.write("verification_ask", user_id)

    async def is_verified(self, user_id: str) -> bool:
        """Whether the account's address is proven: nothing is handed to one whose is not. False without an account."""
        row = await self.database.row("account_verified", user_id)
        return row is not None and bool(row["verified"])

    async def login(self, email: str, password: str) -> TokensOut:
        """Tokens of a new session. Raises Problem invalid-credentials (401), after the same work for an unknown
        account as for a known one."""
        row = await self.database.row("user_credentials", normalised(email))
        if not await self.passwords.verify(row["password_hash"] if row else None, password) or row is None:
            raise Problem("invalid-credentials", "the address or the password is wrong")
        return await self.new_tokens(row["id"], Role(row["role"]))

    async def refresh(self, token: str) -> TokensOut:
        """The next tokens of a session. Raises Problem invalid-refresh-token (401); a reuse ends the session."""
        old, new = _hash(token), secrets.token_urlsafe(TOKEN_BYTES)
        row = await self.database.write("refresh_token_rotate", old, _hash(new), _expiry())
        if row is None:
            if await self._end_by_token(old, only_reused=True):
                raise _refused("the refresh token was used before; its whole session is ended now, log in again")
            raise _refused("the refresh token is unknown, expired or revoked; log in again")
        return self._tokens(row["user_id"], Role(row["role"]), row["session_id"], new)

    async def logout(self, token: str) -> None:
        """Ends the session of a refresh token. That of an unknown one is ended already."""
        await self._end_by_token(_hash(token), only_reused=False)

    async def new_tokens(self, user_id: str, role: Role, session_id: str = "") -> TokensOut:
        """Tokens of a session, a new one if none is named."""
        token, session_id = secrets.token_urlsafe(TOKEN_BYTES), session_id or str(uuid4())
        try:
            await self.database.write("refresh_token_add", _hash(token), session_id, user_id, _expiry())
        except asyncpg.ForeignKeyViolationError:
            raise not_found("account", user_id) from None
        return self._tokens(user_id, role, session_id, token)

    async def check_password(self, caller: Caller, password: str, *, field: str) -> None:
        """That it is the caller's own. Raises Problem invalid-credentials (401), or not-found without an account."""
        row = await self.database.row("user_password", caller.user_id)
        if row is None:
            raise not_found("account", caller.user_id)
        if not await self.passwords.verify(row["password_hash"], password):
            raise Problem("invalid-credentials", "this is not the account's password", field=field)

    async def update(
        self, caller: Caller, name: str | None, password: str | None, description: str | None, links: list[str] | None
    ) -> UserOut:
        """The account as it is then; None leaves a member as it is. A new password ends all other sessions.

        Raises Problem not-found.
        """
        user_id, hashed = caller.user_id, None if password is None else await self.passwords.hash(password)
        change = ("user_update", user_id, name, hashed, description, links)
        if hashed is None:
            row = await self.database.write(*change)
        else:
            keep = UUID(caller.session_id) if caller.session_id else None
            _, row, ended = await self.database.transact(
                ("user_lock", user_id), change, ("sessions_end", user_id, keep)
            )
            assert ended is not None
            await self.sessions.end(ended["sessions"])
        if row is None:
            raise not_found("account", user_id)
        return user_out(row)

    async def erase(self, user_id: str) -> None:
        """Everything about a person is gone from Postgres, and their sessions have ended. Raises Problem not-found."""
        *_, row = await self.database.transact(("user_lock", user_id), ("inbox_lock",), ("user_erase", user_id))
        if row is None:
            raise not_found("account", user_id)
        await self.sessions.end(row["sessions"])

    async def _end_by_token(self, token_hash: bytes, *, only_reused: bool) -> bool:
        """Whether there was such a token; its session is ended."""
        _, row = await self.database.transact(
            ("user_lock_by_token", token_hash), ("session_end_by_token", token_hash, only_reused)
        )
        if row is not None:
            await self.sessions.end([row["session_id"]])
        return row is not None

    def _tokens(self, user_id: str, role: Role, session_id: str, refresh_token: str) -> TokensOut:
        return TokensOut(
            access_token=self.tokens.issue(user_id, role, session_id=session_id),
            refresh_token=refresh_token,
            expires_in=ACCESS_TOKEN_TTL_S,
        )


def user_out(row: asyncpg.Record) -> UserOut:
    """An account as its owner sees it."""
    return UserOut(
        id=row["id"],
        email=row["email"],
        name=row["name"],
        role=Role(row["role"]),
        description=row["description"],
        links=row["links"],
        created_at=row["created_at"],
        email_verified=row["email_verified_at"] is not None,
    )


def link_not_valid() -> Problem:
    """410: a mailed link that works no more, or never did."""
    return Problem("link-not-valid", "the link is used up, too old or none of ours; ask for another", field="token")


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _expiry() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=REFRESH_TOKEN_TTL_S)


def _refused(detail: str) -> Problem:
    return Problem("invalid-refresh-token", detail, field="refresh_token")
