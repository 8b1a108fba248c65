"""Reads one event's history from the log: its state at a moment, and a reservation's explanation. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from api.log import event_log
from api.log.event_log import command_at
from connectors.errors import CircleError
from connectors.log_reader import LogReader, chosen, few_collections
from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.progress import ProgressBars
from ops.verify.verify import SQL_FILE
from pipelines.history.explain import Explanation, about
from pipelines.history.moment import EventFold, Moment, moment
from pipelines.reservations.core.state import EventState
from schemas.facts import RecordedFact
from schemas.ids import EventId, ReservationId
from schemas.placement import partition_of
from schemas.topics import FACTS


class NotOnTheLog(CircleError):
    """The log has no such event or reservation."""


class CannotFold(CircleError):
    """This build cannot fold a fact of the event. After this fact, nothing about the event is certain."""


class BadMoment(CircleError):
    """Wrong usage: --at is neither a time nor a position, or a position of another partition."""

    exit_code = 2


def moment_of(text: str | None, event_id: EventId, partitions: int) -> Moment:
    """The moment that --at names. Raises BadMoment."""
    try:
        until = moment(text)
    except ValueError as error:
        raise BadMoment(f"--at: {error}") from None
    home = partition_of(event_id, partitions)
    if until.position is not None and until.position.partition != home:
        raise BadMoment(f"--at {text}: event {event_id} is on partition {home}")
    return until


def past_of(settings: Settings, event_id: EventId, at: str | None, progress: ProgressBars) -> EventFold:
    """The event at a moment. Raises NotOnTheLog, BadMoment, CannotFold, ServiceUnreachable."""
    partitions = len(chosen(settings, FACTS, None))
    past = EventFold(event_id, moment_of(at, event_id, partitions))
    with few_collections():
        past.take(facts_of(settings, event_id, partition_of(event_id, partitions), progress))
    _check_folded(past)
    if past.last is None and not past.over:
        raise NotOnTheLog(f"there is no fact of event {event_id} on the log")
    return past


def explain(
    settings: Settings, reservation_id: ReservationId, event_id: EventId | None, progress: ProgressBars
) -> Explanation:
    """What the log says about a reservation. Raises NotOnTheLog, CannotFold, ServiceUnreachable."""
    partitions = len(chosen(settings, FACTS, None))
    event_id = event_id or _event_of(settings, reservation_id, partitions, progress)
    home = partition_of(event_id, partitions)
    explanation, codec = Explanation(reservation_id=reservation_id, event_id=event_id), codec_of(settings)

    def hear(state: EventState, recorded: RecordedFact) -> None:
        if about(recorded.fact, reservation_id):
            command = command_at(settings, home, recorded.envelope.offset, codec)
            explanation.hear(state, recorded, command)

    with few_collections():
        past = EventFold(event_id)
        past.take(facts_of(settings, event_id, home, progress), hear)
    _check_folded(past)
    if not explanation.decisions and not explanation.later:
        raise NotOnTheLog(f"event {event_id} has no reservation {reservation_id} on the log")
    return explanation


def _check_folded(past: EventFold) -> None:
    if past.state.unfolded:
        raise CannotFold(f"event {past.state.event_id}: this build cannot fold {past.state.unfolded}")


def facts_of(
    settings: Settings, event_id: EventId, partition: int, progress: ProgressBars
) -> Iterator[tuple[int, RecordedFact]]:
    """Every fact of an event with its offset on the facts topic."""
    bar = progress.bar(f"facts of partition {partition}", 0)
    yield from event_log.facts_of(settings, event_id, partition, began=bar.of, told=bar.set)
    bar.stop()


def _event_of(settings: Settings, reservation_id: ReservationId, partitions: int, progress: ProgressBars) -> EventId:
    """A reservation's event: from its row in PostgreSQL, else from the facts."""
    sql = queries(SQL_FILE)
    database = Database(settings.postgres_url)

    async def look(connection: Connection) -> EventId | None:
        event_id: EventId | None = await connection.fetchval(sql["event_of"], reservation_id)
        return event_id

    try:
        event_id = database.run(look, readonly=True)
    except CircleError:
        event_id = None  # the log has it, too, but the search takes longer
    finally:
        database.close()
    return event_id or _scan(settings, reservation_id, partitions, progress)


def _scan(settings: Settings, reservation_id: ReservationId, partitions: int, progress: ProgressBars) -> EventId:
    codec, wanted = codec_of(settings), reservation_id.encode()
    for partition in range(partitions):
        with LogReader(settings, FACTS, partition) as reader:
            bar = progress.bar(f"looking in partition {partition}", reader.high)
            for message in reader.messages():
                value = message.value()
                if value is not None and wanted in value:
                    recorded = codec.decode(value)
                    if isinstance(recorded, RecordedFact) and about(recorded.fact, reservation_id):
                        return recorded.envelope.event_id
            bar.finish(reader.high)
    raise NotOnTheLog(f"no fact on the log is about a reservation {reservation_id}")
