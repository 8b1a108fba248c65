"""Terms between the API's shapes, the commands and the rows: field by field, by type. Pure.

A field has the name of its term; a time may leave out the term's `_at` (`refund_until`). In commands and rows a time is
microseconds since the epoch, and 0 or "" means what null means in the API.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Protocol, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import UNSET

from api.http import validation
from schemas.field_types import plain
from schemas.terms import kinds
from schemas.times import utc

S = TypeVar("S", bound=msgspec.Struct)
Convert = Callable[[Any], Any]

_AT = "_at"


class Row(Protocol):
    """A row of the database, with its columns by name."""

    def __getitem__(self, column: str, /) -> Any: ...


def term_of(definition: type[msgspec.Struct], field: str) -> str | None:
    """The term that a field of a shape stands for; None if it stands for none."""
    return next((name for name in (field, field + _AT) if name in kinds(definition)), None)


def terms_in(definition: type[msgspec.Struct], body: msgspec.Struct) -> dict[str, Any]:
    """The terms in a body, as commands have them: without the fields that are unset, and those that are no terms.

    Raises Problem for a time that no record has.
    """
    found: dict[str, Any] = {}
    for field in body.__struct_fields__:
        term, value = term_of(definition, field), getattr(body, field)
        if term is not None and value is not UNSET:
            found[term] = _recorded(value, kinds(definition)[term], field)
    return found


def _recorded(value: Any, kind: Any, field: str) -> Any:
    if value is None:
        return "" if plain(kind) is str else 0
    if isinstance(value, datetime):
        return validation.micros(value, field=field)
    return int(value) if isinstance(value, bool) else value


def answer_of(shape: type[S], definition: type[msgspec.Struct], row: Row, **others: Any) -> S:
    """A row as the API shows it. `others` are the fields that do not follow from one column.

    Raises KeyError for a field without a column.
    """
    fields = {
        field: convert(row[column]) for field, column, convert in _columns(shape, definition) if field not in others
    }
    return shape(**fields, **others)


@cache
def _columns(shape: type[msgspec.Struct], definition: type[msgspec.Struct]) -> list[tuple[str, str, Convert]]:
    """Field, column and conversion of each field that has no default."""
    hints = get_type_hints(shape)
    required = [field.name for field in msgspec.structs.fields(shape) if field.required]
    return [(name, term_of(definition, name) or name, _conversion(hints[name])) for name in required]


def _conversion(hint: Any) -> Convert:
    if hint is datetime:
        return utc
    if datetime in get_args(hint):
        return validation.moment_or_none
    if str in map(plain, get_args(hint)):
        return _text_or_none
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    return _same


def _text_or_none(text: str) -> str | None:
    return text or None


def _same(value: Any) -> Any:
    return value
