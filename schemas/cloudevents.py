"""The headers that make each record a CloudEvent (version 1.0, binary content mode of the Kafka protocol binding).

Guarantee: a record has every attribute that CloudEvents requires, so a stock reader takes it. `source` and `id`
name one record of one cluster: a command by its id, a fact by its position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Header = tuple[str, str | bytes | None]

API = "/circle/api"
RESERVATIONS = "/circle/reservations"
PAYMENTS = "/circle/payments"
NOTIFICATIONS = "/circle/notifications"
DEAD_LETTERS = "/circle/dead-letters"  # letters of records that were no CloudEvents, and the notes on letters
SHADOW = "/circle/shadow"  # facts that only a shadow has decided; its topic follows
OPERATORS = "/circle/operators"  # a command that an operator wrote whole

# Without a content type, a reader assumes that the value is JSON.
_ALWAYS: tuple[Header, ...] = (("ce_specversion", "1.0"), ("content-type", "application/avro"))


def headers(source: str, identity: str, kind: str, time: str) -> list[Header]:
    """The attributes of one record; `kind` is the name of its record type, `time` is RFC 3339."""
    return [("ce_id", identity), ("ce_type", kind), ("ce_time", time), ("ce_source", source), *_ALWAYS]


def is_attribute(name: str) -> bool:
    """Whether a header is one of a CloudEvent."""
    return name.startswith("ce_") or name == "content-type"


def missing(present: Iterable[Header], whole: Sequence[Header]) -> list[Header]:
    """Those headers of `whole` that a record does not have."""
    there = {name for name, _ in present}
    return [header for header in whole if header[0] not in there]
