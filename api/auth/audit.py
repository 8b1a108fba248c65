"""The audit log: each change of an account and each refused attempt, with actor, origin, time and result.

Guarantee: a change of an account and its audit row are one transaction. The owner and administrators can read it. The
log line of each has ids and no addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any

import asyncpg
import msgspec

from api.auth.origin import Origin
from api.reads.database import SQL, Connection, QueryPool
from connectors import logs
from schemas.ids import NO_SESSION, SessionId, UserId

_NOT_ADDED = "INSERT 0 0"  # PostgreSQL's answer for no row; RETURNING would need the right to read

log = logs.get("security")


class AuditKind(StrEnum):
    """The kinds of entries."""

    REGISTERED = "account-registered"
    LOGIN = "login"
    SECOND_FACTOR = "second-factor"  # a wrong or used code, or an unknown recovery code
    REFRESH_REUSED = "refresh-reused"
    SESSION_ENDED = "session-ended"
    SESSIONS_ENDED = "sessions-ended"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a name, not a password
    PASSWORD_RESET_ASKED = "password-reset-asked"  # noqa: S105
    PASSWORD_RESET = "password-reset"  # noqa: S105
    EMAIL_VERIFIED = "email-verified"
    FACTOR_ON = "second-factor-on"
    FACTOR_OFF = "second-factor-off"
    CODES_MADE = "recovery-codes-made"
    CODE_USED = "recovery-code-used"
    ROLE_CHANGED = "role-changed"
    ERASED = "account-erased"
    LETTER_REDRIVEN = "dead-letter-redriven"  # asked for in the console; no letter goes back without its entry


class Actor(StrEnum):
    """Who did it: a client with a session of the account, one without, or the operator of the platform."""

    OWNER = "owner"
    SOMEBODY = "somebody"
    OPERATOR = "operator"


class AuditOutcome(StrEnum):
    """Whether the attempt succeeded."""

    DONE = "done"
    REFUSED = "refused"


async def record(
    connection: Connection,
    kind: AuditKind,
    user_id: UserId | None,
    origin: Origin,
    *,
    session_id: SessionId = NO_SESSION,
    actor: Actor = Actor.OWNER,
    refused: bool = False,
    detail: Mapping[str, Any] | None = None,
    once: str | None = None,
) -> None:
    """Add an entry in the transaction of the change. With `once`, only if no entry has this name."""
    outcome = AuditOutcome.REFUSED if refused else AuditOutcome.DONE
    text = msgspec.json.encode(detail or {}).decode()
    where = (session_id or None, origin.address, origin.client)
    what = (kind.value, outcome.value, actor.value, user_id, *where, text, once)
    if await connection.execute(SQL["security_event_add"], *what) == _NOT_ADDED:
        return
    who = {"actor": actor.value, "user": user_id or "", "session": session_id}
    log.info("security.event", kind=kind.value, outcome=outcome.value, **who)


async def record_refusal(
    database: QueryPool,
    kind: AuditKind,
    user_id: UserId | None,
    origin: Origin,
    *,
    detail: Mapping[str, Any] | None = None,
    once: str | None = None,
) -> None:
    """Add an entry for a refused attempt. Nothing is added for an account that is being erased."""

    async def work(connection: Connection) -> None:
        await record(connection, kind, user_id, origin, actor=Actor.SOMEBODY, refused=True, detail=detail, once=once)

    with suppress(asyncpg.ForeignKeyViolationError):
        await database.within(work)
