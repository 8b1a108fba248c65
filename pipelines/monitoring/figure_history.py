"""The figures of the last hour and of the last day, in PostgreSQL: charts survive a reload and a restart.

Guarantee: the table has at most KEPT_S / step rows of each step, and a step has one row, also where several monitoring
processes write.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import isfinite
from pathlib import Path

import msgspec

from connectors.age_reports import Ages
from connectors.postgres import Connection, Database
from connectors.sql_files import queries
from pipelines.monitoring.outbox import OutboxLag
from pipelines.monitoring.survey import Surveyed
from pipelines.monitoring.tally import FACT, PLACES, REFUSED
from pipelines.monitoring.totals import Totals

EXPORTED = "exported"  # the stage of the ages

SQL = queries(Path(__file__).parent / "sql" / "figures.sql")


class FigureRange(StrEnum):
    """How far back a chart reaches."""

    HOUR = "hour"
    DAY = "day"

    @property
    def step_s(self) -> int:
        """Seconds between two samples."""
        return _STEPS_S[self]

    @property
    def kept_s(self) -> int:
        """Seconds that a sample is kept."""
        return _KEPT_S[self]


_STEPS_S = {FigureRange.HOUR: 5, FigureRange.DAY: 120}  # 720 points of each chart
_KEPT_S = {FigureRange.HOUR: 3_600, FigureRange.DAY: 86_400}


class FigureSample(msgspec.Struct, frozen=True, kw_only=True):
    """The platform at one moment: totals since the log's beginning, and lags.

    `at` is in seconds. `ends` is the number of records of a topic, all partitions together; on a broker with
    transactions their marks count as well. `lags` has records and seconds for each flow; `stalled` has the
    seconds that a flow with a lag has not moved. `places` has held, sold and
    freed; `dead_letters` those that were not sent back. `catch_up` has the seconds until a flow with a lag will have
    none, null while it does not shrink. `ages` has, for each stage, the records by their age at its end
    (`AGE_BUCKETS_S`), counted since the processes began. `outbox` has the messages that wait for their export, and the
    seconds of the oldest; null where nothing is exported. `deliveries` has the same of mails and webhook calls.
    """

    at: float
    facts: int
    places: dict[str, int]
    refused: int
    dead_letters: int
    ends: dict[str, int]
    lags: dict[str, list[float]]
    stalled: dict[str, float] = {}
    catch_up: dict[str, float | None] = {}
    ages: Ages = {}
    outbox: list[float] | None = None
    deliveries: dict[str, list[float]] = {}


def sample_of(
    counted: Totals,
    found: Surveyed,
    at_s: float,
    ages: Ages,
    outbox: OutboxLag | None,
    deliveries: Mapping[str, OutboxLag],
) -> FigureSample:
    """The sample of one look. Exported messages show that there is an export, also if it was not asked for here."""
    if outbox is None and EXPORTED in ages:
        outbox = OutboxLag(0, 0.0)
    return FigureSample(
        at=round(at_s, 1),
        facts=sum(total for (measure, _), total in counted.items() if measure == FACT),
        places={label: total for (measure, label), total in counted.items() if measure == PLACES},
        refused=sum(total for (measure, _), total in counted.items() if measure == REFUSED),
        dead_letters=sum(one.put_aside - one.redriven for one in found.dead_letters.values()),
        ends={topic: sum(ends.values()) for topic, ends in found.ends.items()},
        lags={lag.flow: [lag.records, lag.seconds] for lag in found.lags},
        stalled={flow: round(trend.stalled_s, 1) for flow, trend in found.trends.items() if trend.stalled_s},
        catch_up={flow: _finite(trend.catch_up_s) for flow, trend in found.trends.items() if trend.catch_up_s},
        ages=ages,
        outbox=None if outbox is None else _shown(outbox),
        deliveries={channel: _shown(lag) for channel, lag in deliveries.items()},
    )


def _shown(lag: OutboxLag) -> list[float]:
    return [lag.messages, round(lag.seconds, 1)]


def _finite(seconds: float) -> float | None:
    return round(seconds, 1) if isfinite(seconds) else None


class FigureHistory:
    """Writes one sample for each step, and removes what is older than its range."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: dict[FigureRange, int] = {}

    def keep(self, sample: FigureSample) -> None:
        """Write the sample if a new step has begun. Raises ServiceUnreachable when PostgreSQL is away."""
        steps = {reach: int(sample.at) // reach.step_s * reach.step_s for reach in FigureRange}
        due = {reach: at for reach, at in steps.items() if self._last.get(reach) != at}
        if due:
            text = msgspec.json.encode(sample).decode()

            async def write(connection: Connection) -> None:
                for reach, at in due.items():
                    await connection.execute(SQL["keep_figures"], reach.step_s, at, text)
                    await connection.execute(SQL["prune_figures"], reach.step_s, at - reach.kept_s)

            self._database.run(write)
            self._last |= due
