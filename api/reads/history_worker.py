"""A process that reads the log for the API and does nothing else.

The API starts it, asks through its input and gets the answers through its output, one at a time. It has a low priority,
so answers from the log take only the processor time that the sale leaves. It ends when its input ends, or after IDLE_S
without a question. Questions and answers are pickled: both ends are processes of one API.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, cast

from confluent_kafka import KafkaException

from api.log.event_log import BoundExceeded, Bounds, command_at, facts_of
from api.reads.operator_questions import OperatorQuestion
from connectors import logs
from connectors.errors import CircleError
from connectors.log_reader import NoSuchPartition
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.history.explain import Explanation, about
from pipelines.history.moment import EventFold, Moment
from pipelines.history.seat_map import SeatMap, seat_map
from pipelines.reservations.core.state import EventState
from pipelines.watch.dead_letters import NoSuchLetter
from pipelines.watch.journey import NotFollowed
from pipelines.watch.record_search import NoSuchRecord
from schemas.facts import RecordedFact
from schemas.ids import US_PER_MS, EventId, Position, ReservationId

NICE = 19  # where the system has no class of processes that run only on an idle processor
IDLE_S = 300.0  # an unused worker is 60 MB of memory
LENGTH_BYTES = 8

log = logs.get("history")


class ReadingPlace:
    """The place of an event's facts: its partition and the time of its creation."""

    __slots__ = ("event_id", "partition", "since_ms")

    def __init__(self, event_id: EventId, partition: int, created_at_us: int) -> None:
        self.event_id, self.partition, self.since_ms = event_id, partition, created_at_us // US_PER_MS


class Unfolded(CircleError):
    """A fact of the event cannot be folded. The message names it."""


@dataclass(frozen=True, slots=True)
class SeatsThen:
    """Asks for the seat map after the last fact within `until`, and whether a later fact has come."""

    place: ReadingPlace
    until: Moment

    def answer(self, settings: Settings, bounds: Bounds) -> tuple[SeatMap, bool]:
        """Raises BoundExceeded, Unfolded, ServiceUnreachable, KafkaException."""
        past = EventFold(self.place.event_id, self.until)
        _fold(settings, bounds, self.place, past)
        return seat_map(past.state, past.last), past.over


@dataclass(frozen=True, slots=True)
class WhyDecided:
    """Asks for the explanation of a reservation, up to the fact at `through` (offset, index)."""

    place: ReadingPlace
    reservation_id: ReservationId
    through: tuple[int, int]

    def answer(self, settings: Settings, bounds: Bounds) -> Explanation:
        """Raises as `SeatsThen.answer` does."""
        explanation = Explanation(reservation_id=self.reservation_id, event_id=self.place.event_id)
        codec = codec_of(settings)

        def hear(state: EventState, recorded: RecordedFact) -> None:
            if about(recorded.fact, self.reservation_id):
                at = recorded.envelope
                explanation.hear(state, recorded, command_at(settings, at.partition, at.offset, codec))

        past = EventFold(self.place.event_id, Moment(position=Position(self.place.partition, *self.through)))
        _fold(settings, bounds, self.place, past, hear)
        return explanation


Question = SeatsThen | WhyDecided | OperatorQuestion


class Ending(StrEnum):
    """How the work on a question ended."""

    ANSWERED = "answered"
    BOUND_EXCEEDED = "bound-exceeded"
    UNFOLDED = "unfolded"
    NOT_FOUND = "not-found"  # the log does not have what a question names
    REFUSED = "refused"  # a dead letter that may not go back so
    UNREADABLE = "unreadable"  # the log does not answer
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: its answer, or an error's text."""

    ending: Ending
    value: object


def write_to(stream: BinaryIO, value: object) -> None:
    """Write one pickled value, after its length."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    stream.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    stream.flush()


def read_from(stream: BinaryIO) -> object | None:
    """Read one value; None at the end of the stream."""
    length = _exactly(stream, LENGTH_BYTES)
    data = _exactly(stream, int.from_bytes(length, "big")) if length is not None else None
    return None if data is None else pickle.loads(data)  # noqa: S301  it comes from our own process


def _exactly(stream: BinaryIO, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        part = stream.read(count - len(data))
        if not part:
            return None
        data += part
    return bytes(data)


def _fold(
    settings: Settings,
    bounds: Bounds,
    place: ReadingPlace,
    past: EventFold,
    hear: Callable[[EventState, RecordedFact], None] = lambda _state, _recorded: None,
) -> None:
    past.take(facts_of(settings, place.event_id, place.partition, since_ms=place.since_ms, bounds=bounds), hear)
    if past.state.unfolded:
        log.error("history.not_folded", event=place.event_id, partition=place.partition, why=past.state.unfolded)
        raise Unfolded(past.state.unfolded)


def _work_on(question: Question, settings: Settings, bounds: Bounds) -> Answer:
    try:
        return Answer(Ending.ANSWERED, question.answer(settings, bounds))
    except BoundExceeded as error:
        return Answer(Ending.BOUND_EXCEEDED, str(error))
    except Unfolded as error:
        return Answer(Ending.UNFOLDED, str(error))
    except (NoSuchRecord, NoSuchPartition, NotFollowed) as error:
        return Answer(Ending.NOT_FOUND, str(error))
    except NoSuchLetter as error:
        return Answer(Ending.REFUSED, str(error))
    except (CircleError, KafkaException) as error:
        return Answer(Ending.UNREADABLE, type(error).__name__)
    except Exception as error:
        log.exception("history.failed", error)
        return Answer(Ending.FAILED, type(error).__name__)


def _give_way() -> None:
    """Run only where no other process wants the processor. Threads that start later inherit it."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(NICE)


def main() -> None:
    """Answer questions until the input ends."""
    _give_way()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the API, whose end closes the input
    questions = cast("BinaryIO", io.FileIO(0))  # unbuffered: select sees all that has come
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints does not print into an answer
    opening = read_from(questions)
    if not isinstance(opening, tuple):
        return
    settings, bounds = opening
    logs.configure(settings)
    while select.select([questions], [], [], IDLE_S)[0]:
        question = read_from(questions)
        if not isinstance(question, Question):
            return
        write_to(answers, _work_on(question, settings, bounds))
