"""Explains the outcome of a reservation from the log."""

from __future__ import annotations

from sanic import HTTPResponse

from api.fairness.rate_limits import HISTORY_COST
from api.http.reasons import for_reason
from api.http.routing import Call, json
from api.log.writes import own_writes
from api.reads.history_worker import ReadingPlace
from schemas.facts import Reason
from schemas.ids import ReservationId

NOT_OVER = {"cache-control": "no-store"}


async def explanation(call: Call, reservation_id: ReservationId) -> HTTPResponse:
    """200 with an explanation of the caller's reservation. Other users appear only as positions on the log."""
    await own_writes(call)
    row = await call.deps.database.row("reservation_by_id", reservation_id)
    if row is None or row["user_id"] != call.user_id:
        raise for_reason(
            Reason.RESERVATION_NOT_FOUND,
            "you have no such reservation, or it is not decided yet",
            field="reservation_id",
            reservation_id=reservation_id,
        )
    event = await call.deps.database.row("event_by_id", row["event_id"])
    created_at = row["created_at"] if event is None else event["created_at"]
    place = ReadingPlace(row["event_id"], row["partition"], created_at)
    through = row["updated_offset"], row["updated_index"]
    call.costs(HISTORY_COST)
    return json(await call.deps.history.explanation(place, reservation_id, through), headers=NOT_OVER)
