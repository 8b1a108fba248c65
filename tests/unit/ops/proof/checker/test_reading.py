"""Facts are paired with their commands: repeated ones, ones out of order, and ones without a command."""

from __future__ import annotations

from typing import Any

import pytest

from ops.proof.checker.reading import FactsByPosition
from ops.proof.checker.report import Report
from schemas import facts as f
from schemas.codec import Codec
from schemas.facts import Envelope
from tests.harness.words import EVENT, T, created, published

CODEC = Codec()


class Record:
    """The part of a Kafka message that is read here."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset, self._value = offset, value

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value


def fact(offset: int, index: int = 0, count: int = 1, what: f.Fact | None = None) -> bytes:
    envelope = Envelope(
        event_id=EVENT, partition=0, offset=offset, index=index, count=count, log_time=T, rules_version=f.RULES_VERSION
    )
    return CODEC.encode_fact(envelope, what or f.TickObserved())


def laid_out(values: list[bytes], offsets: list[int], *, strict: bool) -> tuple[list[int], Report]:
    """The number of each command's facts, and the report."""
    report = Report()
    messages: Any = iter([Record(number, value) for number, value in enumerate(values)])
    facts = FactsByPosition(messages, 0, CODEC, report, strict=strict)
    found = [len(facts.at(offset)) for offset in offsets]
    facts.finish()
    return found, report


def test_each_command_gets_its_facts() -> None:
    values = [fact(0), fact(1, 0, 2, created()), fact(1, 1, 2, published()), fact(3)]
    found, report = laid_out(values, [0, 1, 2, 3], strict=True)
    assert found == [1, 2, 0, 1]
    assert report.ok


@pytest.mark.parametrize("strict", [True, False])
def test_a_position_told_twice_is_a_violation_where_aborted_records_are_hidden(*, strict: bool) -> None:
    """An aborted batch stays visible on a weak broker; there the same bytes count once."""
    values = [fact(0), fact(1), fact(0), fact(1), fact(2)]
    found, report = laid_out(values, [0, 1, 2], strict=strict)
    assert found == [1, 1, 1]
    assert report.by_rule == ({"position-twice": 2} if strict else {})
    assert report.counts["facts_told_again"] == 2


@pytest.mark.parametrize("strict", [True, False])
def test_a_position_told_differently_is_always_a_violation(*, strict: bool) -> None:
    values = [fact(0, what=created()), fact(0, what=created(title="Another"))]
    _, report = laid_out(values, [0], strict=strict)
    assert report.by_rule == {"position-told-differently": 1}


def test_a_fact_of_no_command_is_a_violation() -> None:
    assert laid_out([fact(7)], [0, 1], strict=False)[1].by_rule == {"positions": 1}


def test_facts_out_of_order_are_a_violation() -> None:
    found, report = laid_out([fact(1), fact(0)], [0, 1], strict=False)
    assert (found, report.by_rule) == ([0, 1], {"positions": 1})


def test_a_fact_that_cannot_be_read_is_a_violation() -> None:
    assert laid_out([b"garbage", fact(0)], [0], strict=False)[1].by_rule == {"unreadable-fact": 1}
