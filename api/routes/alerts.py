"""Alerts: what fires now and what has resolved, as monitoring writes it. For operators."""

from __future__ import annotations

from sanic import HTTPResponse

from api.http import cursors
from api.http.routing import Call, json
from api.shapes.alerts import AlertsQuery, alert_out


async def alerts(call: Call) -> HTTPResponse:
    """200 with a page of the history, the latest first."""
    query = call.query(AlertsQuery)
    value, _ = cursors.decode(query.cursor, "alerts")
    rows = await call.deps.database.rows("alerts", query.firing, value, query.limit + 1)
    page = cursors.page(rows, query.limit, alert_out, lambda row: ("alerts", row["id"], ""))
    return json(page, headers={"cache-control": "no-store"})
