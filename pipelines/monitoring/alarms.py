"""The alerts of a running platform: evaluated at each look, written to the history, reported to the webhook."""

from __future__ import annotations

import time

from connectors import clock
from connectors.logs import Log
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.monitoring.alert_calls import AlertCalls
from pipelines.monitoring.alert_store import evaluate, prune
from pipelines.monitoring.alerts import Evaluator, FiringAlert, Readings

PRUNE_EVERY_S = 3_600.0

log = Log("alerts")


class Alarms:
    """Evaluates the alerts with the watch's own connection to PostgreSQL."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database, self._calls, self._evaluator = database, AlertCalls(settings), Evaluator()
        self._pruned: float | None = None

    def look(self, readings: Readings) -> list[FiringAlert]:
        """Evaluate, write, report. Returns the alerts that fire and were read.

        Raises ServiceUnreachable when PostgreSQL is away.
        """
        now_us = clock.now_us()
        changes = self._database.run(lambda connection: evaluate(connection, self._evaluator, readings, now_us))
        for one in changes.fired:
            log.error("alert.fired", alert=one.rule.name, about=one.about, value=one.value)
        for name, about in changes.resolved:
            log.info("alert.resolved", alert=name, about=about)
        self._calls.work(self._database, clock.now_us())
        if self._pruned is None or time.monotonic() - self._pruned >= PRUNE_EVERY_S:
            self._pruned = time.monotonic()
            self._database.run(lambda connection: prune(connection, clock.now_us()))
        return [*changes.fired, *changes.still]
