"""Derived identities are the same on every retry, and written positions read back unchanged."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import (
    Position,
    ReservationId,
    UserId,
    attempt_id,
    fingerprint,
    is_of_whole_command,
    position_text,
    reservation_id,
    ticket_id,
)

USER = UserId("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
OTHER = UserId("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")


def test_a_reservation_id_is_uuid5_of_user_and_key() -> None:
    assert reservation_id(USER, "key") == str(uuid.uuid5(uuid.UUID(USER), "key"))


def test_ids_differ_by_user_by_key_and_by_what_they_name() -> None:
    mine = reservation_id(USER, "key")
    ids = [mine, reservation_id(USER, "other"), reservation_id(OTHER, "key")]
    ids += [attempt_id(mine, "key"), attempt_id(mine, "2"), ticket_id(mine, "A-1"), ticket_id(mine, "A-2")]
    ids += [ticket_id(ReservationId(ids[1]), "A-1"), attempt_id(mine, "A-1")]
    assert len(set(ids)) == len(ids)


def test_a_user_that_is_no_uuid_is_an_error() -> None:
    with pytest.raises(ValueError):
        reservation_id(UserId("somebody"), "key")


def test_a_fingerprint_tells_requests_apart_and_fits_a_long() -> None:
    asked = [
        fingerprint("t", 1, []),
        fingerprint("t", 2, []),
        fingerprint("u", 1, []),
        fingerprint("t", 1, ["A-1"]),
        fingerprint("t", 2, ["A-1", "A-2"]),
        fingerprint("t", 2, ["A-2", "A-1"]),
    ]
    assert len(set(asked)) == len(asked)
    assert all(-(2**63) <= number < 2**63 for number in asked)
    assert fingerprint("t", 1, ("A-1",)) == fingerprint("t", 1, ["A-1"])


def test_a_fingerprint_never_changes() -> None:
    """It is on the log: another digest would turn every retry into a reused key."""
    assert fingerprint("stalls", 2, ["A-1", "A-2"]) == -7_917_881_311_036_866_320


@given(st.integers(0, 2**31), st.integers(0, 2**62), st.integers(0, 2**31))
def test_positions_read_as_they_were_written(partition: int, offset: int, index: int) -> None:
    position = Position(partition, offset, index)
    assert Position.parse(str(position)) == position


def test_a_position_without_an_index_is_of_the_first_fact() -> None:
    assert Position.parse("3-41") == Position(3, 41, 0)


@pytest.mark.parametrize(
    "text", ["", "3", "3-", "a-1", "3-4-5-6", "-1-2", "3-4-x", "3 - 4", "３-x", "٣-٤", "9" * 5_000 + "-1"]
)
def test_what_is_no_position_is_named_in_the_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Position.parse(text)


def test_positions_are_ordered_by_partition_offset_and_index() -> None:
    assert Position(0, 5, 1) < Position(0, 6, 0) < Position(1, 0, 0)


def test_a_command_and_its_facts_have_positions_that_begin_alike() -> None:
    assert position_text(3, 41) == "3-41"
    assert position_text(3, 41, 0) == str(Position(3, 41)) == "3-41-0"
    assert [is_of_whole_command(text) for text in ("3-41", "3-41-0")] == [True, False]
