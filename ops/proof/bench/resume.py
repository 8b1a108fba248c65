"""`circle bench resume`: a projected partition with a long history, and a reservations worker that takes it over.

It measures the time from the worker's start to its log line about the loaded partition, the time of the loading itself,
and the time until the reply for a command of each chosen event. A worker loads an event at its first command, so the
cost of the partition's length and the cost of an event's size show separately. The cost of one event is measured
before, in this process.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import TopicPartition

from connectors import kafka, redis_clients
from connectors.errors import CircleError
from connectors.log_reader import few_collections
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.proof.bench.history import PARTITION, HistoryWriter, WrittenHistory
from ops.proof.bench.kernel import Worker, own_broker_only
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine, Scaling
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, rounds_chart
from ops.run.services.process import log_tail, spawn
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from pipelines.positions import PROJECTIONS
from pipelines.reservations.guard import DONE
from pipelines.reservations.snapshot import state_from
from pipelines.reservations.snapshot_store import SnapshotStore
from pipelines.reservations.wiring import GROUP
from schemas.codec import Codec
from schemas.commands import ReleaseReservation
from schemas.ids import CommandId, EventId, ReservationId, UserId
from schemas.replies import REPLY_CHANNEL_PREFIX, decode_replies
from schemas.topics import COMMANDS

CHANNEL = REPLY_CHANNEL_PREFIX + "bench"
FACTS = 1_000_000
PROJECTED_S_MAX = 900.0  # without progress for so long, the bench gives up
REPLY_S_MAX = 120.0
LOOK_S = 0.2


class ResumeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The partition's history."""

    facts: int = FACTS
    orders_per_event: int = 10_000
    asked: int = 10
    rounds: int = 1
    broker: str = "embedded"
    seed: int = 1


class ResumeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. `replied_s` is from the worker's start, for the first and the last of the chosen events."""

    options: ResumeOptions
    commands: int
    facts: int
    events: int
    loaded_s: float
    assigned_s: float
    first_reply_s: float
    last_reply_s: float
    asked: int
    replies: int
    event_reservations: int
    event_s: float
    event_cpu_s: float
    cpu_s: float
    peak_mb: float
    rounds: list[ResumeReport] = []  # all, this one first
    machine: Machine | None = None

    @property
    def passed(self) -> bool:
        """Whether every command had its reply."""
        return self.replies == self.asked


def run(options: ResumeOptions, progress: ProgressBars) -> ResumeReport:
    """Runs the bench on a stack of its own."""
    own_broker_only(options.broker)
    with Stack(options.broker, partitions=1) as stack, tempfile.TemporaryDirectory(prefix="circle-bench-") as directory:
        env = stack.fresh()
        settings = settings_from_env(env)
        history = HistoryWriter(settings, seed=options.seed, orders_per_event=options.orders_per_event)
        written = history.write(options.facts, progress.bar("writing facts", options.facts))
        projections, reservations = (Path(directory) / f"{name}.log" for name in ("projections", "reservations"))
        project(env, settings, written.commands - 1, projections, progress)
        commit(settings, written.commands)
        event = load_event(settings, written.events[0])
        rounds, calibration, behind = list[ResumeReport](), Calibration(options.broker), written.commands
        for number in range(options.rounds):
            calibration.measure()
            asked = [written.events[(number * options.asked + at) % len(written.events)] for at in range(options.asked)]
            rounds.append(_resume(options, env, settings, written, reservations, progress, event, asked))
            behind += len(asked)
            if number < options.rounds - 1:
                project(env, settings, behind - 1, projections, progress)
    return msgspec.structs.replace(
        rounds[0], rounds=[msgspec.structs.replace(one) for one in rounds], machine=calibration.machine()
    )


