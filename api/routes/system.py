"""Health, readiness, metrics, the API's own description, and the pages."""

from __future__ import annotations

from base64 import b64encode
from enum import StrEnum
from functools import cache
from hashlib import sha256
from pathlib import Path

from sanic import HTTPResponse

from api.auth import operators
from api.http.problem import KINDS, TYPE_PREFIX, Problem, not_found, retry_after
from api.http.routing import Call, json
from api.metrics import CONTENT_TYPE
from api.reads.health import dying_flows, reports, service_checks
from api.reporting import note_gauges
from connectors.metrics_server import CONTENT_TYPE as NATIVE_TYPE
from connectors.metrics_server import wants_protobuf

PAGES = Path(__file__).parent.parent / "pages"
# A page contains everything that it needs. The browser enforces this: only the page's own script and style run.
POLICY = (
    "default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache"}


class ProcessStatus(StrEnum):
    """What the API says of itself: it answers, or it can serve requests, too."""

    OK = "ok"
    READY = "ready"


async def healthz(_call: Call) -> HTTPResponse:
    """200 while the process answers."""
    return json({"status": ProcessStatus.OK})


async def readyz(call: Call) -> HTTPResponse:
    """200 if Kafka, Redis and Postgres answer and no dataflow keeps dying; 503 names the others. Operators see why."""
    deps, operator = call.deps, operators.is_one(call.request, call.deps)
    checks = await service_checks(deps)
    failed = [name for name, check in checks.items() if not check["ok"]]
    if not operator:  # a load balancer needs no more, and others shall not see inside
        checks = {name: {"ok": check["ok"]} for name, check in checks.items()}
    if failed:
        detail = f"{', '.join(failed)} cannot be used"
        raise Problem("unavailable", detail, headers=retry_after(), checks=checks)
    dead = await dying_flows(deps)
    if dead:
        if not operator:
            dead = {name: {"ok": False, "deaths": one["deaths"]} for name, one in dead.items()}
        detail = f"{', '.join(dead)} keeps dying"
        raise Problem("unavailable", detail, headers=retry_after(), checks=checks, dataflows=dead)
    details = {"details": await reports(deps)} if operator else {}
    return json({"status": ProcessStatus.READY, "checks": checks} | details)


async def metrics(call: Call) -> HTTPResponse:
    """200 in Prometheus' text format, or in its protocol buffers for a client that prefers them."""
    note_gauges(call.deps)
    native = wants_protobuf(call.request.headers.get("accept", ""))
    body = await (call.deps.native_metrics() if native else call.deps.metrics_text())
    kind = NATIVE_TYPE if native else CONTENT_TYPE
    return HTTPResponse(body, headers={"content-type": kind, "cache-control": "no-store"})


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
