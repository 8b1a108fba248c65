"""Accounts by hand (`circle users`): roles (the first admin cannot be made over HTTP), addresses, second factors.

Guarantee: a role never goes down. A token with the old role may do what the new role may do.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import msgspec
import pyotp

from api.auth import audit
from api.auth.audit import Actor, AuditKind
from api.auth.factors import otpauth_uri, put_recovery_codes
from api.auth.keys import KeyRing
from api.auth.mail import normalised
from api.auth.origin import Origin
from api.auth.secret_box import Sealer
from api.auth.tokens import RANK, Role
from api.http.problem import Problem
from api.reads.database import SQL as API_SQL
from connectors.errors import CircleError, SettingsError
from connectors.postgres import Connection, connect
from connectors.settings import Settings
from connectors.sql_files import queries
from schemas.ids import UserId

# The API's own queries on accounts.
API = {name: text for name, text in API_SQL.items() if name in ("sessions_end", "account_mail_add", "factor_remove")}
SQL = queries(Path(__file__).with_name("users.sql"))


class NoSuchUser(CircleError):
    """No account has this address, or its role is higher than the named one. The message says which."""


class Promoted(msgspec.Struct, frozen=True):
    """An account's role, before and after."""

    user_id: UserId
    before: Role
    role: Role


class VerifiedAccount(msgspec.Struct, frozen=True):
    """An account with a proven address. `before`: it was proven already."""

    user_id: UserId
    before: bool


async def verify(settings: Settings, email: str, *, dry_run: bool = False) -> VerifiedAccount:
    """Mark an account's address as proven, as the mailed link does. Raises NoSuchUser, ServiceUnreachable."""
    connection = await connect(settings.postgres_url)
    try:
        async with connection.transaction():
            row = await _account(connection, email)
            if not dry_run and not row["verified"]:
                await connection.execute(SQL["verify"], row["id"])
                await _recorded(connection, AuditKind.EMAIL_VERIFIED, row["id"])
    finally:
        await connection.close()
    return VerifiedAccount(row["id"], row["verified"])


class Enrolled(msgspec.Struct, frozen=True):
    """A new second factor, shown only once. After a dry run every field is empty."""

    user_id: UserId
    secret: str
    otpauth_uri: str
    recovery_codes: list[str]


async def enrol(settings: Settings, email: str, *, dry_run: bool = False) -> Enrolled:
    """Set up a second factor for an account, or replace the old one. All its sessions end.

    Raises NoSuchUser, ServiceUnreachable, and SettingsError without a key file: its key seals the secret.
    """
    if settings.jwt_key_file is None:
        raise SettingsError("CIRCLE_JWT_KEY_FILE", "is needed to seal the secret", example="./.data/jwt.pem")
    sealer, secret, codes = Sealer(KeyRing.load(settings.jwt_key_file)), pyotp.random_base32(), list[str]()
    connection = await connect(settings.postgres_url)
    try:
        async with connection.transaction():
            row = await _account(connection, email)
            user_id = UserId(str(row["id"]))
            if dry_run:
                return Enrolled(user_id, "", "", [])
            await connection.execute(SQL["enrol"], user_id, sealer.seal(secret.encode(), user_id))
            codes = await put_recovery_codes(connection, user_id)
            await connection.execute(API["sessions_end"], user_id, None)
            await connection.execute(API["account_mail_add"], user_id, "second-factor-on")
            await _recorded(connection, AuditKind.FACTOR_ON, user_id)
    finally:
        await connection.close()
    return Enrolled(user_id, secret, otpauth_uri(secret, row["email"]), codes)


class FactorReset(msgspec.Struct, frozen=True):
    """An account without a second factor. `before`: it had one."""

    user_id: UserId
    before: bool


async def reset_factor(settings: Settings, email: str, *, dry_run: bool = False) -> FactorReset:
    """Remove an account's second factor, when its phone and recovery codes are lost. All its sessions end."""
    connection = await connect(settings.postgres_url)
    try:
        async with connection.transaction():
            row = await _account(connection, email)
            if not dry_run and row["second_factor"]:
                await connection.execute(API["factor_remove"], row["id"])
                await connection.execute(API["sessions_end"], row["id"], None)
                await connection.execute(API["account_mail_add"], row["id"], "second-factor-off")
                await _recorded(connection, AuditKind.FACTOR_OFF, row["id"])
    finally:
        await connection.close()
    return FactorReset(row["id"], row["second_factor"])


async def promote(settings: Settings, email: str, role: Role, *, dry_run: bool = False) -> Promoted:
    """Give an account a higher role. Raises NoSuchUser, ServiceUnreachable."""
    connection = await connect(settings.postgres_url)
    try:
        async with connection.transaction():
            row = await _account(connection, email)
            before = Role(row["role"])
            if RANK[before] > RANK[role]:
                raise NoSuchUser(f"{email} is {before.value}, which is above {role.value}; a role is not taken away")
            if not dry_run and before is not role:
                await connection.execute(SQL["promote"], row["id"], role.value)
                detail = {"before": before.value, "role": role.value}
                await _recorded(connection, AuditKind.ROLE_CHANGED, row["id"], detail)
    finally:
        await connection.close()
    return Promoted(row["id"], before, role)


async def _recorded(
    connection: Connection, kind: AuditKind, user_id: UserId, detail: dict[str, str] | None = None
) -> None:
    await audit.record(connection, kind, user_id, Origin(client="circle users"), actor=Actor.OPERATOR, detail=detail)


async def _account(connection: Connection, email: str) -> asyncpg.Record:
    """The account, locked. Raises NoSuchUser."""
    row = await connection.fetchrow(SQL["user_by_email"], _address(email))
    if row is None:
        raise NoSuchUser(f"no account has the address {email}; it has to be registered first")
    return row


def _address(email: str) -> str:
    try:
        return normalised(email)
    except Problem as problem:
        raise NoSuchUser(problem.detail) from None
