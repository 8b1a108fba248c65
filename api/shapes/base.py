"""What the shapes have in common: strict requests, pages, positions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
from msgspec import Meta

from api.limits import PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX

T = TypeVar("T")

Limit = Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX)]
Cursor = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[A-Za-z0-9_-]+$")]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all bodies and queries: a field that is not known is an error. A body has an example, which is valid."""

    EXAMPLE: ClassVar[dict[str, Any]] = {}


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
