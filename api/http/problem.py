"""RFC 9457 problem documents: the one shape of every error, with a stable `type` for each kind.

A handler raises `Problem`. A client never sees anything else of an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sanic import HTTPResponse

from api.fairness.limits import RETRY_AFTER_S

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "/problems/"


class FieldError(msgspec.Struct, frozen=True):
    """One error in one field of a request. `field` is a path such as `price.amount`."""

    field: str
    detail: str


# Status and title of each kind, by slug. api.http.reasons adds the reasons of the log.
KINDS: dict[str, tuple[int, str]] = {
    "malformed-json": (400, "The body is not JSON"),
    "malformed-request": (400, "The request cannot be read"),
    "missing-header": (400, "A required header is missing"),
    "invalid-header": (400, "A header has an invalid value"),
    "invalid-signature": (400, "The signature is not valid"),
    "unauthorized": (401, "A valid access token is needed"),
    "invalid-credentials": (401, "The address or the password is wrong"),
    "invalid-refresh-token": (401, "The refresh token is not valid"),
    "second-factor-required": (401, "A second factor is needed"),
    "invalid-second-factor": (401, "The second factor is wrong"),
    "second-factor-enrolment-required": (403, "An administrator needs a second factor"),
    "forbidden": (403, "The caller may not do this"),
    "not-found": (404, "The resource does not exist"),
    "method-not-allowed": (405, "This method is not offered here"),
    "request-timeout": (408, "The request took too long to arrive"),
    "email-taken": (409, "An account with this address exists"),
    "second-factor-on": (409, "The account already has a second factor"),
    "no-second-factor": (409, "The account has no second factor"),
    "organizer-has-events": (409, "The organizer has events that have not ended"),
    "category-taken": (409, "A category with this name exists"),
    "category-in-use": (409, "The category is in use"),
    "ticket-code-forged": (409, "The code is not signed with a key of this platform"),
    "ticket-of-other-event": (409, "The ticket is for another event"),
    "link-not-valid": (410, "The mailed link is not valid"),
    "body-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body has to be JSON"),
    "expectation-failed": (417, "The expectation cannot be met"),
    "invalid-request": (422, "The request is not valid"),
    "password-too-common": (422, "The password is too easy to guess"),
    "ticket-code-malformed": (422, "This is not a ticket code"),
    "rate-limited": (429, "Too many requests"),
    "too-many-at-once": (429, "The client has too many requests at once"),
    "headers-too-large": (431, "The headers are too large"),
    "internal-error": (500, "An unexpected error happened"),
    "unavailable": (503, "A service is not available at the moment"),
    "busy": (503, "Too many requests are waiting"),
    "not-acknowledged": (503, "The log has not acknowledged the request"),
}


class Problem(Exception):
    """An answer that is a problem document. `field` names the wrong field, header or parameter."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.field = slug, detail, field
        self.status, self.title = KINDS[slug]
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extensions = extensions

    def document(self) -> dict[str, Any]:
        """The members of the document, in the RFC's order, then the extensions."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            document["field"] = self.field
        if self.errors:
            document["errors"] = self.errors
        return document | self.extensions

    def response(self) -> HTTPResponse:
        """The HTTP response."""
        return HTTPResponse(msgspec.json.encode(self.document()), self.status, self.headers, content_type=CONTENT_TYPE)


def invalid(field: str, detail: str) -> Problem:
    """422 for one field with an invalid value."""
    return Problem("invalid-request", f"{field}: {detail}", field=field, errors=(FieldError(field, detail),))


def not_found(what: str, identity: str, *, field: str | None = None) -> Problem:
    """404 that names the missing thing."""
    return Problem("not-found", f"there is no {what} {identity}", field=field)


def unavailable(service: str, detail: str) -> Problem:
    """503 with Retry-After: an outside service does not answer."""
    return Problem("unavailable", detail, headers=retry_after(), service=service)


def busy(detail: str) -> Problem:
    """503 with Retry-After: a bounded queue of this process is full."""
    return Problem("busy", detail, headers=retry_after())


def retry_after(seconds: float = RETRY_AFTER_S) -> dict[str, str]:
    """The header, in whole seconds, rounded up."""
    return {"retry-after": str(max(1, -int(-seconds // 1)))}
