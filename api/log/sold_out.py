"""Requests for ticket types that this process expects to be sold out go to the log together.

In a drop most requests are such, and each record of its own costs the broker, this process and the worker the same as a
sale. So this process collects them for EDGE_WINDOW_S and writes those of one event in one record, `ReserveInTurn`.

Guarantee: what this process knows decides only how a request goes to the log. The log decides each of them at the
place of its record: a free place is sold, a known key has its former answer, and a refusal is on the log before it is
given. So knowledge that is old or wrong costs a request EDGE_WINDOW_S, and nothing else. It comes from the log's own
outcomes, which are sealed, and it is forgotten EDGE_KNOWN_S after the last of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from api.fairness.admission import UNLIMITED, Passage
from api.fairness.limits import EDGE_KNOWN_S, EDGE_TYPES_MAX, EDGE_WINDOW_S
from api.log.writer import LogWriter, Submission
from api.metrics import METRICS
from schemas.commands import ReserveTickets
from schemas.facts import Reason
from schemas.ids import EventId, TicketTypeId
from schemas.replies import Reply
from schemas.requests_in_turn import REQUESTS_MAX, is_plain
from schemas.statuses import ReplyOutcome


class SoldOutRequests:
    """One per process; not for use outside its event loop."""

    def __init__(self, writer: LogWriter, *, on: bool) -> None:
        self._writer, self._on = writer, on
        self._loop = asyncio.get_running_loop()
        # By event and ticket type: the smallest number of places that was refused, and until when this counts.
        self._known: OrderedDict[tuple[EventId, TicketTypeId], tuple[int, float]] = OrderedDict()
        self._queued: dict[EventId, list[Submission]] = {}
        self._closes: asyncio.TimerHandle | None = None

    def expects(self, request: ReserveTickets) -> bool:
        """Whether the log will probably refuse the request as sold out, and it can go together with others."""
        known = self._known.get((request.event_id, request.ticket_type_id))
        if known is None or request.quantity < known[0] or not is_plain(request):
            return False
        return self._loop.time() < known[1]

    def send(self, request: ReserveTickets, passage: Passage = UNLIMITED) -> Submission:
        """Let the request go to the log with others of its event, within EDGE_WINDOW_S. Raises Problem busy (503).

        The caller has to remove the request from the writer's `waiting` afterwards.
        """
        submission = self._writer.queue(request, passage)
        queued = self._queued.setdefault(request.event_id, [])
        queued.append(submission)
        if len(queued) >= REQUESTS_MAX:
            self._write(request.event_id)
        elif self._closes is None:
            self._closes = self._loop.call_later(EDGE_WINDOW_S, self.close_window)
        return submission

    def learn(self, request: ReserveTickets, reply: Reply, *, together: bool) -> None:
        """Take note of the log's answer to a request."""
        if not self._on:
            return
        kind = (request.event_id, request.ticket_type_id)
        known = self._known.get(kind)
        if reply.outcome == ReplyOutcome.REFUSED and reply.reason == Reason.SOLD_OUT:
            if together:
                METRICS.edge_refusals.inc()
            if reply.duplicate:
                return  # of a former time
            now = self._loop.time()
            least = request.quantity if known is None or known[1] <= now else min(known[0], request.quantity)
            self._known[kind] = (least, now + EDGE_KNOWN_S)
            self._known.move_to_end(kind)
            if len(self._known) > EDGE_TYPES_MAX:
                self._known.popitem(last=False)
        elif known is not None and reply.outcome == ReplyOutcome.ACCEPTED and request.quantity >= known[0]:
            del self._known[kind]

    def close_window(self) -> None:
        """Write what is collected."""
        if self._closes is not None:
            self._closes.cancel()
            self._closes = None
        for event_id in list(self._queued):
            self._write(event_id)

    def _write(self, event_id: EventId) -> None:
        submissions = self._queued.pop(event_id)
        METRICS.edge_records.inc()
        requests = [one.command for one in submissions if isinstance(one.command, ReserveTickets)]
        self._writer.send_in_turn(event_id, submissions, requests)
