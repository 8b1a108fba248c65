"""Fixes of dead letters: the result is always a whole record within its limits, and never a fact."""

from __future__ import annotations

import pytest

from pipelines.watch.dead_letter_fixes import CannotMend, fixed_letter, partly
from schemas.codec import Codec
from schemas.commands import AddTicketType, ReserveInTurn, UpdateEvent
from schemas.topics import COMMANDS, FACTS
from tests.harness.words import BOB, EVENT, R2, add_type, in_turn, reserve, update

CODEC = Codec()


def test_values_are_read_as_their_fields_want_them() -> None:
    fixed = fixed_letter(
        CODEC, COMMANDS, CODEC.encode(reserve(2)), changes={"quantity": "3", "seats": "A-1,A-2"}, edited=None
    )
    found = CODEC.decode(fixed.value)
    assert (fixed.key, fixed.record, fixed.changed) == (EVENT, "ReserveTickets", ["quantity", "seats"])
    assert (found.quantity, found.seats) == (3, ["A-1", "A-2"])  # type: ignore[union-attr]


def test_requests_in_turn_keep_their_places_in_each_list() -> None:
    turn = in_turn(reserve(1, mailbox=7), reserve(2, rid=R2, by=BOB, mailbox=8))
    fixed = fixed_letter(
        CODEC, COMMANDS, CODEC.encode(turn), changes={"mailboxes": ",8", "quantities": "1,1"}, edited=None
    )
    found = CODEC.decode(fixed.value)
    assert isinstance(found, ReserveInTurn)
    assert (found.mailboxes, found.quantities, fixed.changed) == (["", "8"], ["1", "1"], ["quantities", "mailboxes"])
    with pytest.raises(CannotMend, match="has 1 quantities for 2 reservation_ids"):
        fixed_letter(CODEC, COMMANDS, CODEC.encode(turn), changes={"quantities": "1"}, edited=None)


def test_an_optional_field_can_be_emptied() -> None:
    fixed = fixed_letter(CODEC, COMMANDS, CODEC.encode(update(title="x")), changes={"title": "null"}, edited=None)
    found = CODEC.decode(fixed.value)
    assert isinstance(found, UpdateEvent)
    assert found.title is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quantity": "two"}, "quantity"),
        ({"nonsense": "1"}, "no field nonsense"),
        ({"reservation_id": "x" * 200}, "reservation_id"),
        ({"user_id": "a\0b"}, "U+0000"),
    ],
)
def test_what_is_no_record_within_the_limits_is_refused(changes: dict[str, str], says: str) -> None:
    with pytest.raises(CannotMend, match=says.replace("+", r"\+")):
        fixed_letter(CODEC, COMMANDS, CODEC.encode(reserve(2)), changes=changes, edited=None)


def test_facts_are_not_mended_and_files_have_to_be_whole() -> None:
    with pytest.raises(CannotMend, match="identity"):
        fixed_letter(CODEC, FACTS, b"", changes={}, edited={"type": "TicketsHeld"})
    with pytest.raises(CannotMend, match="type"):
        fixed_letter(CODEC, COMMANDS, b"", changes={}, edited={"type": "TicketsHeld"})
    with pytest.raises(CannotMend, match="missing required field"):
        fixed_letter(CODEC, COMMANDS, b"", changes={}, edited={"type": "AddTicketType", "event_id": EVENT})


def test_a_broken_record_is_read_up_to_where_it_breaks_off() -> None:
    value = CODEC.encode(add_type())
    names = list(AddTicketType.__struct_fields__)
    seen = [partly(value[:cut]) for cut in range(5, len(value))]
    assert {one.record for one in seen} == {"AddTicketType"}
    assert [one.stopped_at for one in (seen[0], seen[-1])] == [names[0], names[-1]]
    for one in seen:
        assert list(one.fields) == names[: len(one.fields)]
    assert partly(None) == partly(b"garbage") == ("", {}, "")
