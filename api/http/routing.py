"""The route table's row, and the checks between Sanic and a handler: access, limits, one shape of error.

Guarantee: a handler runs only for a caller that its route allows, and with path ids that are UUIDs. Every exception
becomes a problem document. There is no middleware and no signal: one function wraps each handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic, perf_counter
from typing import Any, TypeVar

import msgspec
from sanic import HTTPResponse, Request
from sanic.exceptions import SanicException

from api.auth import operators
from api.auth.origin import Origin
from api.auth.tokens import RANK, Caller, Role, effective
from api.deps import ApiDeps
from api.fairness.limits import IDEMPOTENCY_KEY_CHARS_MAX, PREFER_WAIT_DEFAULT_S
from api.fairness.owner import Lane, Who, asking
from api.fairness.rate_limits import ADDRESS_READS, READ_COST, READS, WRITES
from api.http import prefer
from api.http.client_address import ClientAddress, client_address
from api.http.problem import FieldError, Problem
from api.http.representation import tag_of
from api.http.validation import decode, is_json, query, uuid_of
from api.metrics import METRICS, UNAVAILABLE
from connectors import clock, logs, tracing
from connectors.errors import CircleError
from schemas.ids import US_PER_MS, UserId
from schemas.times import utc

T = TypeVar("T")
FORBIDDEN = 403
UNEXPECTED = 500
S = TypeVar("S", bound=msgspec.Struct)

log = logs.get("api")


_ACCESS_CODE = "access_code="  # shared caches must not keep an answer that a code has opened


class Access(StrEnum):
    """Who may call a route. The handler or the core also checks owners."""

    PUBLIC = "public"
    OPTIONAL = "optional"  # every client; a token, if sent, has to be valid
    USER = "user"
    ORGANIZER = "organizer"
    ADMIN = "admin"
    OPERATOR = "operator"  # by token, by port or as an admin: api.auth.operators


NEEDED = {Access.USER: RANK[Role.BUYER], Access.ORGANIZER: RANK[Role.ORGANIZER], Access.ADMIN: RANK[Role.ADMIN],
          Access.OPERATOR: RANK[Role.ADMIN]}  # fmt: skip


class Call:
    """One request as a handler sees it."""

    __slots__ = ("caller", "deps", "request")

    def __init__(self, request: Request, deps: ApiDeps, caller: Caller | None) -> None:
        self.request, self.deps, self.caller = request, deps, caller

    def costs(self, reads: int) -> None:
        """Count the request as so many further reads of its client. Raises Problem rate-limited (429)."""
        if reads:
            take_read(self.deps, reads)

    @property
    def user_id(self) -> UserId:
        """The caller's id. Only for routes that need a token."""
        assert self.caller is not None
        return self.caller.user_id

    @property
    def mailbox(self) -> int | None:
        """The number that all accounts of the caller's mailbox share. None if the token does not have it."""
        return self.caller.mailbox if self.caller is not None else None

    @property
    def is_head(self) -> bool:
        """Whether the request is a HEAD. Handlers of endless answers check this."""
        return self.request.method == "HEAD"

    @property
    def sees_drafts_of(self) -> UserId | None:
        """The user whose drafts the caller sees; None: all drafts. Only for routes that need a token."""
        assert self.caller is not None
        return None if self.caller.role is Role.ADMIN else self.caller.user_id

    @property
    def address(self) -> ClientAddress:
        """The client's address, for limits and logs."""
        return client_address(self.request, self.deps.settings.trusted_proxies)

    @property
    def origin(self) -> Origin:
        """The client's address and its User-Agent."""
        return Origin.of(self.address, self.request.headers.get("user-agent"))

    def body(self, decoder: msgspec.json.Decoder[T]) -> T:
        """The body. Raises Problem 400, 415 or 422."""
        content_type = self.request.headers.get("content-type")
        if content_type is not None and not is_json(content_type):
            raise Problem("unsupported-media-type", "send Content-Type: application/json", field="Content-Type")
        return decode(decoder, self.request.body)

    def no_body(self) -> None:
        """No body, or an empty object. Raises Problem 400 or 422."""
        if self.request.body:
            decode(_NOTHING, self.request.body)

    def query(self, shape: type[T]) -> T:
        """The query string. Raises Problem 422."""
        return query(self.request.query_string, shape)

    def wait_s(self, default: float = PREFER_WAIT_DEFAULT_S) -> float:
        """Seconds that the caller wants to wait for the outcome."""
        return prefer.wait_s(self.request.headers.get("prefer"), default)

    @property
    def wants_receipt(self) -> bool:
        """Whether the caller wants the command's signed position with its outcome."""
        return prefer.receipt(self.request.headers.get("prefer"))

    def idempotency_key(self) -> str:
        """The Idempotency-Key. Raises Problem missing-header or invalid-header (400)."""
        key = self.optional_idempotency_key()
        if key is None:
            name = "Idempotency-Key"
            raise Problem(
                "missing-header",
                f"{name}: this request needs the header {name}, with the same value on every retry",
                field=name,
                errors=(FieldError(name, "is required"),),
            )
        return key

    def optional_idempotency_key(self) -> str | None:
        """The Idempotency-Key, or None. Raises Problem invalid-header (400)."""
        key: str | None = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
            detail = f"has to be 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters"
            name = "Idempotency-Key"
            raise Problem("invalid-header", f"{name}: {detail}", field=name, errors=(FieldError(name, detail),))
        return key

    @property
    def traceparent(self) -> str | None:
        """The request's span, while traces are on; else the caller's `traceparent`, if valid (W3C Trace Context)."""
        if own := tracing.current_traceparent():
            return own
        value: str | None = self.request.headers.get("traceparent")
        return value if value is not None and len(value) == 55 and value.isascii() else None


