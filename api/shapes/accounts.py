"""Accounts and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from api.auth.audit import AuditKind
from api.auth.tokens import FactorNeed, Role
from api.fairness.limits import LINKS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from api.http.validation import Id, Line100
from api.reads.texts import TEXT
from api.shapes.base import PageQuery, Request
from schemas.ids import SessionId, UserId

# One @, text on both sides, no spaces or control characters. Only a mail proves that an address exists.
Email = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=254,
        pattern=r"^ *[^@\s\u0000-\u001f\u007f]+@[^@\s\u0000-\u001f\u007f]+ *(?!\s)$",
        description="a mail address; a mailbox has one account, for all spellings of its address",
    ),
]
Password = Annotated[str, Meta(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX, pattern=r"^[^\u0000]*$")]
# An existing password has no minimum: it may be older than the rule for new ones.
CurrentPassword = Annotated[str, Meta(min_length=1, max_length=PASSWORD_CHARS_MAX, pattern=r"^[^\u0000]*$")]
Description = Annotated[str, Meta(max_length=2_000, pattern=TEXT, description="shown on an organizer's public profile")]
Link = Annotated[str, Meta(max_length=200, pattern=r"^https:\/\/[!-~]+(?!\n)$")]
Links = Annotated[list[Link], Meta(max_length=LINKS_MAX, description="shown on an organizer's public profile")]
RefreshToken = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_-]+$")]

Otp = Annotated[str, Meta(min_length=6, max_length=6, pattern=r"^[0-9]{6}$", description="a code of an authenticator")]
RecoveryCode = Annotated[str, Meta(min_length=16, max_length=40, pattern=r"^[A-Za-z0-9 -]+$")]


class RegisterIn(Request, frozen=True):
    """The data of a new account."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"email": "ada@example.org", "password": "correct-horse-7", "name": "Ada"}

    email: Email
    password: Password
    name: Line100


class TokenIn(Request, frozen=True):
    """The token of a mailed link; it works once."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"token": "nZ4Qm1xkq0dW8mVb3oJtq2x5Zr7yTgHc9LpKfEs6AuI"}

    token: RefreshToken


class LoginIn(Request, frozen=True):
    """An account's address and password."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"email": "ada@example.org", "password": "correct-horse-7"}

    email: Email
    password: CurrentPassword
    otp: Otp | msgspec.UnsetType = msgspec.UNSET
    recovery_code: RecoveryCode | msgspec.UnsetType = msgspec.UNSET


class ResetAskIn(Request, frozen=True):
    """The address of an account with a forgotten password."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"email": "ada@example.org"}

    email: Email


class ResetIn(Request, frozen=True):
    """The token of a mailed link, and the new password."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "token": "nZ4Qm1xkq0dW8mVb3oJtq2x5Zr7yTgHc9LpKfEs6AuI",
        "password": "correct-horse-8",
    }

    token: RefreshToken
    password: Password


class PasswordIn(Request, frozen=True):
    """The account's password."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"password": "correct-horse-7"}

    password: CurrentPassword


class CodeConfirmIn(Request, frozen=True):
    """A code of the new authenticator."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"otp": "492039"}

    otp: Otp


class SecondFactorIn(Request, frozen=True):
    """The account's password, and its second factor: a code, or a recovery code."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"password": "correct-horse-7", "otp": "492039"}

    password: CurrentPassword
    otp: Otp | msgspec.UnsetType = msgspec.UNSET
    recovery_code: RecoveryCode | msgspec.UnsetType = msgspec.UNSET


class RefreshIn(Request, frozen=True):
    """A refresh token; it works once."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"refresh_token": "nZ4Qm1xkq0dW8mVb3oJtq2x5Zr7yTgHc9LpKfEs6AuI"}

    refresh_token: RefreshToken


