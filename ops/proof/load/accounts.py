"""Buyers' accounts, made directly: rows in Postgres and tokens from the platform's own key.

No password fits their password hash, so a login is impossible; the tokens are real.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from api.auth.keys import KeyRing
from api.auth.tokens import AccessTokens, Role
from connectors.errors import SettingsError
from connectors.postgres import connect
from connectors.settings import Settings
from schemas.ids import UserId

TOKEN_TTL_S = 3_600
NO_PASSWORD = "!"  # noqa: S105 - no Argon2 hash, so it fits no password


class Account(NamedTuple):
    """A user's id and access token."""

    user_id: UserId
    token: str


async def provision(settings: Settings, count: int, *, label: str) -> list[Account]:
    """`count` new buyers, named after `label`. Raises ServiceUnreachable, or SettingsError without a key file."""
    if settings.jwt_key_file is None:
        raise SettingsError("CIRCLE_JWT_KEY_FILE", "is needed to make tokens", example="./.data/jwt.pem")
    tokens = AccessTokens(KeyRing.load(settings.jwt_key_file))
    ids = [uuid4() for _ in range(count)]
    now = datetime.now(UTC)
    rows = [
        (one, f"{label}-{one.hex}@example.org", f"Buyer {number}", NO_PASSWORD, Role.BUYER.value, now, now)
        for number, one in enumerate(ids, 1)
    ]
    connection = await connect(settings.postgres_url)
    try:
        columns = ("id", "email", "name", "password_hash", "role", "created_at", "email_verified_at")
        await connection.copy_records_to_table("users", records=rows, columns=columns)
    finally:
        await connection.close()
    return [Account(one, tokens.issue(one, Role.BUYER, ttl_s=TOKEN_TTL_S)) for one in map(UserId, map(str, ids))]
