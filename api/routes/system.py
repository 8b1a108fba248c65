"""Health, readiness, metrics, the API's own description, and the pages."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable
from functools import cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter, time
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from redis.exceptions import RedisError
from sanic import HTTPResponse

from api.auth import operators
from api.deps import ApiDeps
from api.http.problem import KINDS, TYPE_PREFIX, Problem, not_found, retry_after
from api.http.routing import Call, json
from api.metrics import CONTENT_TYPE, METRICS
from api.reporting import note_gauges
from connectors import logs
from connectors.errors import CircleError
from connectors.flow_health import deaths_key, dying, ready_key
from pipelines.flows import Flow
from pipelines.monitoring.board import MONITORED, VERIFIED

log = logs.get("api.system")
PAGES = Path(__file__).parent.parent / "pages"
CHECK_TIMEOUT_S = 2.0
# A page contains everything that it needs. The browser enforces this: only the page's own script and style run.
POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}


async def healthz(_call: Call) -> HTTPResponse:
    """200 while the process answers."""
    return json({"status": "ok"})


async def readyz(call: Call) -> HTTPResponse:
    """200 if Kafka, Redis and Postgres answer and no dataflow keeps dying; 503 names the others. Operators see why."""
    deps, operator = call.deps, operators.is_one(call.request, call.deps)

    async def kafka() -> str:
        partitions = await asyncio.to_thread(deps.log_writer.check, CHECK_TIMEOUT_S)
        return f"{partitions} partitions"

    async def redis() -> str:
        await deps.redis.ping()
        if not deps.subscriptions.connected.is_set():
            raise RedisError("not subscribed to replies yet")
        return "subscribed to replies"

    async def postgres() -> str:
        await deps.database.rows("alive")
        return "answers"

    names = ("kafka", "redis", "postgres")
    checks = dict(zip(names, await asyncio.gather(*map(_checked, (kafka(), redis(), postgres()))), strict=True))
    failed = [name for name in names if not checks[name]["ok"]]
    if not operator:  # a load balancer needs no more, and others shall not see inside
        checks = {name: {"ok": check["ok"]} for name, check in checks.items()}
    if failed:
        detail = f"{', '.join(failed)} cannot be used"
        raise Problem("unavailable", detail, headers=retry_after(), checks=checks)
    dead = await _dying(deps)
    if dead:
        if not operator:
            dead = {name: {"ok": False, "deaths": one["deaths"]} for name, one in dead.items()}
        detail = f"{', '.join(dead)} keeps dying"
        raise Problem("unavailable", detail, headers=retry_after(), checks=checks, dataflows=dead)
    details = {"details": await _details(deps)} if operator else {}
    return json({"status": "ready", "checks": checks} | details)


async def _dying(deps: ApiDeps) -> dict[str, dict[str, Any]]:
    """The dataflows that keep dying, by name. Empty while Redis does not answer."""
    try:
        async with deps.redis.pipeline(transaction=False) as asked:
            for flow in Flow:
                asked.lrange(deaths_key(flow), 0, -1)
                asked.get(ready_key(flow))
            records = await asked.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("board.not_read", key=deaths_key("*"), error=f"{type(error).__name__}: {error}")
        return {}
    now = time()
    verdicts = {flow.value: dying(records[2 * n], records[2 * n + 1], now) for n, flow in enumerate(Flow)}
    return {flow: msgspec.to_builtins(one) for flow, one in verdicts.items() if one is not None}


async def _details(deps: ApiDeps) -> dict[str, msgspec.Raw | None]:
    """The reports of monitoring and `circle verify --follow`; None if one is not running. Not part of readiness."""
    try:
        reports = await deps.redis.mget(MONITORED, VERIFIED)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("board.not_read", key=MONITORED, error=f"{type(error).__name__}: {error}")
        reports = [None, None]
    return {
        name: None if one is None else msgspec.Raw(one)
        for name, one in zip(("monitoring", "verify"), reports, strict=True)
    }


async def metrics(call: Call) -> HTTPResponse:
    """200 in Prometheus' text format, at most METRICS_KEPT_S old. Written in a thread, because it takes 20 ms."""
    note_gauges(call.deps)
    text = await call.deps.figures.get("", lambda: asyncio.to_thread(METRICS.exposition))
    return HTTPResponse(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})


async def problem_kind(_call: Call, kind: str) -> HTTPResponse:
    """200 with the status and title of a problem type. This is the address in `type`."""
    if kind not in KINDS:
        raise not_found("problem type", repr(kind[:100]))
    status, title = KINDS[kind]
    return json({"type": TYPE_PREFIX + kind, "status": status, "title": title})


async def openapi(call: Call) -> HTTPResponse:
    """200 with the OpenAPI document, made from the table of routes."""
    body: bytes = call.request.app.ctx.openapi
    return HTTPResponse(body, content_type="application/json", headers={"cache-control": "no-cache"})


async def docs(_call: Call) -> HTTPResponse:
    """200 with a page that shows /openapi.json."""
    return _page("docs.html")


async def account(_call: Call) -> HTTPResponse:
    """200 with the page of mailed links. The link's token stays in the browser until the user agrees to send it."""
    return _page("account.html")


async def tickets(_call: Call) -> HTTPResponse:
    """200 with the page of the mail about a purchase. Users who sign in there see their tickets."""
    return _page("tickets.html")


async def dashboard(_call: Call) -> HTTPResponse:
    """200 with the dashboard: events and their sales."""
    return _page("dashboard.html")


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A page and its content security policy."""
    text = (PAGES / name).read_bytes()
    return text, POLICY.format(style=_hash(text, b"style"), script=_hash(text, b"script"))


def _hash(page: bytes, tag: bytes) -> str:
    inside = page.partition(b"<" + tag + b">")[2].partition(b"</" + tag + b">")[0]
    return f"'sha256-{b64encode(sha256(inside).digest()).decode()}'"


def _page(name: str) -> HTTPResponse:
    text, policy = _read(name)
    headers = PAGE_HEADERS | {"content-security-policy": policy}
    return HTTPResponse(text, headers=headers, content_type="text/html; charset=utf-8")


async def _checked(check: Awaitable[str]) -> dict[str, Any]:
    started = perf_counter()
    try:
        detail, ok = await asyncio.wait_for(check, CHECK_TIMEOUT_S * 2), True
    except (Problem, CircleError, RedisError, KafkaException, KeyError, OSError, TimeoutError) as error:
        detail, ok = str(error) or type(error).__name__, False
    return {"ok": ok, "detail": detail, "ms": round((perf_counter() - started) * 1000, 1)}
