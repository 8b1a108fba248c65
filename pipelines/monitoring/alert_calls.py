"""Calls the operators' webhook when an alert fires or resolves, in the form of Prometheus' Alertmanager (version 4).

Guarantee: at least once for each state that lasts until the call. While the webhook does not answer, calls wait and
are made again, ever further apart; one call has all alerts that are due.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import asyncpg
import msgspec

from connectors.backoff import Backoff
from connectors.logs import Log
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.monitoring.alert_rules import AlertState, runbook_of
from pipelines.monitoring.alert_store import call_failed, called, claimed_calls
from schemas.ids import US_PER_S
from schemas.times import rfc3339

CALL_TIMEOUT_S = 5.0  # a look waits for it
BACKOFF = Backoff(first_s=5.0, max_s=300.0)
ERROR_CHARS_MAX = 500
NEVER = "0001-01-01T00:00:00Z"  # Alertmanager's time for "not yet"
RECEIVER = "general-circle"

log = Log("alerts")


class AlertCalls:
    """Makes the due calls. Does nothing without CIRCLE_ALERT_WEBHOOK_URL."""

    def __init__(self, settings: Settings) -> None:
        self._url, self._settings = settings.alert_webhook_url, settings

    def work(self, database: Database, now_us: int) -> None:
        """Make one call with all due alerts. Raises ServiceUnreachable when PostgreSQL is away."""
        if self._url is None:
            return
        rows = database.run(lambda connection: claimed_calls(connection, now_us))
        if not rows:
            return
        error = self._post(body(rows, self._settings.public_url))
        if error:
            due_us = now_us + round(BACKOFF.wait_s(max(row["call_tries"] for row in rows) - 1) * US_PER_S)
            log.warning("alerts.not_called", alerts=len(rows), error=self._settings.redact(error))
            ids, text = [row["id"] for row in rows], self._settings.redact(error)
            database.run(lambda connection: call_failed(connection, ids, due_us, text))
            return
        states = [(row["id"], state_of(row)) for row in rows]
        database.run(lambda connection: called(connection, states))

    def _post(self, content: bytes) -> str:
        """Why the call has failed; "" when it has not."""
        import httpcore  # with the first call: it costs a process a tenth of a second

        timeout = dict.fromkeys(("connect", "read", "write", "pool"), CALL_TIMEOUT_S)
        try:
            response = httpcore.request(
                "POST",
                self._url or "",
                headers={"content-type": "application/json", "user-agent": "general-circle-alerts/1"},
                content=content,
                extensions={"timeout": timeout},
            )
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            return f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
        return "" if 200 <= response.status < 300 else f"answered {response.status}"


def state_of(row: asyncpg.Record) -> AlertState:
    """Whether an alert fires or has resolved."""
    return AlertState.RESOLVED if row["resolved_at"] else AlertState.FIRING


def body(rows: Sequence[asyncpg.Record], public_url: str) -> bytes:
    """The call's body."""
    alerts = [_alert(row, public_url) for row in rows]
    fires = any(one["status"] == AlertState.FIRING for one in alerts)
    return msgspec.json.encode(
        {
            "version": "4",
            "groupKey": RECEIVER,
            "truncatedAlerts": 0,
            "status": AlertState.FIRING if fires else AlertState.RESOLVED,
            "receiver": RECEIVER,
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": public_url,
            "alerts": alerts,
        }
    )


def _alert(row: asyncpg.Record, public_url: str) -> dict[str, Any]:
    labels = {"alertname": row["alert"], "severity": row["severity"], "about": row["about"]}
    return {
        "status": state_of(row),
        "labels": labels,
        "annotations": {
            "summary": row["summary"],
            "value": f"{row['value']:g}",
            "runbook": runbook_of(row["alert"]),
        },
        "startsAt": rfc3339(row["fired_at"]),
        "endsAt": rfc3339(row["resolved_at"]) if row["resolved_at"] else NEVER,
        "generatorURL": public_url,
        "fingerprint": sha256(msgspec.json.encode(labels, order="sorted")).hexdigest()[:16],
    }
