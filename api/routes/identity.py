"""A user's identity: mailed links, sessions, the second factor, the audit log."""

from __future__ import annotations

from time import time

import asyncpg
import msgspec
from sanic import HTTPResponse

from api.auth import audit
from api.auth.accounts import require_open
from api.auth.audit import AuditKind
from api.auth.checks import NO_STORE, check_password, from_address, second_of
from api.auth.factors import otpauth_uri, put_recovery_codes
from api.auth.mail import normalised
from api.auth.tokens import Caller
from api.fairness.limits import REFRESH_TOKEN_TTL_S
from api.fairness.rate_limits import ACCOUNT_LINKS, ADDRESS_LINKS, ADDRESS_LOGINS, FACTOR_TRIES
from api.http import cursors
from api.http.problem import Problem, not_found
from api.http.routing import Call, json
from api.reads.database import SQL, Connection
from api.shapes.accounts import (
    AccessOut,
    CodeConfirmIn,
    EnrolmentOut,
    PasswordIn,
    RecoveryCodesOut,
    ResetAskIn,
    ResetIn,
    SecondFactorIn,
    SecurityEventOut,
    SecurityEventsQuery,
    SessionOut,
    TokenIn,
)
from api.shapes.base import PageQuery
from schemas.ids import SessionId, UserId

_token = msgspec.json.Decoder(TokenIn)
_ask_reset = msgspec.json.Decoder(ResetAskIn)
_reset = msgspec.json.Decoder(ResetIn)
_password = msgspec.json.Decoder(PasswordIn)
_confirm = msgspec.json.Decoder(CodeConfirmIn)
_second = msgspec.json.Decoder(SecondFactorIn)

# --- mailed links


async def verify_email(call: Call) -> HTTPResponse:
    """204; from now on mails go to the address, the ones that waited for this first."""
    await from_address(call, ADDRESS_LOGINS)
    await call.deps.mailed.verify_email(call.body(_token).token, call.origin)
    return HTTPResponse(status=204)


async def resend_verification(call: Call) -> HTTPResponse:
    """202: another link is sent, unless the address is verified already."""
    call.no_body()
    await from_address(call, ADDRESS_LINKS)
    await call.deps.shared_limiter.take(ACCOUNT_LINKS, f"verification {call.user_id}")
    await call.deps.mailed.ask_verification(call.user_id)
    return HTTPResponse(status=202)


async def ask_reset(call: Call) -> HTTPResponse:
    """202 for every address. If it has an account, a reset link is sent."""
    await from_address(call, ADDRESS_LINKS)
    address = normalised(call.body(_ask_reset).email)
    await call.deps.shared_limiter.take(ACCOUNT_LINKS, f"reset {address}")
    await call.deps.mailed.ask_reset(address, call.origin)
    return HTTPResponse(status=202)


async def reset(call: Call) -> HTTPResponse:
    """204: the password is set, every session of the account has ended, and its owner gets a mail."""
    await from_address(call, ADDRESS_LOGINS)
    body = call.body(_reset)
    await call.deps.mailed.reset(body.token, body.password, call.origin)
    return HTTPResponse(status=204)


# --- sessions


async def sessions(call: Call) -> HTTPResponse:
    """200 with a page of the caller's open sessions, the last used first."""
    caller, query = _caller(call), call.query(PageQuery)
    value, identity = cursors.decode(query.cursor, "sessions")
    rows = await call.deps.database.rows(
        "sessions_of_user", call.user_id, value, identity, query.limit + 1, REFRESH_TOKEN_TTL_S
    )

    def item(row: asyncpg.Record) -> SessionOut:
        return SessionOut(
            id=row["id"],
            created_at=row["created_at"],
            last_used_at=row["last_used_at"],
            address=row["address"],
            client=row["user_agent"],
            current=row["id"] == caller.session_id,
        )

    return json(cursors.page(rows, query.limit, item, lambda row: ("sessions", row["used_us"], row["id"])))


async def end_session(call: Call, session_id: SessionId) -> HTTPResponse:
    """204: the session has ended, with its access tokens."""
    call.no_body()
    if not await call.deps.accounts.end_session(_caller(call), session_id, call.origin):
        raise not_found("session", f"{session_id} of yours, or it has ended", field="session_id")
    return HTTPResponse(status=204)


async def end_other_sessions(call: Call) -> HTTPResponse:
    """204: all other sessions have ended."""
    call.no_body()
    await call.deps.accounts.end_other_sessions(_caller(call), call.origin)
    return HTTPResponse(status=204)


# --- the second factor


async def enrol(call: Call) -> HTTPResponse:
    """201 with a secret for an authenticator. The factor counts after its first code is confirmed."""
    caller, body = _caller(call), call.body(_password)
    await check_password(call, body.password, field="password")
    account = await call.deps.accounts.own(caller.user_id)

    async def opened(connection: Connection) -> None:
        await require_open(connection, caller)

    await call.deps.database.within(opened)
    secret = await call.deps.factors.begin(caller.user_id)
    if secret is None:
        raise Problem("second-factor-on", "remove the present second factor first")
    return json(EnrolmentOut(secret, otpauth_uri(secret, account.email)), 201, NO_STORE)