class UserPatch(Request, frozen=True):
    """Changes of the account. A new password needs the current one, and ends all other sessions."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "name": "Ada Lovelace",
        "description": "Concerts in small rooms since 1842.",
    }

    name: Line100 | msgspec.UnsetType = msgspec.UNSET
    password: Password | msgspec.UnsetType = msgspec.UNSET
    current_password: CurrentPassword | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    links: Links | msgspec.UnsetType = msgspec.UNSET


class EraseIn(Request, frozen=True):
    """The account's password. An erased account cannot be restored."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"password": "correct-horse-7"}

    password: CurrentPassword


class UserOut(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner sees it."""

    id: UserId
    email: str
    name: str
    role: Role
    description: str
    links: list[str]
    created_at: datetime
    email_verified: bool
    second_factor: bool
    second_factor_wanted: FactorNeed


class PublicUserOut(msgspec.Struct, frozen=True):
    """An organizer's public profile."""

    id: UserId
    name: str
    role: Role
    description: str
    links: list[str]


class TokensOut(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for `expires_in` seconds, and the refresh token that gets the next one."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret
    expires_in: int
    second_factor: bool = False
    second_factor_wanted: FactorNeed = FactorNeed.OPTIONAL


class AccessOut(msgspec.Struct, frozen=True, kw_only=True):
    """Recovery codes, shown only here, and an access token of the same session with the rights of the second factor."""

    recovery_codes: list[str]
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret
    expires_in: int


class RecoveryCodesOut(msgspec.Struct, frozen=True):
    """Recovery codes, each for one login without the authenticator. They are shown only here."""

    recovery_codes: list[str]


class EnrolmentOut(msgspec.Struct, frozen=True):
    """The secret for an authenticator. The factor counts after its first code is confirmed."""

    secret: str
    otpauth_uri: str


class SessionOut(msgspec.Struct, frozen=True):
    """An open session. `address` and `client` are those of its latest login or refresh."""

    id: SessionId
    created_at: datetime
    last_used_at: datetime
    address: str
    client: str
    current: bool


class SecurityEventOut(msgspec.Struct, frozen=True):
    """An entry of an account's audit log.

    `actor` is `owner`, `operator`, or `somebody` (a client without a session of the account). `address` and `client`
    are blank after 90 days.
    """

    id: int
    at: datetime
    kind: str
    outcome: str
    actor: str
    user_id: UserId | None
    session_id: SessionId | None
    address: str
    client: str
    detail: dict[str, Any]


class SecurityEventsQuery(PageQuery, frozen=True):
    """The user and the kind of entries."""

    user_id: Id[UserId] | None = None
    kind: AuditKind | None = None


class OrganizerOut(msgspec.Struct, frozen=True, kw_only=True):
    """The account with its new role, and an access token with this role, which expires with the caller's former one.

    The session and its refresh token stay, so there is no new refresh token (null).
    """

    id: UserId
    email: str
    name: str
    role: Role
    description: str
    links: list[str]
    created_at: datetime
    email_verified: bool
    second_factor: bool
    second_factor_wanted: FactorNeed
    access_token: str
    refresh_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name, not a secret
    expires_in: int


class JwksOut(msgspec.Struct, frozen=True):
    """The public keys (RFC 7517)."""

    keys: list[dict[str, str]]


class ExportOut(msgspec.Struct, frozen=True, kw_only=True):
    """All data about a person: a list of rows for each kind of data, as they are stored.

    Times that are whole numbers are microseconds since 1970, amounts are in minor units.
    """

    user_id: UserId
    exported_at: datetime
    account: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    known_networks: list[dict[str, Any]]
    security_events: list[dict[str, Any]]
    preferences: list[dict[str, Any]]
    reservations: list[dict[str, Any]]
    payments: list[dict[str, Any]]
    refunds: list[dict[str, Any]]
    disputes: list[dict[str, Any]]
    tickets: list[dict[str, Any]]
    waiting: list[dict[str, Any]]
    transfers_out: list[dict[str, Any]]
    transfers_in: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    staff: list[dict[str, Any]]
    check_ins: list[dict[str, Any]]
    inbox: list[dict[str, Any]]
    mails: list[dict[str, Any]]
    events: list[dict[str, Any]]
    webhooks: list[dict[str, Any]]
