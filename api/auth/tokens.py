"""Access tokens: Ed25519 JWTs. Verifying one costs 105 µs, so a verified token is remembered by its bytes.

Guarantee: a remembered token is the same bytes that were verified; its `exp`, and whether its session was ended, is
checked on every hit.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Container
from enum import StrEnum
from typing import Any

import jwt
import msgspec

from api.auth.keys import KeyRing
from api.fairness.limits import ACCESS_TOKEN_TTL_S, TOKENS_CACHED_MAX
from api.http.problem import Problem
from api.http.validation import uuid_of

ISSUER = "general-circle"
TYPE = "access"
ALGORITHM = "EdDSA"
_CLAIMS = ["sub", "role", "iss", "iat", "exp", "typ"]
_CHALLENGE = 'Bearer realm="general-circle"'


class Role(StrEnum):
    """What an account may do; each includes the ones before it."""

    BUYER = "buyer"
    ORGANIZER = "organizer"
    ADMIN = "admin"


RANK = {Role.BUYER: 1, Role.ORGANIZER: 2, Role.ADMIN: 3}


class FactorNeed(StrEnum):
    """How much an account needs a second factor."""

    OPTIONAL = "optional"
    RECOMMENDED = "recommended"
    REQUIRED = "required"


def factor_need(role: Role, *, staff: bool) -> FactorNeed:
    """Administrators have no powers without one; organizers and door staff are asked for one."""
    if role is Role.ADMIN:
        return FactorNeed.REQUIRED
    return FactorNeed.RECOMMENDED if staff or role is Role.ORGANIZER else FactorNeed.OPTIONAL


def effective(role: Role, *, factor: bool) -> tuple[Role, bool]:
    """What an account may do now; and whether it waits for a second factor to do more."""
    waiting = role is Role.ADMIN and not factor
    return (Role.ORGANIZER if waiting else role), waiting


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who sent the request, as its token says."""

    user_id: str
    role: Role
    expires_at: int
    session_id: str = ""
    waiting: bool = False  # an administrator without a second factor, who is an organizer until there is one
    mailbox: int | None = None  # the number that the accounts of one mailbox share; None: the token says none


class AccessTokens:
    """Issues and verifies. One per process."""

    __slots__ = ("_clock", "_ended", "_keys", "_verified")

    def __init__(
        self, keys: KeyRing, clock: Callable[[], float] = time.time, *, ended: Container[str] = frozenset()
    ) -> None:
        self._keys, self._clock, self._ended = keys, clock, ended
        self._verified: OrderedDict[str, Caller] = OrderedDict()

    def issue(
        self,
        user_id: str,
        role: Role,
        *,
        session_id: str = "",
        ttl_s: int = ACCESS_TOKEN_TTL_S,
        waiting: bool = False,
        mailbox: int | None = None,
    ) -> str:
        """A token for an account, valid from now for `ttl_s` seconds, or until its session is ended. `mailbox` is the
        number of its mailbox; without one, the account is counted for itself."""
        now = int(self._clock())
        claims: dict[str, Any] = {
            "sub": user_id,
            "role": role.value,
            "iss": ISSUER,
            "iat": now,
            "exp": now + ttl_s,
            "typ": TYPE,
        }
        if session_id:
            claims["sid"] = session_id
        if waiting:
            claims["second_factor_required"] = True
        if mailbox is not None:
            claims["box"] = f"{mailbox:016x}"  # text: to many readers of JSON a number has 53 bits
        key = self._keys.current
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid})

    def caller(self, authorization: str | None) -> Caller:
        """The caller that an Authorization header names. Raises Problem unauthorized (401)."""
        if authorization is None:
            raise unauthorized("this needs an access token: Authorization: Bearer …", error=None)
        caller = self._verified.get(authorization)
        if caller is None:
            caller = self._verify(authorization)
            if len(self._verified) >= TOKENS_CACHED_MAX:
                self._verified.popitem(last=False)
            self._verified[authorization] = caller
        if caller.expires_at <= self._clock():
            self._verified.pop(authorization, None)
            raise unauthorized("the access token has expired")
        if caller.session_id in self._ended:
            raise unauthorized("the session was ended; log in again")
        return caller

    def is_open(self, caller: Caller) -> bool:
        """Whether the caller's token still holds: what lasts longer than a request asks again."""
        return caller.expires_at > self._clock() and caller.session_id not in self._ended

    def _verify(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("the Authorization header has to be: Bearer, a space, an access token")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.by_kid.get(kid) if isinstance(kid, str) else None
            if key is None:
                raise unauthorized("the access token is signed with a key that is not known here")
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options={"require": _CLAIMS, "verify_exp": False, "verify_aud": False},
            )
            if claims["typ"] != TYPE:
                raise unauthorized("this is not an access token")
            session_id = claims.get("sid", "")
            if session_id:
                session_id = uuid_of(session_id, field="sid")
            waiting = claims.get("second_factor_required") is True
            user_id = uuid_of(claims["sub"], field="sub")
            mailbox = _mailbox(claims["box"]) if "box" in claims else None
            return Caller(
                user_id=user_id,
                role=Role(claims["role"]),
                expires_at=int(claims["exp"]),
                session_id=session_id,
                waiting=waiting,
                mailbox=mailbox,
            )
        except (jwt.PyJWTError, ValueError, TypeError, Problem) as error:
            if isinstance(error, Problem) and error.slug == "unauthorized":
                raise
            raise unauthorized("the access token is not one of ours, or was changed") from None


def _mailbox(box: str) -> int:
    number = int(box, 16)
    if not 0 < number < 2**63:
        raise ValueError(f"{box} is no number of a mailbox")
    return number


def unauthorized(detail: str, *, error: str | None = "invalid_token") -> Problem:
    """401 with the challenge of RFC 6750."""
    challenge = _CHALLENGE if error is None else f'{_CHALLENGE}, error="{error}"'
    return Problem("unauthorized", detail, field="Authorization", headers={"www-authenticate": challenge})
