"""What the shapes have in common: strict requests, pages, positions."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from api.fairness.limits import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX
from api.reads.texts import LINE, LINE_OR_NONE, TEXT, cleaned, is_blank

T = TypeVar("T")

# Where a countdown starts. It is not there in lists, and set when the answer is written (api.http.routing.json).
Now = Annotated[datetime, Meta(description="the server's time when it answered")] | msgspec.UnsetType
Limit = Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX)]
Cursor = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[A-Za-z0-9_-]+$")]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all bodies and queries: a field that is not known is an error. A body has an example, which is valid.

    Texts that others are shown (fields by one of `api.reads.texts`' patterns) are cleaned.
    """

    EXAMPLE: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        """Raises ValueError, which becomes the problem of that field."""
        for name, pattern in texts_of(type(self)):
            given = getattr(self, name)
            if given.__class__ is str:
                try:
                    text = cleaned(given, lines=pattern == TEXT)
                except ValueError as error:
                    raise ValueError(f"`{name}` {error}") from None
                if pattern == LINE and is_blank(text):
                    raise ValueError(f"`{name}` has to be readable text, and not blank")
                if text != given:
                    msgspec.structs.force_setattr(self, name, text)


@cache
def texts_of(shape: type[Request]) -> tuple[tuple[str, str], ...]:
    """The fields of a shape that are texts for others to read, and the pattern of each."""
    found = []
    for name, hint in get_type_hints(shape, include_extras=True).items():
        for one in (hint, *get_args(hint)):
            patterns = [meta.pattern for meta in getattr(one, "__metadata__", ()) if isinstance(meta, Meta)]
            found += [(name, pattern) for pattern in patterns if pattern in (LINE, LINE_OR_NONE, TEXT)]
    return tuple(found)


class PageQuery(Request, frozen=True):
    """Which page of a list."""

    limit: Limit = PAGE_ITEMS_DEFAULT
    cursor: Cursor | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


class PositionOut(msgspec.Struct, frozen=True, gc=False):
    """Where a command stands on the log."""

    partition: int
    offset: int


class Accepted(msgspec.Struct, frozen=True):
    """202: durable on the log, not decided yet. Location says where to look; `receipt` proves the position."""

    id: str
    position: PositionOut
    receipt: str
    status: str = "pending"


STREAM_PATH = r"^/v1/(?:notifications|events/[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})/stream(?!\n)$"


class StreamQuery(Request, frozen=True):
    """For an EventSource, which sends no headers of a page's own: instead of Authorization and Last-Event-ID."""

    ticket: Annotated[str, Meta(min_length=1, max_length=1024, description="a one-use ticket")] | None = None
    last_event_id: Annotated[str, Meta(max_length=40)] | None = None


class StreamTicketIn(Request, frozen=True):
    """The path of the stream that is to be opened."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"path": "/v1/notifications/stream"}

    path: Annotated[str, Meta(max_length=100, pattern=STREAM_PATH)]


class StreamTicketOut(msgspec.Struct, frozen=True):
    """A ticket that opens one stream once, within so many seconds: `GET path?ticket=…`."""

    ticket: str
    expires_in: int
