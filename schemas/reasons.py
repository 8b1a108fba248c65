"""The reasons for refusals and endings."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """The reason for a refusal: stable words, used as problem types in the HTTP API."""

    SOLD_OUT = "sold-out"
    SEAT_TAKEN = "seat-taken"
    SEAT_UNKNOWN = "seat-unknown"
    LIMIT_EXCEEDED = "limit-exceeded"
    HOLDS_EXHAUSTED = "holds-exhausted"
    PAYMENTS_EXHAUSTED = "payments-exhausted"
    SALES_NOT_OPEN = "sales-not-open"
    SALES_CLOSED = "sales-closed"
    EVENT_CANCELLED = "event-cancelled"
    EVENT_NOT_FOUND = "event-not-found"
    EVENT_EXISTS = "event-exists"
    COMMAND_FAILED = "command-failed"
    EVENT_NOT_PUBLISHED = "event-not-published"
    NOT_DRAFT = "not-draft"
    NOT_OWNER = "not-owner"
    NO_TICKET_TYPES = "no-ticket-types"
    INVALID_SCHEDULE = "invalid-schedule"
    INVALID_QUANTITY = "invalid-quantity"
    INVALID_SEATS = "invalid-seats"
    INVALID_TICKET_TYPE = "invalid-ticket-type"
    TICKET_TYPE_NOT_FOUND = "ticket-type-not-found"
    TICKET_TYPE_EXISTS = "ticket-type-exists"
    RESERVATION_NOT_FOUND = "reservation-not-found"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    HOLD_EXPIRED = "hold-expired"
    NOT_HELD = "not-held"
    PAYMENT_IN_PROGRESS = "payment-in-progress"
    PAYMENT_DECLINED = "payment-declined"
    PAYMENT_UNKNOWN = "payment-unknown"
    PAYMENT_TOKEN_REQUIRED = "payment-token-required"  # noqa: S105 - a reason, no token
    BUYER_CANCELLED = "buyer-cancelled"
    ORGANIZER_CANCELLED = "organizer-cancelled"
    EVENT_ENDED = "event-ended"
    LAYOUT_IN_USE = "layout-in-use"
    POOL_NOT_FOUND = "pool-not-found"
    INVALID_POOL = "invalid-pool"
    CODE_EXISTS = "code-exists"
    CODE_NOT_FOUND = "code-not-found"
    INVALID_CODE = "invalid-code"
    CODE_INVALID = "code-not-valid"
    CODE_USED_UP = "code-used-up"
    ACCESS_CODE_REQUIRED = "access-code-required"
    BLOCK_NOT_FOUND = "block-not-found"
    INVALID_BLOCK = "invalid-block"
    STAFF_ONLY = "staff-only"
    TOO_MANY = "too-many"
    EXTENSION_NOT_ALLOWED = "extension-not-allowed"
    REFUND_NOT_ALLOWED = "refund-not-allowed"
    TICKET_NOT_FOUND = "ticket-not-found"
    TICKET_VOID = "ticket-void"
    TICKET_SUPERSEDED = "ticket-superseded"
    ALREADY_CHECKED_IN = "already-checked-in"
    NOT_CHECKED_IN = "not-checked-in"
    CHECK_IN_UNDONE = "check-in-undone"
    TRANSFER_NOT_ALLOWED = "transfer-not-allowed"
    NOT_SOLD_OUT = "not-sold-out"
    ENTRY_NOT_FOUND = "entry-not-found"
    BUYER_LEFT = "buyer-left"
    TRANSFER_NOT_FOUND = "transfer-not-found"
    ALREADY_OFFERED = "already-offered"
    OFFER_EXPIRED = "offer-expired"
    INVITATION_NOT_FOUND = "invitation-not-found"
    ORGANIZER_REFUNDED = "organizer-refunded"
    PAYMENT_NOT_FOUND = "payment-not-found"
    REFUND_NOT_FOUND = "refund-not-found"
    REFUND_TOO_LARGE = "refund-too-large"
    CURRENCY_MISMATCH = "currency-mismatch"
    INVALID_DISPUTE = "invalid-dispute"
    PAYMENT_TWICE = "payment-twice"
    PAYMENT_DIFFERS = "payment-differs"
    PAYMENT_DISPUTED = "payment-disputed"
    REFUNDED_AT_PROVIDER = "refunded-at-provider"
    CHARGED_BACK = "charged-back"


HTTP_STATUS_DEFAULT = 409
HTTP_STATUSES: Mapping[str, int] = {
    Reason.EVENT_NOT_FOUND: 404,
    Reason.TICKET_TYPE_NOT_FOUND: 404,
    Reason.RESERVATION_NOT_FOUND: 404,
    Reason.POOL_NOT_FOUND: 404,
    Reason.CODE_NOT_FOUND: 404,
    Reason.BLOCK_NOT_FOUND: 404,
    Reason.TICKET_NOT_FOUND: 404,
    Reason.ENTRY_NOT_FOUND: 404,
    Reason.TRANSFER_NOT_FOUND: 404,
    Reason.INVITATION_NOT_FOUND: 404,
    Reason.NOT_OWNER: 403,
    Reason.STAFF_ONLY: 403,
    Reason.IDEMPOTENCY_KEY_REUSED: 422,
    Reason.PAYMENT_DECLINED: 402,
    Reason.PAYMENT_TOKEN_REQUIRED: 422,
    Reason.COMMAND_FAILED: 500,
}
"""The status of an answer with this reason. A reason that is not here has HTTP_STATUS_DEFAULT."""


def http_status_of(reason: str) -> int:
    """The HTTP status of a refusal with this reason."""
    return HTTP_STATUSES.get(reason, HTTP_STATUS_DEFAULT)
