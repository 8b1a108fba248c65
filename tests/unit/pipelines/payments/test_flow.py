"""The payments flow finds each fact that asks for money, by any schema it ever had, and decodes no other."""

from __future__ import annotations

from typing import Any, cast

import pytest
from confluent_kafka import Message

from pipelines.payments.reading import reader
from pipelines.payments.requests import REQUESTING, request_in
from schemas.codec import HEADER_BYTES, LAST_SCHEMA_OF_RULES, Codec
from schemas.facts import FACTS, Reason, RecordedFact
from tests.harness.fact_logs import recorded
from tests.harness.words import held, hold_expired, payment_requested, refund_requested

CODEC = Codec()


class Value:
    """A record of the log: only its value is read before a job begins."""

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        return self._value


class Counted(Codec):
    """A codec that counts what it decodes."""

    decoded = 0

    def decode(self, value: bytes | None) -> Any:
        self.decoded += 1
        return super().decode(value)


def log(*facts: RecordedFact) -> list[Message]:
    return [cast("Message", Value(CODEC.encode_fact(one.envelope, one.fact))) for one in facts]


def test_only_facts_that_ask_for_money_are_decoded_and_become_jobs() -> None:
    asking = [recorded(payment_requested(), offset=2), recorded(refund_requested(Reason.BUYER_CANCELLED), offset=4)]
    others = [recorded(held(["A-1"]), offset=1), recorded(hold_expired(["A-1"]), offset=3)]
    broken = [cast("Message", Value(value)) for value in (None, b"", b"\x00", b"\xff" * 40)]
    codec = Counted()
    records = [*log(others[0], asking[0], others[1], asking[1]), *broken]
    batch = reader(codec)(records)
    assert [job.request for job in batch.jobs] == [request_in(one) for one in asking]
    assert (batch.records, codec.decoded) == (records, 2)


@pytest.mark.parametrize("rules", LAST_SCHEMA_OF_RULES)
def test_a_request_of_former_rules_is_found_by_its_former_schema(rules: int) -> None:
    one = recorded(payment_requested(), offset=2)
    value = CODEC.encode_fact_under(rules, one.envelope, one.fact)
    assert [job.request for job in reader(CODEC)([cast("Message", Value(value))]).jobs] == [request_in(one)]


def test_a_request_that_cannot_be_read_is_skipped() -> None:
    (record,) = log(recorded(payment_requested(), offset=2))
    cut = cast("bytes", record.value())[: HEADER_BYTES + 3]
    assert reader(CODEC)([cast("Message", Value(cut))]).jobs == []


def test_no_other_type_of_fact_has_a_header_of_those_that_ask() -> None:
    asking = CODEC.headers_of(*REQUESTING)
    assert len(asking) >= len(REQUESTING)
    assert not asking & CODEC.headers_of(*(set(FACTS) - set(REQUESTING)))
