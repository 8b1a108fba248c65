"""Cursors of lists: the sort key of the last item, opaque to the client. Every cursor from a client is checked."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from api.http.problem import invalid
from api.shapes.base import Page

T = TypeVar("T")
Row = TypeVar("Row")
Key = tuple[str, int, str]  # the kind of list, the sort value, the id

_decoder = msgspec.msgpack.Decoder(Key)
BIGINT_MAX = 2**63 - 1


def encode(kind: str, value: int, identity: str) -> str:
    """A cursor for the items after the one with this sort value and id."""
    return urlsafe_b64encode(msgspec.msgpack.encode((kind, value, identity))).rstrip(b"=").decode()


def decode(cursor: str | None, kind: str) -> tuple[int | None, str | None]:
    """The sort value and id of a cursor, None for the first page. Raises Problem invalid-request (422)."""
    if cursor is None:
        return None, None
    try:
        raw = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        kind_read, value, identity = _decoder.decode(raw)
        readable = identity.isascii() and identity.isprintable()
    except (ValueError, msgspec.MsgspecError):
        raise invalid("cursor", "is not a cursor of this list") from None
    if kind_read != kind or not -BIGINT_MAX <= value <= BIGINT_MAX or not readable:
        raise invalid("cursor", "is a cursor of another list or order")
    return value, identity


def page(rows: Sequence[Row], limit: int, item: Callable[[Row], T], key: Callable[[Row], Key]) -> Page[T]:
    """A page. `rows` are up to `limit` + 1: the extra row shows that there is a next page."""
    shown = rows[:limit]
    return Page([item(row) for row in shown], encode(*key(shown[-1])) if len(rows) > limit else None)
