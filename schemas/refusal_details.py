"""The form of a refusal's detail where its fields name a part of it: one writer, and its reader. Pure.

The rules write a detail about a field with `about`. The API takes the field and the moment from the fields of the fact,
and never from words: a detail that does not have this form stays as it is.
"""

from __future__ import annotations

from schemas.times import rfc3339_of, utc


def about(field: str, text: str) -> str:
    """The detail that says of `field` what `text` says: "ends_at must be after starts_at"."""
    return f"{field} {text}"


def text_about(field: str, detail: str) -> str:
    """The text of a detail that `about` has made for this field. Another detail stays whole."""
    begins = about(field, "")
    return detail[len(begins) :] if detail[: len(begins)] == begins else detail


def dated(detail: str, at: int) -> str:
    """The detail with the moment `at` (microseconds since the epoch) as a date. The log has it as that number."""
    return detail.replace(str(at), rfc3339_of(utc(at), "seconds"), 1) if at else detail
