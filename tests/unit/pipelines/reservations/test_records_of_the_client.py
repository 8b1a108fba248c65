"""The client's messages as records of the dataflow: every field, and of the headers only those that are read later."""

from __future__ import annotations

import pytest
from confluent_kafka import Message

from pipelines.reservations.flow import records_of
from pipelines.reservations.outgoing import RawRecord

TRACE = ("traceparent", b"00-1")


def message(**fields: object) -> Message:
    whole = {"topic": "tickets.commands", "partition": 3, "offset": 41, "timestamp": (2, 1_700)} | fields
    return Message(**whole)  # type: ignore[arg-type]


def test_a_record_has_every_field_of_its_message_in_the_order_of_the_batch() -> None:
    first = message(key=b"event", value=b"one", headers=[TRACE])
    second = message(partition=4, offset=7, timestamp=(1, 1_800), key=None, value=None, headers=None)
    assert records_of([first, second]) == [
        RawRecord(partition=3, offset=41, timestamp_ms=1_700, key=b"event", value=b"one", headers=[TRACE]),
        RawRecord(partition=4, offset=7, timestamp_ms=1_800, key=None, value=None, headers=[]),
    ]


def test_headers_that_no_later_step_reads_are_left_out() -> None:
    asked = [("reply_to", b"channel"), ("reply_key", b"k" * 22), TRACE, ("reply_to", None)]
    (record,) = records_of([message(headers=[("ce_id", b"c1"), *asked, ("content-type", b"application/avro")])])
    assert record.headers == asked


@pytest.mark.parametrize("headers", [None, []])
def test_a_message_without_headers_has_none_here(headers: list[tuple[str, bytes]] | None) -> None:
    (record,) = records_of([message(headers=headers)])
    assert not record.headers
