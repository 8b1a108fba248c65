"""Rows as columns: one list for each field, as `unnest` takes them; and the columns that follow a definition. Pure.

A query in a `.sql` file has a text between `<<` and `>>` for the columns of an event's or a ticket type's terms. It
stands for one text a term, with commas between them:

    <<EventTerms: {name}>>                              title, description, …
    <<EventTerms: {name} = excluded.{name}>>            title = excluded.title, …
    <<EventTerms from 13: ${number}::{type}[]>>         $13::text[], $14::text[], …
    <<TicketTypeTerms that change: {name} = c.{name}>>  without the terms that are fixed
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from schemas.event_terms import EVENT_TERMS, EventTerms
from schemas.field_types import is_flag, is_int32, plain
from schemas.terms import flags, kinds
from schemas.ticket_type_terms import TICKET_TYPE_CHANGES, TICKET_TYPE_TERMS, TicketTypeTerms

_TERMS = re.compile(r"<<(?P<terms>[\w ]+?)(?: from (?P<first>\d+))?: (?P<each>.+?)>>")
_NAMES: Mapping[str, tuple[type[msgspec.Struct], tuple[str, ...]]] = {
    "EventTerms": (EventTerms, EVENT_TERMS),
    "TicketTypeTerms": (TicketTypeTerms, TICKET_TYPE_TERMS),
    "TicketTypeTerms that change": (TicketTypeTerms, TICKET_TYPE_CHANGES),
}


def filled(sql: Mapping[str, str]) -> dict[str, str]:
    """The queries with the columns of the definitions. Raises KeyError for a definition that there is not."""
    return {name: _TERMS.sub(_columns_of, text) for name, text in sql.items()}


def _columns_of(found: re.Match[str]) -> str:
    definition, names = _NAMES[found["terms"]]
    first = int(found["first"] or 0)
    return ", ".join(
        found["each"].format(name=name, type=column_type(kinds(definition)[name]), number=number)
        for number, name in enumerate(names, first)
    )


def column_type(kind: Any) -> str:
    """PostgreSQL's type for a term of this type."""
    if is_flag(kind):
        return "boolean"
    if is_int32(kind):
        return "integer"
    return {str: "text", int: "bigint"}[plain(kind)]


def columns(rows: Iterable[Any], fields: tuple[str, ...]) -> list[list[Any]]:
    """Rows to one list a field; no lists at all for no rows.

    Lists of text are joined by commas. U+0000, which PostgreSQL's text cannot hold, becomes U+FFFD: a strange title
    must not stop a projection.
    """
    return [[storable(value) for value in column] for column in zip(*map(attrgetter(*fields), rows), strict=True)]


def term_columns(definition: type[msgspec.Struct], terms: Sequence[Any], names: tuple[str, ...]) -> list[list[Any]]:
    """One list a term, from the terms of each row, which are None where a patch changes none of them."""
    return [
        [None if one is None else _stored(getattr(one, name), name in flags(definition)) for one in terms]
        for name in names
    ]


def _stored(value: Any, flag: bool) -> Any:
    return bool(value) if flag else storable(value)


def storable(value: Any) -> Any:
    """A value as PostgreSQL can hold it."""
    if value.__class__ is list:
        value = ",".join(value)
    if value.__class__ is str and "\x00" in value:
        return value.replace("\x00", "\ufffd")
    return value
