"""The console of operators: its page and files, the state of the platform, its figures, and both as a live stream.

Guarantee: a process looks at the platform at most every PLATFORM_KEPT_S, for all its watchers together. A stream has no
queue: a slow watcher skips states.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from time import time
from typing import cast

import msgspec
from redis.exceptions import RedisError
from sanic import HTTPResponse

from api.deps import ApiDeps
from api.fairness.limits import HEARTBEAT_S, PLATFORM_KEPT_S
from api.fairness.owner import Lane
from api.http.pages import FILES, page
from api.http.problem import Problem, not_found, unavailable
from api.http.routing import Call, json
from api.http.streaming import HEADERS, HEARTBEAT, HELLO, is_open
from api.metrics import METRICS
from api.reads.health import dying_flows, reports, service_checks
from api.reads.request_totals import is_counted, request_totals
from api.reads.slow_requests import SLOW_REQUESTS, together
from api.shapes.alerts import AlertOut, alert_out
from api.shapes.base import Page
from api.shapes.console import FiguresOut, FiguresQuery, PlatformOut
from connectors.age_buckets import AGE_BUCKETS_S
from pipelines.monitoring.alert_rules import RUNBOOKS
from pipelines.monitoring.figure_history import FigureSample
from schemas.ids import EventId

RUNBOOK_FILES = Path(__file__).parents[2] / RUNBOOKS
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".svg": "image/svg+xml",
}
ALERTS_SHOWN_MAX = 50
FILE_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-cache"}


async def dashboard(_call: Call) -> HTTPResponse:
    """200 with the operators' console."""
    return page("dashboard.html")


async def sign_in(_call: Call) -> HTTPResponse:
    """200 with the console for operators by role. It holds no data: they sign in there."""
    return page("dashboard.html")


async def event_dashboard(_call: Call, event_id: EventId) -> HTTPResponse:
    """200 with the page of an event's sales. It holds no data: the organizer signs in there."""
    assert event_id
    return page("event.html")


async def file(_call: Call, file: str) -> HTTPResponse:
    """200 with a style, script or picture of the console, or with a runbook."""
    found = _files().get(file)
    if found is None:
        raise not_found("file", repr(file[:100]))
    body, content_type = found
    return HTTPResponse(body, headers=FILE_HEADERS, content_type=content_type)


async def platform(call: Call) -> HTTPResponse:
    """200 with the state of the platform: services, alerts, lags, requests, the verifier."""
    text = await _platform(call.deps)
    return HTTPResponse(text, headers={"cache-control": "no-store"}, content_type="application/json")


async def figures(call: Call) -> HTTPResponse:
    """200 with the figures of the last hour or day."""
    query = call.query(FiguresQuery)
    since = max(query.after, int(time()) - query.range.kept_s)
    rows = await call.deps.database.rows("figures", query.range.step_s, since)
    samples = [msgspec.json.decode(row["figures"], type=FigureSample) for row in rows]
    answer = FiguresOut(query.range, query.range.step_s, samples)
    return json(answer, headers={"cache-control": "no-store"})


async def slow_requests(call: Call) -> HTTPResponse:
    """200 with the slowest requests of the last minutes, of all API processes, with their traces."""
    try:
        found = await call.deps.redis.hgetall(SLOW_REQUESTS)
    except (RedisError, OSError, TimeoutError) as error:
        raise unavailable("redis", f"Redis does not answer ({type(error).__name__})") from None
    return json(
        Page(together(cast("dict[bytes, bytes]", found).values(), time())), headers={"cache-control": "no-store"}
    )


async def stream(call: Call) -> HTTPResponse | None:
    """The state of the platform at each change, at most every PLATFORM_KEPT_S."""
    with call.deps.live.stream("platform", Lane.READ):
        response = await call.request.respond(content_type="text/event-stream", headers=HEADERS)
        await response.send(HELLO)
        shown, quiet_s = b"", 0.0
        while is_open(call) and not call.is_head:
            state = await _platform(call.deps)
            if state != shown:
                shown, quiet_s = state, 0.0
                await response.send(f"event: platform\ndata: {state.decode()}\n\n")
            elif quiet_s >= HEARTBEAT_S:
                quiet_s = 0.0
                await response.send(HEARTBEAT)
            quiet_s += PLATFORM_KEPT_S
            await _pause(call.deps)
        await response.eof()
    return None


async def _pause(deps: ApiDeps) -> None:
    """PLATFORM_KEPT_S, or less when the process stops."""
    try:
        async with asyncio.timeout(PLATFORM_KEPT_S):
            await deps.stopping.wait()
    except TimeoutError:
        return


async def _platform(deps: ApiDeps) -> bytes:
    return await deps.platform.get("", lambda: _look(deps))


async def _look(deps: ApiDeps) -> bytes:
    services, dying, report, firing = await asyncio.gather(
        service_checks(deps), dying_flows(deps), reports(deps), _firing(deps)
    )
    monitoring, verify = (None if one is None else msgspec.json.decode(one) for one in report.values())
    return msgspec.json.encode(
        PlatformOut(
            at=datetime.now(UTC),
            services=services,
            dying=dying,
            alerts=firing,
            monitoring=monitoring,
            verify=verify,
            requests=request_totals(METRICS.series(is_counted)),
            age_bounds_s=list(AGE_BUCKETS_S),
        )
    )


async def _firing(deps: ApiDeps) -> list[AlertOut] | None:
    """The alerts that fire; None while PostgreSQL does not answer."""
    try:
        return [alert_out(row) for row in await deps.database.rows("alerts", True, None, ALERTS_SHOWN_MAX)]
    except Problem:
        return None


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """By name: the content and type of each file next to the pages, and of each runbook. There is no other path."""
    found = [*FILES.iterdir(), *RUNBOOK_FILES.glob("*.md")]
    return {one.name: (one.read_bytes(), TYPES[one.suffix]) for one in found if one.suffix in TYPES}
