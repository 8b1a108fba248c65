"""The Sanic application: routes from the table, limits, and one shape for every error, also for Sanic's own."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import (
    ExpectationFailed,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    SanicException,
    ServiceUnavailable,
    URITooLong,
)
from sanic.handlers import ErrorHandler

from api.auth.keys import KeyRing
from api.deps import ApiDeps
from api.fairness import limits
from api.http import sanic_log
from api.http.accepting import AcceptingPolicy
from api.http.cors import Cors
from api.http.descriptors import affordable
from api.http.framing import TooManyHeaders
from api.http.hot_route import HotPath, HotRoutes
from api.http.http1 import EdgeHttp
from api.http.openapi import document
from api.http.problem import Problem, retry_after, unavailable
from api.http.protocol import EdgeProtocol
from api.http.request_spans import with_span
from api.http.routing import bind
from api.reads.public_status import PublicStatus
from api.reporting import report
from api.routes.table import ROUTES
from api.stop_signals import StopSignals
from connectors import logs, readiness, tracing
from connectors.cancellation import cancel_all
from connectors.errors import CircleError, ServiceUnreachable
from pipelines.platform_settings import PlatformSettings

NAME = "general-circle"
GC_OBJECTS = 50_000

CLOSE = {"connection": "close"}
SANICS: tuple[tuple[type[SanicException], str, str], ...] = (
    (NotFound, "not-found", "there is nothing at {path}"),
    (TooManyHeaders, "headers-too-large", f"there are more than {limits.HEADER_LINES_MAX} headers"),
    (PayloadTooLarge, "headers-too-large", f"the headers have more than {limits.HEADER_BYTES_MAX} bytes"),
    (URITooLong, "headers-too-large", "the address is too long"),
    (
        RequestTimeout,
        "request-timeout",
        f"the head has to arrive in {limits.HEAD_TIMEOUT_S:.0f} s, the whole request in {limits.REQUEST_TIMEOUT_S} s",
    ),
    (ExpectationFailed, "expectation-failed", "Expect can only be 100-continue"),
)

log = logs.get("api")


def create_app(settings: PlatformSettings, key_file: Path | None, stop: StopSignals | None = None) -> Sanic[Any, Any]:
    """The application, which serves until a signal of `stop`. Each process makes its dependencies at its start."""
    app: Sanic[Any, Any] = EdgeApp(
        NAME, configure_logging=False, error_handler=ProblemHandler(), inspector=False, log_config=None
    )
    app.config.update(
        REQUEST_MAX_SIZE=limits.BODY_BYTES_MAX,
        REQUEST_MAX_HEADER_SIZE=limits.HEADER_BYTES_MAX,
        REQUEST_TIMEOUT=limits.REQUEST_TIMEOUT_S,
        RESPONSE_TIMEOUT=limits.RESPONSE_TIMEOUT_S,
        KEEP_ALIVE_TIMEOUT=limits.KEEP_ALIVE_S,
        GRACEFUL_SHUTDOWN_TIMEOUT=limits.SHUTDOWN_GRACE_S,
        ACCESS_LOG=False,
        MOTD=False,
        OAS=False,
        AUTO_EXTEND=False,
    )
    sanic_log.adopt()
    tracer = tracing.start("api", settings.instance)
    app.ctx.edge = affordable()
    app.ctx.trusted_proxies = settings.trusted_proxies
    app.ctx.cors = Cors(settings.cors_origins) if settings.cors_origins else None
    app.ctx.openapi = msgspec.json.encode(document(ROUTES, version(NAME)))
    hot = []
    for route in ROUTES:
        methods, handle = ["GET", "HEAD"] if route.method == "GET" else [route.method], bind(route)
        if tracer is not None:
            handle = with_span(route, handle, tracer)
        # With a format of errors Sanic does not look for one in the source of each handler, a tenth of the API's start.
        app.add_route(handle, route.path, methods=methods, name=_name(route.name), error_format="json")
        if route.hot:
            hot.append(HotPath(route.method, route.path, handle))
    app.ctx.hot = HotRoutes(hot)
    app.before_server_start(partial(_open, settings, key_file))
    if settings.operator_port is not None:
        app.before_server_start(partial(_open_to_operators, settings.operator_host, settings.operator_port))
    app.after_server_start(partial(_serve_until, stop))
    app.before_server_stop(_stop_streams)
    app.after_server_stop(_close)
    return app


class EdgeApp(Sanic[Any, Any]):
    """Sanic, with two differences: its loop accepts many waiting connections in a turn, and after the client has
    disconnected, an error is neither answered nor logged."""

    def setup_loop(self) -> None:
        """The kind of loop that each process of the API runs."""
        asyncio.set_event_loop_policy(AcceptingPolicy())

    async def handle_exception(self, request: Request, exception: BaseException, run_middleware: bool = True) -> None:
        """Sanic's handling, for clients that are still connected."""
        stream = request.stream
        if isinstance(stream, EdgeHttp) and stream.protocol.is_gone():
            log.debug("connection.cut", path=request.path, during=type(exception).__name__)
            return
        await super().handle_exception(request, exception, run_middleware)


class ProblemHandler(ErrorHandler):
    """Turns each exception into a problem document. The document of an unexpected error holds no detail of it."""

    def default(self, request: Request, exception: Exception) -> HTTPResponse:
        """The answer to an exception that no handler has answered."""
        cors: Cors | None = getattr(request.app.ctx, "cors", None)
        if cors is not None and isinstance(exception, MethodNotAllowed):
            preflight = cors.preflight(request, dict(exception.headers or {}).get("Allow", ""))
            if preflight is not None:
                return preflight
        return problem_of(request, exception).response()


