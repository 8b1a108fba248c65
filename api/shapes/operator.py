"""The shapes of operators' questions about topics, groups, requests and dead letters."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from api.http.validation import Id
from api.shapes.base import Request
from schemas.ids import UserId

Text = Annotated[str, Meta(min_length=1, max_length=500)]


class RecordsQuery(Request, frozen=True):
    """The records of a topic that match, the latest ones; with `since`, `until` or `position` the first ones.

    `field` and `value` go together. `since` and `until` are RFC 3339. `position` is a command's (3-1200) or a fact's
    (3-1200-0). `cursor` is the `next_cursor` of the page before, with the same criteria.
    """

    key: Text | None = None
    record: Text | None = None
    field: Text | None = None
    value: Text | None = None
    position: Annotated[str, Meta(max_length=60)] | None = None
    since: Annotated[str, Meta(max_length=60)] | None = None
    until: Annotated[str, Meta(max_length=60)] | None = None
    partition: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    cursor: Annotated[str, Meta(max_length=4_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class JourneyQuery(Request, frozen=True):
    """A request: a reservation's id, a command's position (3-1200), or a receipt. Or the Idempotency-Key of a
    reservation as `key`, with the id of the user who sent it."""

    request: Annotated[str, Meta(min_length=1, max_length=1_500, pattern=r"^[A-Za-z0-9._~-]+$")] | None = None
    key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    user: Id[UserId] | None = None


class RedriveIn(Request, frozen=True):
    """Sends a dead letter back. `edited` replaces its record: "type" and all fields."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "edited": {
            "type": "PublishEvent",
            "event_id": "0d9c2a5e-5f0e-4a51-9a4e-6f0d6f1f2b3c",
            "user_id": "7b1f0f5c-1c1e-4b7e-8d0a-2b6d2f9a1e4d",
            "command_id": "mended-1",
        }
    }

    edited: dict[str, Any] | None = None


class RedrivenOut(msgspec.Struct, frozen=True):
    """The letter that went back, and the names of the fields that were changed."""

    topic: str
    offset: int
    changed: list[str]


class RowRedrivenOut(msgspec.Struct, frozen=True):
    """The id of the row that is due again."""

    row: str
