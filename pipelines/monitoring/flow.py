"""tickets.facts → totals, and a look at the lag of every flow: source → decode → admit → tally → write.

Each fact is counted once: one transaction writes a batch's counts and its positions. A fact that cannot be counted
becomes a dead letter, and is counted after a redrive. Every LOOK_S, between batches, the flow reads lags and dead
letters, sets the metrics, and shows all in Redis for `/readyz` and the dashboard.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import KafkaException, Message

from connectors import clock
from connectors.errors import ServiceUnreachable
from connectors.execution import execute
from connectors.failure_policy import Bound, is_of_record
from connectors.kafka import UNHURRIED, BatchSource, Gate, StopFlag, consumer
from connectors.logs import Log
from connectors.postgres import Database
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.command_places import CommandPlaces
from pipelines.monitoring.board import MONITORED, Board
from pipelines.monitoring.metrics import Exported
from pipelines.monitoring.survey import Survey
from pipelines.monitoring.tally import FACT, PLACES, REFUSED, Series, tally
from pipelines.monitoring.totals import Totals, TotalsStore
from pipelines.notifications.outbound import recorded_again
from pipelines.projections.flow import Admitted, DecodedFact, Positions, reader
from schemas.codec import Codec
from schemas.times import rfc3339
from schemas.topics import FACTS
from sinks.batch_sink import BatchSink
from sinks.dead_letters import DeadLetters

GROUP = "circle.monitoring"
FLOW = "monitoring"  # on dead letters of facts: the flow that gets them again
LOOK_S = 5.0

log = Log("monitoring")


@dataclass(frozen=True, slots=True)
class Counted:
    """An admitted batch with its counts."""

    admitted: Admitted
    counts: Counter[Series]


@dataclass(frozen=True, slots=True)
class MonitoringDeps:
    """What the flow is made of."""

    source: BatchSource
    decode: Callable[[list[Message]], list[DecodedFact]]
    admit: Callable[[list[DecodedFact]], Admitted]
    tally: Callable[[Admitted], Counted]
    write: Callable[[Counted], None]


def build(deps: MonitoringDeps) -> Dataflow:
    """The flow."""
    flow = Dataflow("monitoring")
    records = op.input("facts", flow, deps.source)
    decoded = op.map("decode", records, deps.decode)
    admitted = op.map("admit", decoded, deps.admit)
    counted = op.map("tally", admitted, deps.tally)
    op.output("totals", counted, BatchSink(deps.write))
    return flow


def run(settings: Settings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    database = Database(settings.postgres_url)
    store, gate = TotalsStore(database, stop_requested=lambda: stop.requested), Gate()
    survey, board = Survey(settings, database), Board(settings)
    watch = Watch(store, survey, board)
    positions = Positions(settings, store, dedupe=True, flow=FLOW)
    source = BatchSource(
        consumer(settings, group=GROUP, **UNHURRIED),
        topic=FACTS,
        owner=positions,
        gate=gate,
        stop=stop,
        before_poll=watch.look,
        on_assigned=lambda partitions: signal_ready(f"monitoring {partitions}"),
    )

    codec = codec_of(settings)

    def write(batch: Counted) -> None:
        store.add(batch.counts, before=batch.admitted.before, after=batch.admitted.after)
        gate.done()

    deps = MonitoringDeps(
        source=source,
        decode=reader(codec, CommandPlaces(settings)),
        admit=positions.admit,
        tally=tallier(DeadLetters(settings), codec),
        write=write,
    )
    with closing(database), closing(board), closing(survey):
        return execute(build(deps), log)


def tallier(dead_letters: DeadLetters, codec: Codec) -> Callable[[Admitted], Counted]:
    """The tally step: facts that cannot be counted become dead letters; the others are counted."""
    bound = Bound(FLOW)

    def count(batch: Admitted) -> Counted:
        try:
            return Counted(batch, tally(batch.facts))
        except Exception as error:
            if not is_of_record(error):
                raise
        counts: Counter[Series] = Counter()
        for fact in batch.facts:
            try:
                counts.update(tally((fact,)))
            except Exception as error:
                if not is_of_record(error):
                    raise
                dead_letters.put(recorded_again(fact, codec), bound.failed(error), by=FLOW)
            else:
                bound.went_well()
        dead_letters.flush()
        return Counted(batch, counts)

    return count


class Watch:
    """Surveys the platform every LOOK_S. If a service is away, the log says so and the next look tries again."""

    def __init__(self, store: TotalsStore, survey: Survey, board: Board) -> None:
        self._store, self._survey, self._board = store, survey, board
        self._exported = Exported()
        self._looked = 0.0

    def look(self) -> None:
        """Survey, at most once in LOOK_S."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        try:
            (totals, last_fact_us), survey = self._store.totals(), self._survey.look()
        except (ServiceUnreachable, KafkaException) as error:
            log.warning("survey.failed", error=f"{type(error).__name__}: {error}")
            return
        finally:
            self._looked = time.monotonic()
        verified = self._board.verified()
        self._exported.totals(totals)
        self._exported.surveyed(survey, verified, last_fact_us)
        now = clock.now_rfc3339()
        self._board.show(
            MONITORED,
            {
                "at": now,
                "facts": sum(_of(totals, FACT).values()),
                "places": _of(totals, PLACES),
                "refused": _of(totals, REFUSED),
                "last_fact_at": rfc3339(last_fact_us) if last_fact_us else None,
                "lags": survey.lags,
                "dead_letters": survey.dead_letters,
            },
        )


def _of(totals: Totals, measure: str) -> dict[str, Any]:
    return {label: total for (of, label), total in sorted(totals.items()) if of == measure}
