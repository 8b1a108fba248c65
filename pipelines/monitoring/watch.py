"""Looks at the platform every LOOK_S seconds: totals, lags, dead letters, alerts. Sets the metrics, shows all in
Redis, and keeps the figures of the last day.

The look runs in a thread of its own, so that it never delays a batch. While a service is away, the log says so, and the
next look tries again. An unexpected error ends the process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from confluent_kafka import KafkaException

from connectors import clock
from connectors.errors import ServiceUnreachable
from connectors.logs import Log
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.flows import Flow
from pipelines.monitoring.alarms import Alarms
from pipelines.monitoring.board import MONITORED, Board
from pipelines.monitoring.figure_history import FigureHistory, sample_of
from pipelines.monitoring.figures import LookFigures
from pipelines.monitoring.host import certificate_ends, disks
from pipelines.monitoring.metric_setter import MetricSetter
from pipelines.monitoring.outbox import look_at_deliveries, look_at_outbox
from pipelines.monitoring.readings import readings
from pipelines.monitoring.sales import SalesSurvey
from pipelines.monitoring.services import BrokerSurvey, RedisSurvey, look_at_postgres
from pipelines.monitoring.survey import Survey
from pipelines.monitoring.tally import FACT, PLACES, REFUSED
from pipelines.monitoring.totals import Totals, totals
from schemas.times import rfc3339

LOOK_S = 5.0
GROUPS = [f"circle.{flow}" for flow in Flow]

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
        settings = self._settings
        with closing(Database(settings.postgres_url)) as database, closing(_Eyes(settings, database)) as eyes:
            setter, alarms, history = MetricSetter(), Alarms(settings, database), FigureHistory(database)
            while not self._stopped.is_set():
                self._look(eyes, setter, alarms, history)
                self._stopped.wait(LOOK_S)

    def _look(self, eyes: _Eyes, setter: MetricSetter, alarms: Alarms, history: FigureHistory) -> None:
        began = time.monotonic()
        try:
            counted, figures = eyes.look()
            now = time.time()
            firing = alarms.look(readings(figures, now))
            ages = figures.redis.ages if figures.redis is not None else {}
            sample = sample_of(counted, figures.surveyed, now, ages, figures.outbox, figures.deliveries)
            history.keep(sample)
        except (ServiceUnreachable, KafkaException) as error:
            log.warning("survey.failed", error=f"{type(error).__name__}: {error}")
            return
        setter.totals(counted)
        setter.figures(figures, now, time.monotonic() - began)
        setter.firing(Counter(one.rule.name for one in firing))
        found, last_fact_us = figures.surveyed, figures.last_fact_us
        eyes.board.show(
            MONITORED,
            {
                "at": clock.now_rfc3339(),
                "facts": sum(_of(counted, FACT).values()),
                "places": _of(counted, PLACES),
                "refused": _of(counted, REFUSED),
                "last_fact_at": rfc3339(last_fact_us) if last_fact_us else None,
                "lags": found.lags,
                "dead_letters": found.dead_letters,
                "sample": sample,
                "alerts": [
                    {"alert": one.rule.name, "about": one.about, "severity": one.rule.severity, "summary": one.summary,
                     "fired_at": rfc3339(one.fired_at)}
                    for one in firing
                ],
            },
        )  # fmt: skip


class _Eyes:
    """All that a look reads from, kept between looks."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self.board = Board(settings)
        self._survey = Survey(settings, database)
        self._sales = SalesSurvey(database)
        self._redis = RedisSurvey(settings)
        self._broker = BrokerSurvey(settings, GROUPS)

    def close(self) -> None:
        """Close the connections."""
        for one in (self._survey, self._redis, self.board):
            one.close()

    def look(self) -> tuple[Totals, LookFigures]:
        """One look. Raises ServiceUnreachable and KafkaException when PostgreSQL or the broker is away."""
        counted, last_fact_us = self._database.run(totals, readonly=True)
        return counted, LookFigures(
            surveyed=self._survey.look(),
            last_fact_us=last_fact_us,
            verified=self.board.verified(),
            broker=self._broker.look(),
            redis=self._redis.look(),
            postgres=look_at_postgres(self._database),
            sales=self._sales.look(clock.now_us()),
            disks=disks(self._settings),
            certificate_ends=certificate_ends(self._settings),
            outbox=look_at_outbox(self._database, clock.now_us(), switched_on=self._settings.export_notifications),
            deliveries=look_at_deliveries(self._database, clock.now_us()),
        )


def _of(counted: Totals, measure: str) -> dict[str, Any]:
    return {label: total for (of, label), total in sorted(counted.items()) if of == measure}
