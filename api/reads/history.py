"""Answers from the log: earlier seat maps, and explanations of reservations. Read by worker processes of low priority.

Guarantee: at most HISTORY_AT_ONCE_MAX answers are read at a time, one for each user, each within HISTORY_RECORDS_MAX
and HISTORY_SECONDS_MAX. Some more wait in line, HISTORY_PATIENCE_S at most. Past a bound the answer is 503, or 429 if
the user's own share is used up, with Retry-After. Seat maps of past moments never change, so they are cached.
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections import OrderedDict
from typing import cast

from api.fairness.background import Background
from api.fairness.limits import (
    HISTORY_KEPT_MAX,
    HISTORY_PATIENCE_S,
    HISTORY_RECORDS_MAX,
    HISTORY_SECONDS_MAX,
    HISTORY_STALLED_S,
)
from api.fairness.pools import HISTORY
from api.http.problem import Problem, invalid, unavailable
from api.log.event_log import Bounds
from api.reads.history_worker import Answer, Ending, Question, ReadingPlace, SeatsThen, WhyDecided, read_from, write_to
from api.reads.operator_questions import OperatorQuestion
from connectors import logs
from connectors.settings import Settings
from pipelines.history.explain import Explanation
from pipelines.history.moment import Moment
from pipelines.history.seat_map import SeatMap
from pipelines.reservations.core.decide import UNFOLDED
from schemas.ids import MS_PER_S, ReservationId

BOUNDS = Bounds(records_max=HISTORY_RECORDS_MAX, seconds_max=HISTORY_SECONDS_MAX)
# Imported, not run with -m: as __main__ the module's classes would not be those of the pickled questions.
COMMAND = (sys.executable, "-c", "from api.reads.history_worker import main; main()")

log = logs.get("history")


class HistoryFailed(Exception):
    """A worker met an unexpected error. Its log names it."""


class _Worker:
    """One worker process. Not for use by two threads at once."""

    def __init__(self, settings: Settings, bounds: Bounds) -> None:
        self._process = subprocess.Popen(COMMAND, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.asked = False
        self._tell((settings, bounds))

    def ask(self, question: Question) -> Answer | None:
        """The answer; None if the process has ended. Raises TimeoutError after HISTORY_STALLED_S."""
        self.asked = True
        if not self._tell(question):
            return None
        out = self._process.stdout
        assert out is not None
        ready = select.poll()  # select() takes no descriptor above 1,023, and clients have thousands
        ready.register(out, select.POLLIN)
        if not ready.poll(HISTORY_STALLED_S * MS_PER_S):
            raise TimeoutError
        return cast("Answer | None", read_from(out))  # type: ignore[arg-type]

    def kill(self) -> None:
        """Kill the process, which has nothing to lose. A request that waits for its answer gets None."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process and free all that it had."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def _tell(self, value: object) -> bool:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            write_to(pipe, value)  # type: ignore[arg-type]
        except BrokenPipeError:
            return False
        return True


class History:
    """One per process. Not for use outside its event loop."""

    def __init__(self, settings: Settings, bounds: Bounds = BOUNDS) -> None:
        self._settings, self._bounds = settings, bounds
        self._background = Background(HISTORY, "answers from the log")
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._closed = False
        self._kept: OrderedDict[tuple[str, Moment], SeatMap] = OrderedDict()

    def close(self) -> None:
        """End the workers, the busy ones too."""
        self._closed = True
        self._background.close()
        for worker in tuple(self._busy):
            worker.kill()
        while self._idle:
            self._idle.pop().end()

    async def seats(self, place: ReadingPlace, until: Moment) -> SeatMap:
        """The seat map after the last fact within `until`. Raises Problem busy and unavailable (503)."""
        key = place.event_id, until
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        seat_map, over = cast("tuple[SeatMap, bool]", await self._read(SeatsThen(place, until)))
        if over:
            self._kept[key] = seat_map
            if len(self._kept) > HISTORY_KEPT_MAX:
                self._kept.popitem(last=False)
        return seat_map

    async def explanation(
        self, place: ReadingPlace, reservation_id: ReservationId, through: tuple[int, int]
    ) -> Explanation:
        """Explain a reservation from the log, up to the fact at `through` (offset, index). Raises as `seats` does."""
        return cast("Explanation", await self._read(WhyDecided(place, reservation_id, through)))

    async def of_operators(self, question: OperatorQuestion) -> object:
        """The answer to an operator's question. Raises as `seats` does, Problem not-found (404) and invalid-request."""
        return await self._read(question)

    async def _read(self, question: Question) -> object:
        answer = await self._background.run(lambda: self._ask(question), patience_s=HISTORY_PATIENCE_S)
        if answer.ending is Ending.ANSWERED:
            return answer.value
        if answer.ending is Ending.NOT_FOUND:
            raise Problem("not-found", str(answer.value))
        if answer.ending is Ending.REFUSED:
            raise invalid("letter", str(answer.value))
        if answer.ending is Ending.BOUND_EXCEEDED:
            raise unavailable("log", f"{answer.value}; `circle explain` and `circle seats` have no such limit")
        if answer.ending is Ending.UNFOLDED:
            raise unavailable("log", f"{UNFOLDED}{answer.value}")
        if answer.ending is Ending.UNREADABLE:
            raise unavailable("log", f"the log cannot be read at the moment ({answer.value})")
        raise HistoryFailed(str(answer.value))

    def _ask(self, question: Question) -> Answer:
        """Ask an idle worker, or a new one. Runs in a thread, and a thread has one worker at a time."""
        while True:
            worker = self._idle.pop() if self._idle else _Worker(self._settings, self._bounds)
            had_been_asked, answer = worker.asked, None
            self._busy.add(worker)
            if self._closed:
                worker.kill()
            try:
                answer = worker.ask(question)
            except TimeoutError:
                log.error("history.stalled", after_s=HISTORY_STALLED_S)
                return Answer(Ending.BOUND_EXCEEDED, f"reading the log took more than {HISTORY_STALLED_S:g} s")
            finally:
                self._busy.discard(worker)
                if answer is not None and not self._closed:
                    self._idle.append(worker)
                else:
                    worker.end()
            if answer is not None:
                return answer
            if self._closed or not had_been_asked:  # an idle worker may end just when it is asked; a new one may not
                return Answer(Ending.FAILED, "the process that reads the log ended before it answered")
