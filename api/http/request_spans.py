"""A span for each request, while traces are on. It begins before the checks of the route, and ends with the answer.

The caller's `traceparent` is its parent. It has the method, the route and the status, and no id of a path, no address.
"""

from __future__ import annotations

from functools import wraps

from sanic import HTTPResponse, Request

from api.http.routing import Handler, Route
from connectors.tracing import TRACEPARENT, SpanRole, Tracer, valid

ENDLESS = "text/event-stream"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # many, and alike


def with_span(route: Route, handle: Handler, tracer: Tracer) -> Handler:
    """The handler with a span around it. Live streams, health checks and scrapes have none."""
    if route.media_type == ENDLESS or route.path in PROBES:
        return handle

    @wraps(handle)
    async def in_span(request: Request, **path: str) -> HTTPResponse | None:
        given = request.headers.get(TRACEPARENT)
        parent = given if valid(given) else None
        with tracer.span(
            route.name, SpanRole.SERVER, parent=parent, http__request__method=request.method, http__route=route.path
        ) as span:
            response = await handle(request, **path)
            status = response.status if response is not None else 200
            span.set(http__response__status_code=status)
            if status >= 500:
                span.fail(str(status))
            return response

    return in_span
