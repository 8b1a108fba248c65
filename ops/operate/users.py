"""Accounts by hand (`circle users`): roles, since nobody can ask over HTTP to be the first admin, and addresses.

Guarantee: a role only rises. A token that carries the old one is honoured for what the new one may do.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg
import msgspec

from api.auth.mail import normalised
from api.auth.tokens import RANK, Role
from api.problem import Problem
from connectors.errors import CircleError
from connectors.postgres import Connection, connect
from connectors.settings import Settings
from connectors.sql_files import queries

SQL = queries(Path(__file__).with_name("users.sql"))


class NoSuchUser(CircleError):
    """No account has this address, or its role is above the one that was named. The message says which."""


class Promoted(msgspec.Struct, frozen=True):
    """An account's role, before and after."""

    user_id: str
    before: Role
    role: Role


class Verified(msgspec.Struct, frozen=True):
    """An account whose address counts as proven; `before`: it did already."""

    user_id: str
    before: bool


async def verify(settings: Settings, email: str, *, dry_run: bool = False) -> Verified:
    """Count an account's address as proven, as its mailed link would. Raises NoSuchUser, ServiceUnreachable."""
    connection = await connect(settings.postgres_url)
    try:
        async with connection.transaction():
            row = await _account(connection, email)
            if not dry_run and not row["verified"]:
                await connection.execute(SQL["verify"], row["id"])
    finally:
        await connection.close()
    return Verified(row["id"], row["verified"])


async def promote(settings: Settings, email: str, role: Role, *, dry_run: bool = False) -> Promoted:
    """Give an account a higher role. Raises NoSuchUser, ServiceUnreachable."""
    connection = await connect(settings.postgres_url)
    try:
        async with connection.transaction():
            row = await _account(connection, email)
            before = Role(row["role"])
            if RANK[before] > RANK[role]:
                raise NoSuchUser(f"{email} is {before.value}, which is above {role.value}; a role is not taken away")
            if not dry_run:
                await connection.execute(SQL["promote"], row["id"], role.value)
    finally:
        await connection.close()
    return Promoted(row["id"], before, role)


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
