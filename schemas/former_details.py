"""Reads the details of refusals that were recorded before version 4 of the rules. Pure.

Since then a refusal has a field for everything that its detail names (`field`, `at`, `unfolded`). Older facts have only
words. Guarantee: this module alone takes words of a fact apart, and only where the fields are absent.
"""

from __future__ import annotations

import re

UNFOLDED = "a fact of this event cannot be folded: "
"""The detail of a refusal begins with this text if a fact of the event cannot be folded."""
_FIELD = re.compile(r"(?P<field>[a-z_.]+) (?:must|has|is) ")
_MOMENT = re.compile(r"\b\d{15,16}\b")  # microseconds, from 2001 to 2286


def field_of(detail: str) -> str:
    """The field that the detail begins with: "ends_at must be after starts_at". Empty if it begins with none."""
    found = _FIELD.match(detail)
    return "" if found is None else found["field"]


def moment_in(detail: str) -> int:
    """The moment that the detail names, in microseconds; 0 if it names none."""
    found = _MOMENT.search(detail)
    return 0 if found is None else int(found[0])


def is_unfolded(detail: str) -> bool:
    """Whether a fact of the event could not be folded."""
    return detail.startswith(UNFOLDED)