def measurement(report: ResumeReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    assert report.machine is not None
    rounds, options = report.rounds, report.options
    seconds = {
        "partition loaded": [one.loaded_s for one in rounds],
        "assigned": [one.assigned_s for one in rounds],
        "first reply": [one.first_reply_s for one in rounds],
        "last reply": [one.last_reply_s for one in rounds],
    }
    figures = [
        *(Figure(name=name, unit="s", values=values) for name, values in seconds.items()),
        Figure(name="CPU of the worker", unit="s of CPU", values=[one.cpu_s for one in rounds]),
        Figure(name="memory", unit="MB", values=[one.peak_mb for one in rounds], scaling=Scaling.NONE),
    ]
    replies = ", ".join(f"{one.replies} of {one.asked}" for one in rounds)
    return Measurement(
        name="resume",
        about="a worker takes over a partition with a long history",
        load={"facts": options.facts, "orders_per_event": options.orders_per_event, "asked": options.asked},
        machine=report.machine,
        figures=figures,
        checks=[BenchCheck("every chosen event replied", all(one.passed for one in rounds), replies)],
        charts=[rounds_chart("resume", figures, lambda figure: figure.unit == "s")],
    )


class EventLoaded(msgspec.Struct, frozen=True):
    """The load of one event's rows into a state: reservations, seconds by the clock, seconds of this process's CPU."""

    reservations: int
    seconds: float
    cpu_s: float


def load_event(settings: Settings, event_id: EventId) -> EventLoaded:
    """Load an event as a worker does at its first command. Raises ServiceUnreachable."""
    database = Database(settings.postgres_url)
    try:
        store = SnapshotStore(database)
        store.load_partition(PARTITION)  # the connection is there, as it is in a worker
        with few_collections():  # as in a worker; besides, this process has the history's objects
            clock, cpu = time.monotonic(), time.process_time()
            state = state_from(store.load_event(event_id, PARTITION, patient=False))
            seconds, cpu_s = time.monotonic() - clock, time.process_time() - cpu
        return EventLoaded(len(state.reservations), round(seconds, 3), round(cpu_s, 3))
    finally:
        database.close()


def project(env: dict[str, str], settings: Settings, last: int, log: Path, progress: ProgressBars) -> None:
    """Run the projections until their rows have the facts of the command at `last`."""
    bar, database = progress.bar("projecting", last + 1), Database(settings.postgres_url)
    command = [sys.executable, "-m", "ops.cli.main", "pipeline", "projections"]
    process = spawn(command, log=log, env={**os.environ, **env, "CIRCLE_INSTANCE": "bench"})
    try:
        at, moved = -1, time.monotonic()
        while at < last:
            if process.poll() is not None or time.monotonic() - moved > PROJECTED_S_MAX:
                raise CircleError(f"the projections stand at {at}; the end of their log:\n{log_tail(log)}")
            time.sleep(LOOK_S)
            found = _position(database)
            at, moved = (found, time.monotonic()) if found > at else (at, moved)
            bar.set(at + 1)
    finally:
        database.close()
        process.terminate()
        process.wait()
    bar.finish(at + 1)


def _position(database: Database) -> int:
    async def ask(connection: Connection) -> int | None:
        found: int | None = await connection.fetchval(
            'SELECT "offset" FROM projection_positions WHERE consumer = $1 AND partition = $2', PROJECTIONS, PARTITION
        )
        return found

    found = database.run(ask, readonly=True)
    return -1 if found is None else found


def commit(settings: Settings, commands: int) -> None:
    """Commit offsets as if the group had decided all commands. No member of it may run."""
    client = kafka.consumer(settings, group=GROUP)
    client.commit(offsets=[TopicPartition(COMMANDS, PARTITION, commands)], asynchronous=False)
    client.close()


def _resume(
    options: ResumeOptions,
    env: dict[str, str],
    settings: Settings,
    written: WrittenHistory,
    log: Path,
    progress: ProgressBars,
    event: EventLoaded,
    asked: list[EventId],
) -> ResumeReport:
    producer = kafka.producer(settings)
    for number, event_id in enumerate(asked):
        command = ReleaseReservation(
            event_id, UserId("nobody"), CommandId(f"resume-{number}"), ReservationId("no-such-reservation")
        )
        headers: list[tuple[str, str | bytes | None]] = [("reply_to", CHANNEL.encode())]
        producer.produce(COMMANDS, Codec().encode(command), event_id.encode(), PARTITION, headers=headers)
    producer.flush(10)
    bar, replies = progress.bar("resuming", len(asked)), 0
    worker = Worker({**os.environ, **env, "CIRCLE_INSTANCE": "bench"}, log)
    with redis_clients.connect(settings.redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as channel:
        client.set(f"circle:installed:{PARTITION}", DONE)  # as its former owner has left Redis
        channel.subscribe(CHANNEL)
        channel.get_message(timeout=1.0)
        started, times = time.monotonic(), []
        try:
            worker.start()
            while replies < len(asked) and time.monotonic() - started < REPLY_S_MAX:
                message: dict[str, Any] | None = channel.get_message(timeout=0.5)
                worker.check()
                if message is not None and message["type"] == "message":
                    replies += len(decode_replies(message["data"]))
                    times.append(time.monotonic() - started)
                    bar.set(replies)
            cpu_s, peak_mb = worker.cpu_s(), worker.peak_mb()
        finally:
            worker.stop()
    bar.finish(replies)
    return ResumeReport(
        options=options,
        commands=written.commands,
        facts=written.facts,
        events=len(written.events),
        loaded_s=_seconds(log, "partition.loaded"),
        assigned_s=_seconds(log, "partitions.assigned"),
        first_reply_s=round(times[0], 3) if times else 0.0,
        last_reply_s=round(times[-1], 3) if times else 0.0,
        asked=len(asked),
        replies=replies,
        event_reservations=event.reservations,
        event_s=event.seconds,
        event_cpu_s=event.cpu_s,
        cpu_s=round(cpu_s, 2),
        peak_mb=peak_mb,
    )


def _seconds(log: Path, action: str) -> float:
    """The `seconds` of a log's last line with this action. Raises CircleError when there is none."""
    found = re.findall(rf"action={re.escape(action)} .*seconds=([0-9.]+)", log.read_text())
    if not found:
        raise CircleError(f"the worker has not said {action}; the end of its log:\n{log_tail(log)}")
    return float(found[-1])
