"""The common parts of the shapes: strict requests, pages, positions."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from api.fairness.limits import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from api.reads.texts import LINE, LINE_OR_NONE, TEXT, InvalidText, cleaned, is_blank
from schemas.statuses import ReplyOutcome

T = TypeVar("T")

# The start of a client's countdown. Missing in lists, and set when the answer is written (api.http.routing.json).
Now = Annotated[datetime, Meta(description="the server's time when it answered")] | msgspec.UnsetType
Limit = Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX)]
Cursor = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[A-Za-z0-9_-]+$")]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all bodies and queries: an unknown field is an error. Each body has a valid example.

    Texts that other users see (fields with a pattern of `api.reads.texts`) are cleaned.
    """

    EXAMPLE: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        """Clean the texts. Raises InvalidText, which becomes the problem of that field."""
        for name, pattern in texts_of(type(self)):
            given = getattr(self, name)
            if given.__class__ is str:
                try:
                    text = cleaned(given, lines=pattern == TEXT)
                except ValueError as error:
                    raise InvalidText(name, str(error)) from None
                if pattern == LINE and is_blank(text):
                    raise InvalidText(name, "has to be readable text, and not blank")
                if text != given:
                    msgspec.structs.force_setattr(self, name, text)


@cache
def texts_of(shape: type[Request]) -> tuple[tuple[str, str], ...]:
    """The fields of a shape that other users read, and the pattern of each."""
    texts = []
    for name, hint in get_type_hints(shape, include_extras=True).items():
        for one in (hint, *get_args(hint)):
            patterns = [meta.pattern for meta in getattr(one, "__metadata__", ()) if isinstance(meta, Meta)]
            texts += [(name, pattern) for pattern in patterns if pattern in (LINE, LINE_OR_NONE, TEXT)]
    return tuple(texts)


class PageQuery(Request, frozen=True):
    """The page of a list."""

    limit: Limit = PAGE_ITEMS_DEFAULT
    cursor: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


class PositionOut(msgspec.Struct, frozen=True, gc=False):
    """A command's position on the log."""

    partition: int
    offset: int


class Accepted(msgspec.Struct, frozen=True):
    """202: on the log, not decided yet. Location is the address of the outcome; `receipt` proves the position."""

    id: str
    position: PositionOut
    receipt: str
    status: str = ReplyOutcome.PENDING


_UUID = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
STREAM_PATH = rf"^/v1/(?:notifications|events/{_UUID}(?:/seats)?)/stream(?!\n)$"


class StreamQuery(Request, frozen=True):
    """Replaces Authorization and Last-Event-ID for an EventSource, which cannot send its own headers."""

    ticket: Annotated[str, Meta(min_length=1, max_length=1024, description="a one-use ticket")] | None = None
    last_event_id: Annotated[str, Meta(max_length=40)] | None = None


class StreamTicketIn(Request, frozen=True):
    """The path of the stream to open."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"path": "/v1/notifications/stream"}

    path: Annotated[str, Meta(max_length=100, pattern=STREAM_PATH)]


class StreamTicketOut(msgspec.Struct, frozen=True):
    """A ticket that opens one stream once, within `expires_in` seconds: `GET path?ticket=…`."""

    ticket: str
    expires_in: int
