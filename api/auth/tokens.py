"""Access tokens: Ed25519 JWTs. A first-seen token of this installation is recognized; others get the full check.

Guarantee: only the full check refuses, and it would accept each recognized token. A verified token is remembered by its
bytes, so a remembered token has exactly the bytes that were verified. Its `exp`, and whether its session has ended, are
checked every time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Container
from enum import StrEnum
from typing import Any, Literal

import jwt
import msgspec

from api.auth.keys import KeyRing
from api.auth.token_signer import TokenSigner
from api.fairness.limits import ACCESS_TOKEN_TTL_S, TOKENS_CACHED_MAX
from api.http.problem import Problem
from api.http.validation import uuid_of
from api.metrics import METRICS
from schemas.ids import NO_SESSION, SessionId, UserId

ISSUER = "general-circle"
TYPE = "access"
ALGORITHM = "EdDSA"
AHEAD_S_MAX = 5 * 60  # two API hosts have two clocks: a token of the faster one is from the future for the other
_CLAIMS = ["sub", "role", "iss", "iat", "exp", "typ"]
_CHALLENGE = 'Bearer realm="general-circle"'


class Role(StrEnum):
    """What an account may do. Each role includes the ones before it."""

    BUYER = "buyer"
    ORGANIZER = "organizer"
    ADMIN = "admin"


RANK = {Role.BUYER: 1, Role.ORGANIZER: 2, Role.ADMIN: 3}


class FactorNeed(StrEnum):
    """Whether an account needs a second factor."""

    OPTIONAL = "optional"
    RECOMMENDED = "recommended"
    REQUIRED = "required"


def factor_need(role: Role, *, staff: bool) -> FactorNeed:
    """Administrators have no rights without a second factor; organizers and door staff are asked to set one up."""
    if role is Role.ADMIN:
        return FactorNeed.REQUIRED
    return FactorNeed.RECOMMENDED if staff or role is Role.ORGANIZER else FactorNeed.OPTIONAL


def effective(role: Role, *, factor: bool) -> tuple[Role, bool]:
    """The role that an account has now, and whether a second factor would give it more rights."""
    waiting = role is Role.ADMIN and not factor
    return (Role.ORGANIZER if waiting else role), waiting


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The sender of a request, from its token."""

    user_id: UserId
    role: Role
    expires_at: int
    session_id: SessionId = NO_SESSION
    waiting: bool = False  # an administrator without a second factor, who has an organizer's rights until then
    mailbox: int | None = None  # the number that the accounts of one mailbox share; None: the token has none


class _Claims(msgspec.Struct, forbid_unknown_fields=True):
    """The claims of a token as `issue` writes them."""

    sub: str
    role: Role
    iss: Literal["general-circle"]
    iat: int
    exp: int
    typ: Literal["access"]
    sid: str = ""
    second_factor_required: Literal[True] | None = None
    box: str | None = None


_claims_of = msgspec.json.Decoder(_Claims).decode


class AccessTokens:
    """Issues and verifies access tokens. One per process."""

    __slots__ = ("_clock", "_ended", "_keys", "_signer", "_verified")

    def __init__(
        self, keys: KeyRing, clock: Callable[[], float] = time.time, *, ended: Container[str] = frozenset()
    ) -> None:
        self._keys, self._clock, self._ended = keys, clock, ended
        self._signer = TokenSigner(keys)
        self._verified: OrderedDict[str, Caller] = OrderedDict()

    def issue(
        self,
        user_id: UserId,
        role: Role,
        *,
        session_id: SessionId = NO_SESSION,
        ttl_s: int = ACCESS_TOKEN_TTL_S,
        waiting: bool = False,
        mailbox: int | None = None,
    ) -> str:
        """A token for an account, valid for `ttl_s` seconds, or until its session ends. `mailbox` is the number of its
        mailbox; without it the account is counted by itself."""
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
            claims["box"] = f"{mailbox:016x}"  # text, because many JSON parsers read numbers with 53 bits
        return self._signer.sign(msgspec.json.encode(claims))

    def caller(self, authorization: str | None) -> Caller:
        """The caller of an Authorization header. Raises Problem unauthorized (401)."""
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
            raise unauthorized("the session has ended; log in again")
        return caller

    def is_open(self, caller: Caller) -> bool:
        """Whether the caller's token is still valid. Live streams check this again while they run."""
        return caller.expires_at > self._clock() and caller.session_id not in self._ended

    def _verify(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthorized("the Authorization header has to be: Bearer, a space, an access token")
        caller = self._recognized(token)
        if caller is not None:
            METRICS.tokens_recognized.inc()
            return caller
        METRICS.tokens_checked.inc()
        return self._checked(token)

    def _recognized(self, token: str) -> Caller | None:
        """The caller of a token that this installation signed as it signs today; None for all others."""
        text = self._signer.recognize(token)
        if text is None:
            return None
        try:
            claims = _claims_of(text)
            if claims.iat > self._clock() + AHEAD_S_MAX:
                return None
            return Caller(
                user_id=UserId(uuid_of(claims.sub, field="sub")),
                role=claims.role,
                expires_at=claims.exp,
                session_id=SessionId(uuid_of(claims.sid, field="sid")) if claims.sid else NO_SESSION,
                waiting=claims.second_factor_required is True,
                mailbox=None if claims.box is None else _mailbox(claims.box),
            )
        except (msgspec.DecodeError, ValueError, Problem):
            return None  # the full check says what is wrong

    def _checked(self, token: str) -> Caller:
        """The caller of a token, after the full check. Raises Problem unauthorized (401)."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.by_kid.get(kid) if isinstance(kid, str) else None
            if key is None:
                raise unauthorized("the access token is signed with an unknown key")
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                leeway=AHEAD_S_MAX,
                options={"require": _CLAIMS, "verify_exp": False, "verify_aud": False},
            )
            if claims["typ"] != TYPE:
                raise unauthorized("this is not an access token")
            session_id = claims.get("sid", "")
            if session_id:
                session_id = uuid_of(session_id, field="sid")
            waiting = claims.get("second_factor_required") is True
            user_id = UserId(uuid_of(claims["sub"], field="sub"))
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
            raise unauthorized("the access token is not valid") from None


def _mailbox(box: str) -> int:
    number = int(box, 16)
    if not 0 < number < 2**63:
        raise ValueError(f"{box} is not the number of a mailbox")
    return number


def unauthorized(detail: str, *, error: str | None = "invalid_token") -> Problem:
    """401 with the challenge of RFC 6750."""
    challenge = _CHALLENGE if error is None else f'{_CHALLENGE}, error="{error}"'
    return Problem("unauthorized", detail, field="Authorization", headers={"www-authenticate": challenge})
