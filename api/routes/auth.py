"""Registration, login, tokens, keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from sanic import HTTPResponse

from api.auth.attempts import AttemptKind
from api.auth.checks import NO_STORE, from_address, second_of
from api.auth.mail import normalised, spellings
from api.fairness.rate_limits import (
    ACCOUNT_LOGINS,
    ACCOUNT_REGISTRATIONS,
    ADDRESS_LOGINS,
    FACTOR_TRIES,
    KNOWN_LOGINS,
    REGISTRATIONS,
)
from api.http.problem import Problem
from api.http.routing import Call, json
from api.shapes.accounts import LoginIn, RefreshIn, RegisterIn
from schemas.ids import UserId

_register = msgspec.json.Decoder(RegisterIn)
_login = msgspec.json.Decoder(LoginIn)
_refresh = msgspec.json.Decoder(RefreshIn)


async def register(call: Call) -> HTTPResponse:
    """201 with the account. Its role is buyer."""
    await from_address(call, REGISTRATIONS)
    body = call.body(_register)
    await call.deps.shared_limiter.take(ACCOUNT_REGISTRATIONS, normalised(body.email))
    user = await call.deps.accounts.register(body.email, body.password, body.name, call.origin)
    return json(user, 201, {"location": f"/v1/users/{user.id}"})


async def login(call: Call) -> HTTPResponse:
    """200 with tokens. A network with an earlier login to this account counts by itself: guesses from other networks
    do not slow the owner down."""
    origin, deps = call.origin, call.deps
    async with _limits_noted(call):
        await from_address(call, ADDRESS_LOGINS)
    body = call.body(_login)
    account = await deps.accounts.named(body.email, origin.network)
    known = account is not None and account["known"]
    key = f"{account['id']} {origin.network}" if account is not None and known else spellings(body.email)[0]
    user_id = UserId(str(account["id"])) if account is not None else None
    async with _limits_noted(call, user_id):
        await deps.shared_limiter.take(KNOWN_LOGINS if known else ACCOUNT_LOGINS, key)

    async def limit() -> None:
        async with _limits_noted(call, user_id):
            await deps.shared_limiter.take(FACTOR_TRIES, key)

    second = second_of(body.otp, body.recovery_code)
    return json(await deps.accounts.login(account, body.password, second, origin, limit), headers=NO_STORE)


async def refresh(call: Call) -> HTTPResponse:
    """200 with the next tokens of the session."""
    await from_address(call, ADDRESS_LOGINS)
    return json(await call.deps.accounts.refresh(call.body(_refresh).refresh_token, call.origin), headers=NO_STORE)


async def logout(call: Call) -> HTTPResponse:
    """204; the refresh token's session has ended, with its access tokens. The token itself identifies the user."""
    await from_address(call, ADDRESS_LOGINS)
    await call.deps.accounts.logout(call.body(_refresh).refresh_token, call.origin)
    return HTTPResponse(status=204)


async def jwks(call: Call) -> HTTPResponse:
    """200 with the public keys. Caches keep them for a short time only, so that keys can rotate."""
    return json(call.deps.keys.jwks(), headers={"cache-control": "public, max-age=300"})


@asynccontextmanager
async def _limits_noted(call: Call, user_id: UserId | None = None) -> AsyncIterator[None]:
    """Record in the audit log that a limit refused a login, with the account if it is known."""
    try:
        yield
    except Problem as problem:
        if problem.slug == "rate-limited":
            await call.deps.accounts.attempts.note(AttemptKind.RATE_LIMITED, call.origin, user_id)
        raise