def is_private(call: Call) -> bool:
    """Whether the answer can differ by caller, so that no proxy keeps it."""
    return call.caller is not None or _ACCESS_CODE in call.request.query_string


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


_REFUSALS = frozenset({"rate-limited", "too-many-at-once", "busy"})  # problems that retries make worse
_NOTHING = msgspec.json.Decoder(_Nothing)

Handler = Callable[..., Coroutine[Any, Any, HTTPResponse | None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One row of the table: everything about a route except its handler's work."""

    method: str
    path: str  # Sanic's form: /v1/events/<event_id>
    handler: Handler
    access: Access
    summary: str
    tag: str
    body: type[Any] | None = None
    body_optional: bool = False  # a missing body counts as an empty object
    query: type[Any] | None = None
    answers: dict[int, Any] = field(default_factory=dict)  # status → struct, or None for no body
    problems: tuple[str, ...] = ()  # slugs in addition to those of every route of its kind
    idempotency_key: str = ""  # "", "optional" or "required"
    prefer: bool = False
    operation: str = ""  # its name for generated clients, where the one of its path is another route's
    signature: str = ""  # the header that signs the body, for a route without a token
    media_type: str = "application/json"
    cacheable: bool = False  # holds no secrets: has an ETag, is compressed, and clients may keep it
    free: bool = False  # counts neither as a write nor as a read of the caller
    lane: Lane = Lane.READ
    hot: bool = False  # takes the slim way of `api.http.hot_route`: its answers have bodies, and no stream

    @property
    def writes(self) -> bool:
        """Whether the method can change something."""
        return self.method != "GET"

    @property
    def reads(self) -> bool:
        """Whether a request counts as a read of its client. The door is never refused."""
        return not self.writes and not self.free and self.lane is not Lane.DOOR

    @property
    def name(self) -> str:
        """Unique in the table."""
        return f"{self.method} {self.path}"


def bind(route: Route) -> Handler:
    """The Sanic handler of a route."""
    handler, access = route.handler, route.access
    needed = NEEDED.get(access, 0)
    limited = route.writes and needed > 0 and not route.free
    lane = route.lane
    reads = route.reads
    cacheable, streams = route.cacheable, route.media_type == "text/event-stream"
    ended = _observer(route)

    async def handle(request: Request, **path: str) -> HTTPResponse | None:
        started = perf_counter()
        deps: ApiDeps = request.app.ctx.deps
        caller = None
        try:
            networks = client_address(request, deps.settings.trusted_proxies).keys
            asking.set(Who("", networks, lane))  # looking for the caller may already be refused
            caller = await _caller(request, deps, access, streams=streams)
            if caller is not None:
                asking.set(Who(caller.user_id, networks, lane))
                if needed > RANK[caller.role]:
                    caller = await _promoted(deps, caller, access)
                if limited:
                    deps.limiter.take(WRITES, caller.user_id)
            if reads:
                take_read(deps, READ_COST)
            for name, value in path.items():
                path[name] = uuid_of(value, field=name) if name.endswith("_id") else value
            call = Call(request, deps, caller)
            response = await handler(call, **path)
            if cacheable and response is not None and response.status == 200:
                response = await deps.representations.of(request, response, private=is_private(call))
        except Problem as problem:
            if caller is not None and caller.waiting and problem.status == FORBIDDEN:
                problem = factor_required()
            response = problem.response()
            ended(request, deps, response.status, perf_counter() - started)
            if problem.slug in _REFUSALS:
                await _pause(deps)
            return response
        except Exception as error:  # answered by the application's error handler
            ended(request, deps, _status_of(error), perf_counter() - started)
            raise
        ended(request, deps, response.status if response is not None else 200, perf_counter() - started)
        return response

    return handle


def _status_of(error: Exception) -> int:
    """The status of the answer to an error that no handler expects (`api.app.problem_of`)."""
    if isinstance(error, SanicException):
        return error.status_code
    return UNAVAILABLE if isinstance(error, CircleError) else UNEXPECTED


def _observer(route: Route) -> Callable[[Request, ApiDeps, int, float], None]:
    """A function that notes an answer of the route: its status and its seconds. A stream is never a slow request.

    A slow request has the trace of its own span. While traces are off, it has the caller's.
    """
    observe, streams = METRICS.observer(route.method, route.path), route.media_type == "text/event-stream"

    def ended(request: Request, deps: ApiDeps, status: int, seconds: float) -> None:
        observe(status, seconds)
        if seconds > deps.slow.floor_s and not streams:
            trace = tracing.current_traceparent() or request.headers.get(tracing.TRACEPARENT)
            deps.slow.note(route.method, route.path, status, seconds, trace)

    return ended


def take_read(deps: ApiDeps, cost: int) -> None:
    """Count `cost` reads of the running request's user, or of its address. Raises Problem rate-limited (429)."""
    who = asking.get()
    if who.user:
        deps.limiter.take(READS, who.user, cost)
    elif who.networks:
        deps.limiter.take(ADDRESS_READS, who.networks[0], cost)


async def _pause(deps: ApiDeps) -> None:
    """Hold a refusal back if its client was refused too often. Its connection waits without work."""
    who = asking.get()
    pause_s = deps.limiter.pause_s(who.user or who.networks[0], monotonic())
    if pause_s:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await deps.stopping.wait()


async def _caller(request: Request, deps: ApiDeps, access: Access, *, streams: bool) -> Caller | None:
    """The caller, if the route needs or accepts one. Raises Problem unauthorized (401)."""
    if access is Access.PUBLIC:
        return None
    if access is Access.OPERATOR:
        return await _operator(request, deps)
    authorization = request.headers.get("authorization")
    if authorization is None:
        if streams and (ticket := request.args.get("ticket")) is not None:
            return await deps.stream_tickets.take(ticket, request.path)
        if access is Access.OPTIONAL:
            return None
    try:
        return deps.tokens.caller(authorization)
    except Problem:
        # A browser sends the console's password with every request of the page.
        if access is Access.OPTIONAL and operators.shows_token(request, deps.settings.operator_token):
            return None
        raise


async def _operator(request: Request, deps: ApiDeps) -> Caller | None:
    """An operator, or a caller whose role is checked next. Wrong tokens count against the address's rate limit."""
    operators.refuse_other_sites(request, deps.settings.public_url)
    try:
        return operators.require(request, deps)
    except Problem:
        if request.headers.get("authorization") is not None:
            address = client_address(request, deps.settings.trusted_proxies)
            await deps.shared_limiter.take_of_address(operators.GUESSES, address)
        raise


async def _promoted(deps: ApiDeps, caller: Caller, access: Access) -> Caller:
    """The caller with the role that its account has now: its token can be older than a promotion. Else 403."""
    row = await deps.database.row("user", caller.user_id)
    if row is not None:
        role, waiting = effective(Role(row["role"]), factor=row["second_factor"])
        if RANK[role] >= NEEDED[access]:
            return msgspec.structs.replace(caller, role=role, waiting=waiting)
    if caller.waiting or (row is not None and effective(Role(row["role"]), factor=row["second_factor"])[1]):
        raise factor_required()
    needs = Access.ADMIN if access is Access.OPERATOR else access
    raise Problem("forbidden", f"this needs the role {needs.value}; the caller has the role {caller.role.value}")


def factor_required() -> Problem:
    """403 for an administrator without a second factor."""
    detail = "an administrator needs a second factor for this; set it up with POST /v1/users/me/second-factor"
    return Problem("second-factor-enrolment-required", detail)


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None, *, tagged: bool = False) -> HTTPResponse:
    """A JSON answer. If its shape has a `now`, it gets the server's time, from which clients count down.

    `tagged`: the answer of a cacheable route. Its ETag leaves `now` out, so it is the same a second later.
    """
    if getattr(value, "now", None) is msgspec.UNSET:
        headers = {"etag": tag_of(msgspec.json.encode(value))} | (headers or {}) if tagged else headers
        value = stamped(value)
    return HTTPResponse(msgspec.json.encode(value), status, headers, content_type="application/json")


def stamped(value: S) -> S:
    """The value with the server's time, to the millisecond, in `now`."""
    return msgspec.structs.replace(value, now=utc(clock.now_ms() * US_PER_MS))
