"""Access for operators: metrics, the dashboard, the details of readiness.

A request is an operator's in three cases: it has the operator's token (`Authorization: Bearer`, or the password of
`Basic`, for which browsers ask); its caller has the role admin; or it comes through the operators' port, if one is set.
That port is for a network with operators only.

A browser adds the password, and its place in the network, to requests of any page. So a write with one of these is
refused when it comes for a page of another site.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sanic import Request

from api.auth.tokens import RANK, Caller, Role, unauthorized
from api.fairness.rate_limits import Rate
from api.http.http1 import EdgeHttp
from api.http.problem import Problem

if TYPE_CHECKING:
    from api.deps import ApiDeps

GUESSES = Rate(name="wrong operator's tokens from one address", per_s=0.2, burst=20)
READING = ("GET", "HEAD", "OPTIONS")
FOREIGN = ("cross-site", "same-site")  # of Sec-Fetch-Site (Fetch Metadata); a browser sends it over HTTPS
CHALLENGE = 'Basic realm="operators", charset="UTF-8"'  # alone: browsers read no second scheme in the same line


def by_operators_port(request: Request) -> bool:
    """Whether the connection came through the operators' port."""
    stream = request.stream
    return isinstance(stream, EdgeHttp) and stream.protocol.operator


def shows_token(request: Request, token: str | None) -> bool:
    """Whether the request has the operator's token, compared in constant time."""
    shown = _shown(request.headers.get("authorization"))
    if token is None or shown is None:
        return False
    return compare_digest(sha256(shown.encode("utf-8", "surrogateescape")).digest(), sha256(token.encode()).digest())


def refuse_other_sites(request: Request, public_url: str) -> None:
    """Refuse a write that a browser sends for a page of another site. Raises Problem forbidden (403).

    A request with a bearer token passes: a browser never adds one by itself.
    """
    scheme = (request.headers.get("authorization") or "").partition(" ")[0].lower()
    if request.method in READING or scheme == "bearer":
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = {request.headers.get("host"), urlsplit(public_url).netloc} - {""}
    if site in FOREIGN or (site is None and origin is not None and urlsplit(origin).netloc not in own):
        raise Problem("forbidden", "a page of another site asks for this; operators write from the console itself")


def require(request: Request, deps: ApiDeps) -> Caller | None:
    """The caller with an access token, or None for an operator by token or port. Raises Problem unauthorized (401).

    The route still has to check the caller's role: a valid token of another user is 403.
    """
    authorization = request.headers.get("authorization")
    if by_operators_port(request) or shows_token(request, deps.settings.operator_token):
        return None
    if authorization is None:
        raise _refused("this needs the operator's token")
    try:
        return deps.tokens.caller(authorization)
    except Problem as problem:
        raise _refused(problem.detail) from None


def is_one(request: Request, deps: ApiDeps) -> bool:
    """Whether the request is an operator's, for a route that also answers others."""
    if by_operators_port(request) or shows_token(request, deps.settings.operator_token):
        return True
    try:
        caller = deps.tokens.caller(request.headers.get("authorization"))
    except Problem:
        return False
    return RANK[caller.role] >= RANK[Role.ADMIN]


def _refused(detail: str) -> Problem:
    problem = unauthorized(detail)
    problem.headers["www-authenticate"] = CHALLENGE
    return problem


def _shown(authorization: str | None) -> str | None:
    scheme, _, value = (authorization or "").partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[2]
            except (NotBase64, ValueError):
                return None
    return None
