"""Writes failed logins into the audit log: those to unknown accounts, and those that a limit refused.

Guarantee: the audit log has one row an hour for each reason, network and account, for any number of attempts and
processes, and at most ATTEMPTS_NOTED_MAX rows an hour from each process. So no attacker can fill the table, and only
the first refused attempt costs a statement. A row has no mail address.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from time import time

from api.auth import audit
from api.auth.audit import AuditKind
from api.auth.origin import Origin
from api.http.problem import Problem
from api.reads.database import QueryPool
from schemas.ids import UserId

WINDOW_S = 3_600  # one row in this time shows from where and for how long
ATTEMPTS_NOTED_MAX = 200  # of one process in an hour: at most two million rows in the 400 days for which rows are kept


class AttemptKind(StrEnum):
    """Why a login failed."""

    UNKNOWN_ACCOUNT = "unknown-account"
    RATE_LIMITED = "rate-limited"


class Attempts:
    """The attempts that this process has recorded in this hour."""

    __slots__ = ("_clock", "_database", "_hour", "_noted")

    def __init__(self, database: QueryPool, clock: Callable[[], float] = time) -> None:
        self._database, self._clock = database, clock
        self._hour, self._noted = 0, set[str]()

    async def note(self, why: AttemptKind, origin: Origin, user_id: UserId | None = None) -> None:
        """Record an attempt, unless an equal one is recorded. `user_id` is the account, if there is one. Without
        PostgreSQL the next attempt is recorded instead."""
        hour = int(self._clock() // WINDOW_S)
        if hour != self._hour:
            self._hour, self._noted = hour, set()
        once = f"{AuditKind.LOGIN} {why} {origin.network or origin.address} {user_id or ''} {hour}"
        if once in self._noted or len(self._noted) >= ATTEMPTS_NOTED_MAX:
            return
        self._noted.add(once)
        try:
            await audit.record_refusal(self._database, AuditKind.LOGIN, user_id, origin, detail={"why": why}, once=once)
        except Problem:
            self._noted.discard(once)
