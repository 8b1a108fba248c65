"""A baseline over HTTP, one Sanic process: `python -m ops.proof.bench.baselines.server NAME PORT`.

It has the same request, the same checks of token, key and body, and the same answer as the platform's own route. Only
the work behind the route differs.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET
from sanic import HTTPResponse, Request, Sanic

from api.app import ProblemHandler
from api.auth.keys import KeyRing
from api.auth.tokens import AccessTokens
from api.fairness.limits import ACCEPT_QUEUE_MAX, BODY_BYTES_MAX
from api.http.accepting import AcceptingPolicy
from api.http.problem import Problem
from api.http.reasons import for_reason
from api.http.validation import decode
from api.shapes.base import PositionOut
from api.shapes.reservations import ReservationIn, ReservationOut
from connectors.errors import CircleError
from connectors.settings import Settings
from ops.proof.bench.baselines.conditional import ConditionalLedger
from ops.proof.bench.baselines.counter import CounterLedger
from ops.proof.bench.baselines.row_locks import RowLockLedger
from ops.proof.bench.baselines.terms import Baseline, Given, SalesLedger, SeatRequest
from ops.run.services.process import LOOPBACK
from pipelines.configuration import settings_from_env
from schemas.facts import Reason
from schemas.ids import EventId, TicketTypeId, fingerprint, reservation_id
from schemas.statuses import ReservationStatus

NOWHERE = PositionOut(0, 0)  # there is no log
_reserve = msgspec.json.Decoder(ReservationIn)


async def open_ledger(name: Baseline, settings: Settings, **options: int) -> SalesLedger:
    """The ledger of a baseline. Raises ServiceUnreachable."""
    match name:
        case Baseline.ROW_LOCKS:
            return await RowLockLedger.open(settings.postgres_url, **options)
        case Baseline.CONDITIONAL_UPDATE:
            return await ConditionalLedger.open(settings.postgres_url, **options)
        case Baseline.REDIS_COUNTER:
            return await CounterLedger.open(settings.redis_url, **options)
        case Baseline.CONSUMER_LOOP:
            raise CircleError(f"{name} has no ledger of its own: it is the platform with another process")


def create_app(name: Baseline, settings: Settings) -> Sanic[Any, Any]:
    """The application."""
    app: Sanic[Any, Any] = Sanic(
        name.value, configure_logging=False, error_handler=ProblemHandler(), inspector=False, log_config=None
    )
    app.config.update(
        REQUEST_MAX_SIZE=BODY_BYTES_MAX, ACCESS_LOG=False, MOTD=False, OAS=False, AUTO_EXTEND=False, USE_UVLOOP=True,
        RESPONSE_TIMEOUT=60,
    )  # fmt: skip
    app.add_route(reserve, "/v1/events/<event_id>/reservations", methods=["POST"])
    app.before_server_start(partial(_open, name, settings))
    app.after_server_stop(_close)
    return app


async def reserve(request: Request, event_id: EventId) -> HTTPResponse:
    """201 with the hold, 409 with the reason; both are committed."""
    caller = request.app.ctx.tokens.caller(request.headers.get("authorization"))
    key = request.headers.get("idempotency-key")
    if not key:
        raise Problem("missing-header", "Idempotency-Key is required", field="Idempotency-Key")
    body = decode(_reserve, request.body)
    seats = [] if body.seats is UNSET else body.seats
    quantity = len(seats) if body.quantity is UNSET else body.quantity
    section = TicketTypeId(body.ticket_type_id.lower())
    identity = reservation_id(caller.user_id, key)
    wanted = SeatRequest(
        event_id=event_id,
        section_id=section,
        user_id=caller.user_id,
        reservation_id=identity,
        quantity=quantity,
        seats=seats,
        fingerprint=fingerprint(section, quantity, seats),
    )
    given: Given = await request.app.ctx.ledger.reserve(wanted)
    if given.reason:
        raise for_reason(Reason(given.reason), "", reservation_id=identity)
    shown = ReservationOut(
        id=identity, status=ReservationStatus.HELD, event_id=event_id, ticket_type_id=section, seats=given.seats,
        quantity=quantity, amount=given.amount_minor, currency=given.currency, expires_at=given.expires_at,
        position=NOWHERE,
    )  # fmt: skip
    return HTTPResponse(msgspec.json.encode(shown), 201, content_type="application/json")


async def _open(name: Baseline, settings: Settings, app: Sanic[Any, Any]) -> None:
    app.ctx.tokens = AccessTokens(KeyRing.load(settings.jwt_key_file))
    app.ctx.ledger = await open_ledger(name, settings)


async def _close(app: Sanic[Any, Any]) -> None:
    await app.ctx.ledger.close()


def main(name: Baseline, port: int) -> None:
    """Serve until a signal, on the same kind of loop as the platform."""
    asyncio.set_event_loop_policy(AcceptingPolicy())
    create_app(name, settings_from_env()).run(
        LOOPBACK, port, backlog=ACCEPT_QUEUE_MAX, single_process=True, access_log=False, motd=False
    )


if __name__ == "__main__":
    main(Baseline(sys.argv[1]), int(sys.argv[2]))