def problem_of(request: Request | None, exception: BaseException) -> Problem:
    """The problem document for an exception."""
    match exception:
        case Problem():
            return exception
        case CircleError():
            return unavailable("platform", str(exception))
        case MethodNotAllowed():
            allow = dict(exception.headers or {})
            detail = f"{getattr(request, 'method', 'this')} is not offered here"
            return Problem("method-not-allowed", detail, headers=allow)
        case PayloadTooLarge() if "header" not in str(exception).lower():
            detail = f"the body has more than {limits.BODY_BYTES_MAX} bytes"
            return Problem("body-too-large", detail, field="body", headers=CLOSE)
        case ServiceUnavailable():
            return Problem("busy", "the answer took too long", headers=retry_after())
    for kind, slug, detail in SANICS:
        if isinstance(exception, kind):
            return Problem(slug, detail.format(path=_path(request)))
    if isinstance(exception, SanicException) and exception.status_code < 500:
        return Problem("malformed-request", str(exception) or "this is not HTTP/1.1")
    where = {"method": getattr(request, "method", ""), "path": _path(request)}
    log.exception("request.failed", exception, **where)  # noqa: LOG004 - our log takes the error
    return Problem("internal-error", "this is an error of the server; it has been logged")


async def _open(settings: PlatformSettings, key_file: Path | None, app: Sanic[Any, Any]) -> None:
    _report_task_errors()
    # Unique in the cluster: replies reach this process, not an earlier one or another worker.
    instance = f"{settings.instance}-{uuid4().hex[:8]}"
    app.ctx.deps = ApiDeps.open(settings, KeyRing.load(key_file), instance)
    app.ctx.deps.listen()
    app.ctx.status = PublicStatus(app.ctx.deps)
    # Not Sanic's tasks: it waits for those without letting them run, for ever if one takes a turn of the loop to end.
    app.ctx.tasks = [asyncio.create_task(report(app.ctx.deps, instance)), asyncio.create_task(app.ctx.status.keep_up())]
    # After this requests are taken. A reply that comes before the subscription is lost: its request would wait in vain.
    await app.ctx.deps.subscriptions.tried.wait()


async def _open_to_operators(host: str, port: int, app: Sanic[Any, Any]) -> None:
    """The operators' port, which opens before the other one. All API processes of this machine share it: each one can
    give the metrics of all."""
    loop = asyncio.get_running_loop()
    connections: set[EdgeProtocol] = set()
    protocol = partial(EdgeProtocol, loop=loop, app=app, connections=connections, operator=True)
    try:
        app.ctx.operators = await loop.create_server(protocol, host, port, reuse_port=True), connections
    except OSError as error:
        hint = f"{error.strerror or error}; CIRCLE_OPERATOR_PORT and CIRCLE_OPERATOR_HOST name it"
        raise ServiceUnreachable("The operator's address", f"{host}:{port}", hint) from None
    log.info("serving.operators", host=host, port=port)


async def _serve_until(stop: StopSignals | None, app: Sanic[Any, Any]) -> None:
    # In tasks, since this has to return before the loop runs for good. Requests are answered already.
    app.ctx.tasks.append(asyncio.create_task(_announce(app)))
    if stop is not None:
        app.ctx.tasks.append(asyncio.create_task(_stop_at(stop, app)))


async def _stop_at(stop: StopSignals, app: Sanic[Any, Any]) -> None:
    await stop.wait()
    # A stop before the loop runs for good would be an error of Sanic's start.
    while not app.state.is_running:  # noqa: ASYNC110 - set just before the loop runs for good: nothing can be awaited
        await asyncio.sleep(0)
    app.stop(terminate=False)


async def _announce(app: Sanic[Any, Any]) -> None:
    deps: ApiDeps = app.ctx.deps
    # Without Redis the API serves all the same.
    try:
        async with asyncio.timeout(limits.REDIS_TIMEOUT_S * 3):
            await deps.subscriptions.connected.wait()
    except TimeoutError:
        log.warning("serving.without_replies", reason="Redis does not answer yet")
    # The collector skips objects that live as long as the process. Other objects rarely outlive a request, so it runs
    # less often: at the default, every 700 objects, it took 4 % of the processor.
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)
    readiness.signal_ready("the API serves")
    log.info("serving", instance=deps.settings.instance)


async def _stop_streams(app: Sanic[Any, Any]) -> None:
    deps: ApiDeps = app.ctx.deps
    deps.stopping.set()
    deps.live.wake_all()
    if (operators := getattr(app.ctx, "operators", None)) is not None:
        server, connections = operators
        server.close()
        for connection in list(connections):
            connection.close()


async def _close(app: Sanic[Any, Any]) -> None:
    tasks = set(app.ctx.tasks)
    running = await cancel_all(tasks, limits.SHUTDOWN_GRACE_S)
    if running:
        log.warning("tasks.not_ended", tasks=len(running))
    for ended in await asyncio.gather(*tasks - running, return_exceptions=True):
        if isinstance(ended, Exception):
            log.exception("task.failed", ended)  # noqa: LOG004 - our log takes the error
    await app.ctx.deps.close()
    await asyncio.to_thread(tracing.stop)
    log.info("stopped")


def _report_task_errors() -> None:
    def report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            log.exception("task.failed", error, message=context.get("message"))  # noqa: LOG004
        else:
            log.warning("loop.trouble", message=context.get("message"))

    asyncio.get_running_loop().set_exception_handler(report)


def _name(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).strip("_")


def _path(request: Request | None) -> str:
    return (getattr(request, "path", None) or "this address")[:200]
