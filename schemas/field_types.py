"""The types of records' fields that are one type in Python. Imports nothing of ours."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1  # what an Avro long, and PostgreSQL's bigint, can be
INT32, FLAG = "an int of Avro", "0 or 1"

Int32: TypeAlias = Annotated[int, INT32]
"""A whole number of 32 bits: Avro's int. A plain `int` is Avro's long."""
Flag: TypeAlias = Annotated[int, INT32, FLAG]
"""0 or 1, as Avro's int; a boolean in tables and answers."""


def is_int32(kind: Any) -> bool:
    """Whether a field's type, as `typing.get_type_hints(…, include_extras=True)` gives it, is Avro's int."""
    return INT32 in getattr(kind, "__metadata__", ())


def is_flag(kind: Any) -> bool:
    """Whether a field's type is `Flag`."""
    return FLAG in getattr(kind, "__metadata__", ())


def plain(kind: Any) -> Any:
    """A field's type as it is at run time: `str` for the type of an id (`schemas.ids`), else the type itself."""
    return getattr(kind, "__supertype__", kind)
