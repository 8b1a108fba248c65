"""The shapes of alerts, for operators."""

from __future__ import annotations

from datetime import datetime

import asyncpg
import msgspec

from api.shapes.base import PageQuery
from pipelines.monitoring.alert_rules import AlertState, runbook_of
from schemas.times import utc


class AlertsQuery(PageQuery, frozen=True):
    """The history of alerts; `firing` leaves out those that have resolved."""

    firing: bool = False


class AlertOut(msgspec.Struct, frozen=True, kw_only=True):
    """An alert. `about` is a flow, a topic, a file or a service, null for the whole platform. `value` is the reading
    that fired it, or the last one while it fires. `reported` says whether the webhook knows of this state."""

    id: int
    alert: str
    about: str | None
    severity: str
    status: str
    summary: str
    value: float
    began_at: datetime
    fired_at: datetime
    resolved_at: datetime | None
    reported: bool
    runbook: str


def alert_out(row: asyncpg.Record) -> AlertOut:
    """A row as the API shows it."""
    state = AlertState.RESOLVED if row["resolved_at"] else AlertState.FIRING
    return AlertOut(
        id=row["id"],
        alert=row["alert"],
        about=row["about"] or None,
        severity=row["severity"],
        status=state,
        summary=row["summary"],
        value=row["value"],
        began_at=utc(row["began_at"]),
        fired_at=utc(row["fired_at"]),
        resolved_at=utc(row["resolved_at"]) if row["resolved_at"] else None,
        reported=row["called_for"] == state,
        runbook=runbook_of(row["alert"]),
    )