async def confirm(call: Call) -> HTTPResponse:
    """200 with recovery codes, shown only here. From now on a login needs the factor; all other sessions end."""
    caller, body, deps = _caller(call), call.body(_confirm), call.deps
    await deps.shared_limiter.take(FACTOR_TRIES, f"confirm {caller.user_id}")
    factor = await deps.factors.sealed(caller.user_id)
    if factor is None:
        raise Problem("no-second-factor", "there is none to confirm; begin with POST /v1/users/me/second-factor")
    sealed, secret, confirmed = factor
    if confirmed:
        raise Problem("second-factor-on", "the second factor is already confirmed")
    step = deps.factors.matches(secret, body.otp)
    if step is None:
        await audit.record_refusal(deps.database, AuditKind.SECOND_FACTOR, caller.user_id, call.origin)
        raise Problem("invalid-second-factor", "otp: this is not the current code", field="otp")

    async def work(connection: Connection) -> tuple[list[str], list[SessionId], asyncpg.Record]:
        await require_open(connection, caller)
        if await connection.fetchrow(SQL["factor_confirm"], caller.user_id, sealed) is None:
            raise Problem("second-factor-on", "another request has confirmed or replaced the second factor")
        await connection.execute(SQL["factor_step"], caller.user_id, step, sealed)
        codes = await put_recovery_codes(connection, caller.user_id)
        ended = await connection.fetchval(SQL["sessions_end"], caller.user_id, caller.session_id)
        await connection.execute(SQL["account_mail_add"], caller.user_id, "second-factor-on")
        await audit.record(connection, AuditKind.FACTOR_ON, caller.user_id, call.origin, session_id=caller.session_id)
        row = await connection.fetchrow(SQL["user"], caller.user_id)
        assert row is not None
        return codes, list(ended), row

    codes, ended, row = await deps.database.within(work)
    await deps.sessions.end(ended)
    token, left_s = deps.accounts.access_token(row, caller), max(1, caller.expires_at - int(time()))
    return json(AccessOut(recovery_codes=codes, access_token=token, expires_in=left_s), headers=NO_STORE)


async def remove(call: Call) -> HTTPResponse:
    """204: a login needs only the password again."""
    caller = await _both_factors(call)

    async def work(connection: Connection) -> None:
        await require_open(connection, caller)
        await connection.execute(SQL["factor_remove"], caller.user_id)
        await connection.execute(SQL["account_mail_add"], caller.user_id, "second-factor-off")
        await audit.record(connection, AuditKind.FACTOR_OFF, caller.user_id, call.origin, session_id=caller.session_id)

    await call.deps.database.within(work)
    return HTTPResponse(status=204)


async def recovery_codes(call: Call) -> HTTPResponse:
    """200 with new recovery codes, shown only here. The former ones become invalid."""
    caller = await _both_factors(call)

    async def work(connection: Connection) -> list[str]:
        await require_open(connection, caller)
        codes = await put_recovery_codes(connection, caller.user_id)
        await audit.record(connection, AuditKind.CODES_MADE, caller.user_id, call.origin, session_id=caller.session_id)
        return codes

    return json(RecoveryCodesOut(await call.deps.database.within(work)), headers=NO_STORE)


async def _both_factors(call: Call) -> Caller:
    """The caller, with password and second factor checked. Raises Problem 401, no-second-factor (409)."""
    caller, body, deps = _caller(call), call.body(_second), call.deps
    await check_password(call, body.password, field="password")
    if not (await deps.accounts.own(caller.user_id)).second_factor:
        raise Problem("no-second-factor", "the account has no second factor")
    second = second_of(body.otp, body.recovery_code)
    if second.missing:
        raise Problem("second-factor-required", "send a code of your authenticator, or a recovery code")
    await deps.shared_limiter.take(FACTOR_TRIES, f"change {caller.user_id}")
    await deps.factors.check(caller.user_id, second, call.origin)
    return caller


# --- the audit log


async def own_events(call: Call) -> HTTPResponse:
    """200 with a page of the audit log of the caller's account, the latest first."""
    query = call.query(PageQuery)
    return await _events(call, call.user_id, None, query.cursor, query.limit)


async def events(call: Call) -> HTTPResponse:
    """200 with a page of the audit log of all accounts, the latest first."""
    query = call.query(SecurityEventsQuery)
    return await _events(call, query.user_id, query.kind, query.cursor, query.limit)


async def _events(
    call: Call, user_id: UserId | None, kind: AuditKind | None, cursor: str | None, limit: int
) -> HTTPResponse:
    value, _ = cursors.decode(cursor, "security")
    rows = await call.deps.database.rows("security_events", user_id, kind, value, limit + 1)
    return json(cursors.page(rows, limit, _event, lambda row: ("security", row["id"], "")), headers=NO_STORE)


def _event(row: asyncpg.Record) -> SecurityEventOut:
    return SecurityEventOut(
        id=row["id"],
        at=row["at"],
        kind=row["kind"],
        outcome=row["outcome"],
        actor=row["actor"],
        user_id=row["user_id"],
        session_id=row["session_id"],
        address=row["address"],
        client=row["user_agent"],
        detail=msgspec.json.decode(row["detail"]),
    )


def _caller(call: Call) -> Caller:
    assert call.caller is not None
    return call.caller
