"""What routes about accounts check before their work: the address' rate, the password, the second factor."""

from __future__ import annotations

import msgspec

from api.auth.factors import Second
from api.fairness.rate_limits import PASSWORD_CHECKS, Rate
from api.http.problem import invalid
from api.http.routing import Call

NO_STORE = {"cache-control": "no-store"}  # RFC 6749 section 5.1


def second_of(otp: str | msgspec.UnsetType, recovery_code: str | msgspec.UnsetType) -> Second:
    """The second factor of a request. Raises Problem invalid-request (422) for a code and a recovery code together."""
    if otp is not msgspec.UNSET and recovery_code is not msgspec.UNSET:
        raise invalid("recovery_code", "is not allowed together with otp")
    return Second(*("" if isinstance(one, msgspec.UnsetType) else one for one in (otp, recovery_code)))


async def from_address(call: Call, rate: Rate) -> None:
    """Take a token of the client address' rate. Raises Problem rate-limited (429)."""
    await call.deps.shared_limiter.take_of_address(rate, call.address)


async def check_password(call: Call, password: str, *, field: str = "current_password") -> None:
    """Check the caller's password; guesses count for their session. Raises Problem invalid-credentials (401)."""
    assert call.caller is not None
    await call.deps.shared_limiter.take(PASSWORD_CHECKS, f"{call.user_id} {call.caller.session_id}")
    await call.deps.accounts.check_password(call.caller, password, field=field)
