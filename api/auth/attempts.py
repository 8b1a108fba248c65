"""Logins that came to nothing and have no account to be counted by: to unknown accounts, and those a limit refused.

Guarantee: the audit log has one row for each reason, network and account an hour, however many attempts there are and
however many processes see them, and at most ATTEMPTS_NOTED_MAX an hour of each process. So nobody fills the table, and
an attempt that a limit refuses costs no statement after the first. A row has no mail address.
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

WINDOW_S = 3_600  # one row in it: enough to see from where and for how long
ATTEMPTS_NOTED_MAX = 200  # of one process in an hour: two million rows at most in the 400 days that rows are kept


class AttemptKind(StrEnum):
    """Why a login came to nothing."""

    UNKNOWN_ACCOUNT = "unknown-account"
    RATE_LIMITED = "rate-limited"


class Attempts:
    """What this process has written down in this hour."""

    __slots__ = ("_clock", "_database", "_hour", "_noted")

    def __init__(self, database: QueryPool, clock: Callable[[], float] = time) -> None:
        self._database, self._clock = database, clock
        self._hour, self._noted = 0, set[str]()

    async def note(self, why: AttemptKind, origin: Origin, user_id: str | None = None) -> None:
        """Write an attempt down, unless one like it is there. `user_id` is the account, where there is one. Without
        PostgreSQL the next attempt is written down instead."""
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
