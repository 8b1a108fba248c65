"""Reads a definition of terms: a struct with one field for each term, in the order of the wire. Pure.

`schemas.event_terms` and `schemas.ticket_type_terms` have one definition each. Records, entities, columns and shapes
follow it. A term with a default was added later: records without it mean the default.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from schemas.field_types import is_flag


def names(definition: type[msgspec.Struct]) -> tuple[str, ...]:
    """The terms, in the order of the wire."""
    return definition.__struct_fields__


@cache
def kinds(definition: type[msgspec.Struct]) -> dict[str, Any]:
    """By term, its type with annotations: `str`, the type of an id, `int`, `Int32` or `Flag`."""
    hints = typing.get_type_hints(definition, include_extras=True)
    return {name: hints[name] for name in names(definition)}


@cache
def defaults(definition: type[msgspec.Struct]) -> dict[str, Any]:
    """By term, its value in records that were written before it existed. A term without a default is not there."""
    fields = msgspec.structs.fields(definition)
    return {field.name: field.default for field in fields if field.default is not msgspec.NODEFAULT}


@cache
def flags(definition: type[msgspec.Struct]) -> frozenset[str]:
    """The terms that are 0 or 1."""
    return frozenset(name for name, kind in kinds(definition).items() if is_flag(kind))


def terms_of(definition: type[msgspec.Struct], record: Any, only: Iterable[str] | None = None) -> dict[str, Any]:
    """The terms that a record or a row has, by name: all of them, or `only` these. None becomes the default.

    A flag becomes 0 or 1: rows have booleans. Raises AttributeError for a record that lacks a term, KeyError for None
    in a term that every record has.
    """
    found: dict[str, Any] = {}
    for name in names(definition) if only is None else only:
        value = getattr(record, name)
        if value is None:
            value = defaults(definition)[name]
        found[name] = int(value) if name in flags(definition) else value
    return found
