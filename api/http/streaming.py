"""Answers that are written piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from api.http.problem import Problem
from api.http.routing import Call
from connectors import logs

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
