"""The shapes of alerts, for operators."""

from __future__ import annotations

from datetime import datetime

import msgspec

from api.shapes.base import PageQuery


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
