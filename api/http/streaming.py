"""Answers that are written piece by piece, and live streams of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import TYPE_CHECKING, cast

from api.http.problem import Problem
from connectors import logs

if TYPE_CHECKING:
    from api.http.routing import Call  # it imports api.deps, which imports the groups of streams

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
HELLO = "retry: 2000\n: connected\n\n"
HEARTBEAT = ": heartbeat\n\n"
TICK_S = 0.15  # from one look of a stream to its next: a look may be 100 ms late, and news still come every 250 ms
REST_S = 0.05  # after a look, also one that ends just before the next moment: the rest of the process has its turn
EARLY_S = 0.005  # a timer may be early by less
GOLDEN = 0.618033988749895  # the parts of its multiples after the point are spread evenly over 0 to 1

log = logs.get("api.http.streaming")


async def stream(call: Call, pieces: AsyncGenerator[str, None], content_type: str, filename: str) -> None:
    """Answer 200 with the pieces, one by one.

    An error before the first piece becomes a problem document. A later error ends the connection in the middle of the
    body, so that no client takes a part for the whole.
    """
    headers = {"content-disposition": f'attachment; filename="{filename}"', "cache-control": "no-store"}
    async with aclosing(pieces) as parts:
        first = await anext(parts, "")
        response = await call.request.respond(content_type=content_type, headers=headers)
        try:
            await response.send(first)
            async for piece in parts:
                await response.send(piece)
        except Problem as problem:
            log.warning("export.broken", user=call.user_id, error=problem.detail)
            cast("asyncio.Transport", call.request.transport).abort()
            return
        await response.eof()


def is_open(call: Call) -> bool:
    """Whether the stream may continue: the process is not stopping, and neither the token nor its session has ended."""
    return not call.deps.stopping.is_set() and (call.caller is None or call.deps.tokens.is_open(call.caller))


class StreamPace:
    """When one stream looks: TICK_S apart, at a moment of its own within the tick.

    News wake all streams of an event at once. Without moments of their own, a thousand streams would go on together,
    and every other request would wait for all of them. The moments of streams that begin one after the other are spread
    evenly over the tick.
    """

    def __init__(self) -> None:
        self._moment_s = next(_streams) * GOLDEN % 1 * TICK_S

    def rest_s(self, now: float) -> float:
        """How long the stream rests after a look that ends at `now`, in seconds of one clock."""
        left_s = (self._moment_s - now) % TICK_S
        return max(REST_S, left_s if left_s > EARLY_S else left_s + TICK_S)

    def rest_until_s(self, due_s: float) -> float:
        """How long it rests where the next news are due in `due_s`: that long, and up to REST_S more of its own."""
        return due_s + self._moment_s / TICK_S * REST_S


_streams = count()
