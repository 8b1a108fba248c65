"""Alerts: what fires now and what has resolved, as monitoring writes it. For operators."""

from __future__ import annotations

import asyncpg
from sanic import HTTPResponse

from api.http import cursors
from api.http.routing import Call, json
from api.shapes.alerts import AlertOut, AlertsQuery
from pipelines.monitoring.alert_rules import AlertState, runbook_of
from schemas.times import utc


async def alerts(call: Call) -> HTTPResponse:
    """200 with a page of the history, the latest first."""
    query = call.query(AlertsQuery)
    value, _ = cursors.decode(query.cursor, "alerts")
    rows = await call.deps.database.rows("alerts", query.firing, value, query.limit + 1)
    page = cursors.page(rows, query.limit, alert_out, lambda row: ("alerts", row["id"], ""))
    return json(page, headers={"cache-control": "no-store"})


def alert_out(row: asyncpg.Record) -> AlertOut:
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
