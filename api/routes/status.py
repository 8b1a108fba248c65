"""The public status: a page for everybody, and what it shows. Neither has a figure of the platform."""

from __future__ import annotations

from sanic import HTTPResponse

from api.http.pages import page
from api.http.routing import Call, json
from api.reads.public_status import PublicStatus


async def status_page(_call: Call) -> HTTPResponse:
    """200 with the page. It holds no data, so it comes while every service is away."""
    return page("status.html")


async def status(call: Call) -> HTTPResponse:
    """200 with the status that this process has seen last, also while services are away."""
    seen: PublicStatus = call.request.app.ctx.status
    return json(await seen.current(), headers={"cache-control": "no-store"})
