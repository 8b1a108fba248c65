"""What every route that writes to the log shares: a command's outcome, the answer 202, and reading one's own writes."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4, uuid5

import msgspec
from sanic import HTTPResponse

from api.fairness.limits import PROJECTION_WAIT_MAX_S
from api.http.routing import Call, json
from api.log.outcomes import Outcome, accepted, submit
from api.shapes.base import Accepted, PositionOut
from schemas.commands import Command
from schemas.ids import AnyId


def new_id(call: Call, kind: str, of: Callable[[str], AnyId]) -> AnyId:
    """A new id of this type. With an Idempotency-Key it is always the same for this user and key."""
    key = call.optional_idempotency_key()
    return of(str(uuid4() if key is None else uuid5(UUID(call.user_id), f"{kind}/{key}")))


async def write(call: Call, command: Command) -> Outcome:
    """A command's outcome, after its rows are there. It has no reply if the outcome or the rows take too long.

    Raises the Problem of a refusal.
    """
    outcome = await submit(call.deps, command, call.wait_s(), traceparent=call.traceparent)
    reply = accepted(outcome)
    if reply is None or await call.deps.watermarks.wait(outcome.partition, outcome.offset, PROJECTION_WAIT_MAX_S):
        return outcome
    return msgspec.structs.replace(outcome, reply=None)


def pending(identity: str, location: str, outcome: Outcome) -> HTTPResponse:
    """202: the command is durable, and its result is not visible yet."""
    body = Accepted(identity, PositionOut(outcome.partition, outcome.offset), outcome.receipt)
    return json(body, 202, {"location": location})


def replayed(outcome: Outcome) -> dict[str, str]:
    """The header that marks an answer to a repeated request."""
    return {"idempotency-replayed": "true"} if outcome.reply is not None and outcome.reply.duplicate else {}


async def own_writes(call: Call) -> None:
    """Wait, for a bounded time, until the user's last write is readable."""
    if call.caller is not None:
        last = call.deps.memory.last_written(call.caller.user_id)
        if last is not None:
            await call.deps.watermarks.wait(*last, PROJECTION_WAIT_MAX_S)
