"""Every record of every topic is a CloudEvent to a stock reader."""

from __future__ import annotations

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.v1.kafka import KafkaMessage as FormerMessage
from cloudevents.v1.kafka import from_binary as from_binary_as_before

from schemas import cloudevents

VALUE = b"\x00\x00\x00\x00\x0b\x06abc"
SOURCES = (
    cloudevents.API, cloudevents.RESERVATIONS, cloudevents.PAYMENTS, cloudevents.NOTIFICATIONS, cloudevents.OPERATORS,
    cloudevents.DEAD_LETTERS,
)  # fmt: skip


def consumed(headers: list[cloudevents.Header]) -> dict[str, bytes]:
    """Headers as a Kafka client gives them to a reader."""
    return {name: value.encode() if isinstance(value, str) else value or b"" for name, value in headers}


@pytest.mark.parametrize("source", SOURCES)
def test_a_stock_reader_finds_every_required_attribute(source: str) -> None:
    headers = consumed(cloudevents.headers(source, "3-41-0", "TicketsHeld", "2031-05-01T19:00:00.000Z"))
    event: BaseCloudEvent = from_binary(KafkaMessage(headers, b"event", VALUE), JSONFormat())
    assert (event.get_specversion(), event.get_source(), event.get_id()) == ("1.0", source, "3-41-0")
    assert (event.get_type(), event.get_datacontenttype()) == ("TicketsHeld", "application/avro")
    assert event.get_data() in (VALUE, VALUE.decode())  # the SDK tries text first, then bytes
    time = event.get_time()
    assert time is not None
    assert time.isoformat() == "2031-05-01T19:00:00+00:00"


def test_a_reader_of_the_former_kind_finds_them_too() -> None:
    headers = consumed(cloudevents.headers(cloudevents.API, "c-1", "ReserveTickets", "2031-05-01T19:00:00.000Z"))
    event = from_binary_as_before(FormerMessage(headers, b"event", VALUE), data_unmarshaller=lambda data: data)
    assert (event["source"], event["id"], event["type"]) == (cloudevents.API, "c-1", "ReserveTickets")
    assert event.data == VALUE


def test_only_what_a_record_lacks_is_missing() -> None:
    whole = cloudevents.headers(cloudevents.API, "c-1", "ReserveTickets", "2031-05-01T19:00:00.000Z")
    assert cloudevents.missing(whole, whole) == []
    assert cloudevents.missing([], whole) == whole
    assert cloudevents.missing([("ce_id", "another"), ("own", None)], whole) == whole[1:]
