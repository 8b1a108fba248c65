"""Accounts and refresh tokens in Postgres. A refresh token works once; one that comes again revokes its family.

Guarantee: rotation is one statement, so of two uses of a token at once exactly one succeeds.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import asyncpg

from api.auth.passwords import Passwords
from api.auth.tokens import AccessTokens, Role
from api.database import Database
from api.limits import ACCESS_TOKEN_TTL_S, REFRESH_TOKEN_TTL_S
from api.problem import Problem
from api.shapes.accounts import TokensOut, UserOut

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the auth and users routes do."""

    database: Database
    passwords: Passwords
    tokens: AccessTokens

    async def register(self, email: str, password: str, name: str) -> UserOut:
        """A new buyer. Raises Problem email-taken (409)."""
        hashed = await self.passwords.hash(password)
        try:
            row = await self.database.write("user_add", str(uuid4()), _folded(email), name, hashed)
        except asyncpg.UniqueViolationError:
            raise Problem("email-taken", "an account with this address exists; log in", field="email") from None
        assert row is not None
        return user_out(row)

    async def login(self, email: str, password: str) -> TokensOut:
        """Tokens of a new family. Raises Problem invalid-credentials (401), equally slow for unknown accounts."""
        row = await self.database.row("user_credentials", _folded(email))
        if not await self.passwords.verify(row["password_hash"] if row else None, password) or row is None:
            raise Problem("invalid-credentials", "the address or the password is wrong")
        return await self.new_family(row["id"], Role(row["role"]))

    async def refresh(self, token: str) -> TokensOut:
        """The next tokens of a family. Raises Problem invalid-refresh-token (401); a reuse revokes the family."""
        old, new = _hash(token), secrets.token_urlsafe(TOKEN_BYTES)
        row = await self.database.write("refresh_token_rotate", old, _hash(new), _expiry())
        if row is None:
            if await self.database.write("refresh_token_revoke_reused", old) is not None:
                raise _refused("the refresh token was used before; its whole family is revoked now, log in again")
            raise _refused("the refresh token is unknown, expired or revoked; log in again")
        return self._tokens(row["user_id"], Role(row["role"]), new)

    async def logout(self, token: str) -> None:
        """Ends the family of a token. An unknown one is ended already."""
        await self.database.write("refresh_token_revoke_family", _hash(token))

    async def new_family(self, user_id: str, role: Role) -> TokensOut:
        """Tokens as after a login."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        await self.database.write("refresh_token_add", _hash(token), str(uuid4()), user_id, _expiry())
        return self._tokens(user_id, role, token)

    def _tokens(self, user_id: str, role: Role, refresh_token: str) -> TokensOut:
        return TokensOut(
            access_token=self.tokens.issue(user_id, role),
            refresh_token=refresh_token,
            expires_in=ACCESS_TOKEN_TTL_S,
        )


def user_out(row: asyncpg.Record) -> UserOut:
    """An account as its owner sees it."""
    return UserOut(row["id"], row["email"], row["name"], Role(row["role"]), row["created_at"])


def _folded(email: str) -> str:
    return email.strip().lower()


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _expiry() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=REFRESH_TOKEN_TTL_S)


def _refused(detail: str) -> Problem:
    return Problem("invalid-refresh-token", detail, field="refresh_token")
