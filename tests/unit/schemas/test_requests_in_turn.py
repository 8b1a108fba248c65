"""Several requests in one record come out as they went in, and a record with lists that do not fit is unreadable."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas import commands as c
from schemas.codec import COMMAND_BYTES_MAX, Codec, Undecodable
from schemas.command_reading import command_in
from schemas.requests_in_turn import REQUESTS_MAX, is_plain, requests_of
from tests.harness.words import BOB, FLOOR, in_turn, reserve

CODEC = Codec()
REQUESTS = [
    reserve(2, rid="r1", fingerprint=-(2**63), mailbox=2**63 - 1),
    reserve(1, rid="r2", by=BOB, of=FLOOR, fingerprint=2**63 - 1),
    reserve(2**31 - 1, rid="r1", mailbox=0),
]
TURN = in_turn(*REQUESTS)


def read(command: c.Command) -> c.Command | Undecodable:
    return command_in(CODEC, CODEC.encode(command), 0, None)


def test_the_requests_come_out_as_they_went_in() -> None:
    found = read(TURN)
    assert found == TURN
    assert isinstance(found, c.ReserveInTurn)
    assert requests_of(found) == REQUESTS


def test_the_largest_record_of_ordinary_requests_is_a_quarter_of_what_a_command_may_have() -> None:
    largest = reserve(10, rid="r" * 36, of="t" * 36, fingerprint=-(2**63), mailbox=2**63 - 1)
    assert len(CODEC.encode(in_turn(*[largest] * REQUESTS_MAX))) * 1.5 < COMMAND_BYTES_MAX


def test_requests_with_seats_or_codes_go_alone() -> None:
    assert is_plain(reserve(2))
    assert not is_plain(reserve(seats=["A-1"]))
    assert not is_plain(replace(reserve(), promo_code="SPRING"))
    assert not is_plain(replace(reserve(), access_code="DOOR"))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (in_turn(), "has 0 requests; 1 to 200"),
        (in_turn(*REQUESTS * 67), "has 201 requests"),
        (replace(TURN, user_ids=["a"]), "has 1 user_ids for 3 reservation_ids"),
        (replace(TURN, mailboxes=[""] * 4), "has 4 mailboxes for 3"),
        (replace(TURN, reservation_ids=["r", "r", "r" * 129]), ".reservation_ids has a text of more than 128"),
        (replace(TURN, quantities=["1", "1", "-1"]), ".quantities has a text"),
        (replace(TURN, quantities=["1", "1", str(2**31)]), ".quantities has a text"),
        (replace(TURN, quantities=["1", "1", "01"]), ".quantities has a text"),
        (replace(TURN, quantities=["1", "1", ""]), ".quantities has a text"),
        (replace(TURN, quantities=["1", "1", "\u0661"]), ".quantities has a text"),
        (replace(TURN, fingerprints=["1", "1", "1.0"]), ".fingerprints has a text"),
        (replace(TURN, fingerprints=["1", "1", str(2**63)]), ".fingerprints has a text"),
        (replace(TURN, fingerprints=["1", "1", "9" * 128]), ".fingerprints has a text"),
        (replace(TURN, mailboxes=["", "-1", ""]), ".mailboxes has a text"),
        (replace(TURN, mailboxes=["", " 1", ""]), ".mailboxes has a text"),
    ],
)
def test_lists_that_do_not_fit_make_the_record_unreadable(broken: c.ReserveInTurn, why: str) -> None:
    found = read(broken)
    assert isinstance(found, Undecodable)
    assert found.error.startswith(f"ReserveInTurn{'' if why.startswith('.') else ' '}{why}")
