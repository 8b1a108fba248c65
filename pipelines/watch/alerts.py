"""The history of alerts, as monitoring keeps it in PostgreSQL. Writes nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec

from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.monitoring.alert_rules import AlertState, Severity, runbook_of
from schemas.times import rfc3339

SQL = queries(Path(__file__).parent / "sql" / "alerts.sql")


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One alert from its firing to its end. Times are RFC 3339; `resolved_at` is "" while it fires.

    `about` is a flow, a topic, a file or a service, "" for the whole platform. `value` is the reading that fired it, or
    the last one while it fires. `reported` says whether the operators' webhook knows of this state; `call_error` is why
    the last call failed.
    """

    alert: str
    about: str
    severity: Severity
    status: AlertState
    summary: str
    value: float
    began_at: str
    fired_at: str
    resolved_at: str
    reported: bool
    call_error: str
    runbook: str


def alerts(settings: Settings, *, firing: bool = False, limit: int) -> list[AlertView]:
    """The latest alerts, those that fire first. `firing` leaves out those that have resolved.

    Raises ServiceUnreachable.
    """

    async def look(connection: Connection) -> list[AlertView]:
        return [_view(dict(row)) for row in await connection.fetch(SQL["alert_history"], firing, limit)]

    with closing(Database(settings.postgres_url)) as database:
        return database.run(look, readonly=True)


def _view(row: dict[str, object]) -> AlertView:
    state = AlertState.RESOLVED if row["resolved_at"] else AlertState.FIRING
    names = ("alert", "about", "severity", "summary", "value", "call_error")
    times = {name: rfc3339(at) if isinstance(at := row[name], int) and at else ""
             for name in ("began_at", "fired_at", "resolved_at")}  # fmt: skip
    return msgspec.convert(
        {name: row[name] for name in names}
        | times
        | {"status": state, "reported": row["called_for"] == state, "runbook": runbook_of(str(row["alert"]))},
        AlertView,
    )
