"""Registration, login, tokens, keys."""

from __future__ import annotations

import msgspec
from sanic import HTTPResponse

from api.auth.mail import normalised
from api.rate_limits import ACCOUNT_LOGINS, ACCOUNT_REGISTRATIONS, ADDRESS_LOGINS, REGISTRATIONS, Rate
from api.routing import Call, json
from api.shapes.accounts import LoginIn, RefreshIn, RegisterIn

_register = msgspec.json.Decoder(RegisterIn)
_login = msgspec.json.Decoder(LoginIn)
_refresh = msgspec.json.Decoder(RefreshIn)

NO_STORE = {"cache-control": "no-store"}  # RFC 6749 section 5.1


async def register(call: Call) -> HTTPResponse:
    """201 with the account, a buyer."""
    await from_address(call, REGISTRATIONS)
    body = call.body(_register)
    await call.deps.shared_limiter.take(ACCOUNT_REGISTRATIONS, normalised(body.email))
    user = await call.deps.accounts.register(body.email, body.password, body.name)
    return json(user, 201, {"location": f"/v1/users/{user.id}"})


async def login(call: Call) -> HTTPResponse:
    """200 with tokens."""
    await from_address(call, ADDRESS_LOGINS)
    body = call.body(_login)
    await call.deps.shared_limiter.take(ACCOUNT_LOGINS, normalised(body.email))
    return json(await call.deps.accounts.login(body.email, body.password), headers=NO_STORE)


async def refresh(call: Call) -> HTTPResponse:
    """200 with the next tokens of the session."""
    await from_address(call, ADDRESS_LOGINS)
    return json(await call.deps.accounts.refresh(call.body(_refresh).refresh_token), headers=NO_STORE)


async def logout(call: Call) -> HTTPResponse:
    """204; the token's session is ended, its access tokens too. The refresh token itself says whose it is."""
    await from_address(call, ADDRESS_LOGINS)
    await call.deps.accounts.logout(call.body(_refresh).refresh_token)
    return HTTPResponse(status=204)


async def jwks(call: Call) -> HTTPResponse:
    """200 with the public keys; short enough a cache for a rotation."""
    return json(call.deps.keys.jwks(), headers={"cache-control": "public, max-age=300"})


async def from_address(call: Call, rate: Rate) -> None:
    """Takes a token of the client's address. Raises Problem rate-limited (429)."""
    await call.deps.shared_limiter.take_of_address(rate, call.address)
