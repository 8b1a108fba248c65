"""A user's channels for each kind of message, and the webhooks of organizers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.http.validation import Id
from api.shapes.base import PageQuery, Request
from pipelines.notifications.calls import TYPES
from pipelines.notifications.kinds import KINDS
from schemas.ids import DeliveryId, EventId, WebhookId

KindName = Annotated[
    str, Meta(min_length=1, max_length=40, pattern=r"^[a-z.-]+(?!\n)$", description=f"one of {', '.join(KINDS)}")
]


class PreferenceOut(msgspec.Struct, frozen=True, kw_only=True):
    """The channels of a kind of message: the inbox, the live stream, mail."""

    kind: str
    about: str
    inbox: bool
    stream: bool
    mail: bool


class PreferencesOut(msgspec.Struct, frozen=True):
    """The channels of every kind of message."""

    items: list[PreferenceOut]


class PreferenceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Changes for one kind of message; a missing channel stays."""

    kind: KindName
    inbox: bool | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    mail: bool | UnsetType = UNSET


class PreferencesIn(Request, frozen=True):
    """Changes for several kinds. They apply to messages that are delivered from now on."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"items": [{"kind": "ticket.held", "mail": True, "stream": False}]}

    items: Annotated[list[PreferenceIn], Meta(min_length=1, max_length=len(KINDS))]


_URL = r"^https?://[!-~]+(?!\n)$"
_TYPE = f"one of {', '.join(TYPES.values())}"
WebhookUrl = Annotated[str, Meta(max_length=500, pattern=_URL, description="https, and no internal address")]
WebhookType = Annotated[str, Meta(max_length=40, pattern=r"^[a-z.-]+(?!\n)$", description=_TYPE)]
WebhookTypes = Annotated[list[WebhookType], Meta(max_length=len(TYPES), description="empty: every type")]


class WebhookIn(Request, frozen=True):
    """An endpoint to call: for one event or, without `event_id`, for all events of the organizer."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "url": "https://hooks.example.org/circle",
        "types": ["reservation.confirmed", "reservation.cancelled"],
    }

    url: WebhookUrl
    event_id: Id[EventId] | None = None
    types: WebhookTypes = msgspec.field(default_factory=list)


class WebhookPatch(Request, frozen=True):
    """Changes; a missing field stays. `enabled` true switches a disabled endpoint on again."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"enabled": False}

    url: WebhookUrl | UnsetType = UNSET
    types: WebhookTypes | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookOut(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. Only the answer that creates or replaces the secret has `secret`."""

    id: WebhookId
    url: str
    event_id: EventId | None
    types: list[str]
    enabled: bool
    disabled_why: str | None
    created_at: datetime
    secret: str | UnsetType = UNSET


class DeliveriesQuery(PageQuery, frozen=True):
    """The delivery log of an endpoint, the latest first."""

    status: Literal["pending", "delivered", "failed"] | None = None


class DeliveryOut(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `id` is its webhook-id on every attempt; `answer` is the HTTP status of the last attempt."""

    id: DeliveryId
    type: str
    event_id: EventId | None
    status: str
    attempts: int
    answer: int | None
    error: str | None
    created_at: datetime
    attempted_at: datetime | None
    next_attempt_at: datetime | None
    payload: msgspec.Raw
