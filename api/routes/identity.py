"""Who somebody is: the mailed links that prove an address."""

from __future__ import annotations

import msgspec
from sanic import HTTPResponse

from api.rate_limits import ACCOUNT_LINKS, ADDRESS_LINKS, ADDRESS_LOGINS
from api.routes.auth import from_address
from api.routing import Call
from api.shapes.accounts import TokenIn

_token = msgspec.json.Decoder(TokenIn)


async def verify_email(call: Call) -> HTTPResponse:
    """204; mails go to the address from now on, those that were held for this first."""
    await from_address(call, ADDRESS_LOGINS)
    await call.deps.accounts.verify_email(call.body(_token).token)
    return HTTPResponse(status=204)


async def resend_verification(call: Call) -> HTTPResponse:
    """202: another link is on its way, unless the address is proven already."""
    call.no_body()
    await from_address(call, ADDRESS_LINKS)
    await call.deps.shared_limiter.take(ACCOUNT_LINKS, call.user_id)
    await call.deps.accounts.ask_verification(call.user_id)
    return HTTPResponse(status=202)
