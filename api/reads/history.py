"""Answers from the log: earlier seat maps, and explanations of reservations. Read in threads, never in the event loop.

Guarantee: at most HISTORY_AT_ONCE_MAX answers are read at a time, one for each user, each within HISTORY_RECORDS_MAX
and HISTORY_SECONDS_MAX. Some more wait in line, HISTORY_PATIENCE_S at most. Past a bound the answer is 503, or 429 if
the user's own share is used up, with Retry-After. Seat maps of past moments never change, so they are cached.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

from api.fairness.background import Background
from api.fairness.limits import (
    HISTORY_KEPT_MAX,
    HISTORY_PATIENCE_S,
    HISTORY_RECORDS_MAX,
    HISTORY_SECONDS_MAX,
    SWITCH_S,
)
from api.fairness.pools import HISTORY
from api.http.problem import unavailable
from api.log.event_log import BoundExceeded, Bounds, command_at, facts_of
from connectors.errors import CircleError
from connectors.logs import Log
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.history.explain import Explanation, about
from pipelines.history.moment import EventFold, Moment
from pipelines.history.seat_map import SeatMap, seat_map
from pipelines.reservations.core.decide import UNFOLDED
from pipelines.reservations.core.state import EventState
from schemas.facts import RecordedFact
from schemas.ids import US_PER_MS, Position

T = TypeVar("T")

BOUNDS = Bounds(records_max=HISTORY_RECORDS_MAX, seconds_max=HISTORY_SECONDS_MAX)

log = Log("history")


class Place:
    """The place of an event's facts: its partition and the time of its creation."""

    __slots__ = ("event_id", "partition", "since_ms")

    def __init__(self, event_id: str, partition: int, created_at_us: int) -> None:
        self.event_id, self.partition, self.since_ms = event_id, partition, created_at_us // US_PER_MS


class History:
    """One per process. Not for use outside its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._background = Background(HISTORY, "answers from the log")
        self._kept: OrderedDict[tuple[str, Moment], SeatMap] = OrderedDict()
        sys.setswitchinterval(SWITCH_S)

    def close(self) -> None:
        """Close without waiting: running reads end by their bounds."""
        self._background.close()

    async def seats(self, place: Place, until: Moment) -> SeatMap:
        """The seat map after the last fact within `until`. Raises Problem busy and unavailable (503)."""
        key = place.event_id, until
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept

        def read() -> tuple[SeatMap, bool]:
            past = self._fold(place, until, lambda _state, _fact: None)
            return seat_map(past.state, past.last), past.over

        found, over = await self._read(read)
        if over:
            self._kept[key] = found
            if len(self._kept) > HISTORY_KEPT_MAX:
                self._kept.popitem(last=False)
        return found

    async def explanation(self, place: Place, reservation_id: str, through: tuple[int, int]) -> Explanation:
        """Explain a reservation from the log, up to the fact at `through` (offset, index). Raises as `seats` does."""

        def read() -> Explanation:
            explanation = Explanation(reservation_id=reservation_id, event_id=place.event_id)
            codec = codec_of(self._settings)

            def hear(state: EventState, recorded: RecordedFact) -> None:
                if about(recorded.fact, reservation_id):
                    at = recorded.envelope
                    explanation.hear(state, recorded, command_at(self._settings, at.partition, at.offset, codec))

            self._fold(place, Moment(position=Position(place.partition, *through)), hear)
            return explanation

        return await self._read(read)

    def _fold(self, place: Place, until: Moment, hear: Callable[[EventState, RecordedFact], None]) -> EventFold:
        past = EventFold(place.event_id, until)
        past.take(
            facts_of(self._settings, place.event_id, place.partition, since_ms=place.since_ms, bounds=BOUNDS), hear
        )
        if past.state.unfolded:
            log.error("history.not_folded", event=place.event_id, partition=place.partition, why=past.state.unfolded)
            raise unavailable("log", UNFOLDED + past.state.unfolded)
        return past

    async def _read(self, work: Callable[[], T]) -> T:
        try:
            return await self._background.run(work, patience_s=HISTORY_PATIENCE_S)
        except BoundExceeded as error:
            raise unavailable("log", f"{error}; `circle explain` and `circle seats` have no such limit") from error
        except (CircleError, KafkaException) as error:
            raise unavailable("log", f"the log cannot be read at the moment ({type(error).__name__})") from error
