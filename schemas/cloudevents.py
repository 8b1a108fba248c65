"""The headers that make each record a CloudEvent (version 1.0, binary content mode of the Kafka protocol binding).

Guarantee: a record has every attribute that CloudEvents requires, so a stock reader takes it. `source` and `id`
name one record of one cluster: a command by its id, a fact by its position.
"""

from __future__ import annotations

Header = tuple[str, str | bytes | None]

API = "/circle/api"
RESERVATIONS = "/circle/reservations"
PAYMENTS = "/circle/payments"
NOTIFICATIONS = "/circle/notifications"

# Without a content type, a reader assumes that the value is JSON.
_ALWAYS: tuple[Header, ...] = (("ce_specversion", "1.0"), ("content-type", "application/avro"))


def headers(source: str, identity: str, kind: str, time: str) -> list[Header]:
    """The attributes of one record; `kind` is the name of its record type, `time` is RFC 3339."""
    return [("ce_id", identity), ("ce_type", kind), ("ce_time", time), ("ce_source", source), *_ALWAYS]
