"""Looks at the platform every LOOK_S seconds: totals, lags, dead letters, alerts. Sets the metrics, and shows all in
Redis.

The look runs in a thread of its own, so that it never delays a batch. While a service is away, the log says so, and the
next look tries again. An unexpected error ends the process.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from confluent_kafka import KafkaException

from connectors import clock
from connectors.errors import ServiceUnreachable
from connectors.logs import Log
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.monitoring.alarms import Alarms
from pipelines.monitoring.board import MONITORED, Board
from pipelines.monitoring.metrics import Exported
from pipelines.monitoring.readings import readings
from pipelines.monitoring.survey import Survey
from pipelines.monitoring.tally import FACT, PLACES, REFUSED
from pipelines.monitoring.totals import Totals, totals
from schemas.times import rfc3339

LOOK_S = 5.0

log = Log("monitoring")


class Watch:
    """Surveys the platform until it is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._looks: Future[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._looks = self._thread.submit(self._run)

    def close(self) -> None:
        """Stop looking. Waits for the end of the current look."""
        self._stopped.set()
        self._thread.shutdown()

    def look_after(self) -> None:
        """Raise the unexpected error of a look."""
        if self._looks is not None and self._looks.done():
            self._looks.result()

    def _run(self) -> None:
        with (
            closing(Database(self._settings.postgres_url)) as database,
            closing(Board(self._settings)) as board,
            closing(Survey(self._settings, database)) as survey,
        ):
            exported, alarms = Exported(), Alarms(self._settings, database)
            while not self._stopped.is_set():
                self._look(database, survey, board, exported, alarms)
                self._stopped.wait(LOOK_S)

    def _look(self, database: Database, survey: Survey, board: Board, exported: Exported, alarms: Alarms) -> None:
        try:
            (counted, last_fact_us), found = database.run(totals, readonly=True), survey.look()
            verified = board.verified()
            alarms.look(readings(found, verified))
        except (ServiceUnreachable, KafkaException) as error:
            log.warning("survey.failed", error=f"{type(error).__name__}: {error}")
            return
        exported.totals(counted)
        exported.surveyed(found, verified, last_fact_us)
        board.show(
            MONITORED,
            {
                "at": clock.now_rfc3339(),
                "facts": sum(_of(counted, FACT).values()),
                "places": _of(counted, PLACES),
                "refused": _of(counted, REFUSED),
                "last_fact_at": rfc3339(last_fact_us) if last_fact_us else None,
                "lags": found.lags,
                "dead_letters": found.dead_letters,
            },
        )


def _of(counted: Totals, measure: str) -> dict[str, Any]:
    return {label: total for (of, label), total in sorted(counted.items()) if of == measure}
