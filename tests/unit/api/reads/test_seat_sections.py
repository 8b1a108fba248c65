"""Sections of seat maps: the JSON of their shape, in small steps, in a thread; an unchanged section is made once."""

from __future__ import annotations

import threading
import zlib

import msgspec
import pytest

from api.fairness.limits import SEATS_AT_ONCE_MAX
from api.reads.seat_documents import DEFLATE_END
from api.reads.seat_maps import SeatMapReads
from api.reads.seat_sections import (
    RAW_DEFLATE,
    STATUSES,
    SeatSection,
    SeatSections,
    SectionBody,
    pack,
    pieces,
    version_of,
)
from api.reads.seats_now import sections_of, taken
from api.shapes.events import SeatOut, SeatStatus, SectionOut
from pipelines.reservations.core.seating import row_label

TYPE = "b1946ac9-2a5c-4f5e-9d6b-0123456789ab"


def section(rows: int, width: int, name: str = "Stalls", letters: str = "") -> SeatSection:
    return SeatSection(
        ticket_type_id=TYPE,
        name=name,
        rows=rows,
        seats_per_row=width,
        letters=(letters or "." * (rows * width)).encode(),
    )


def told(one: SeatSection) -> bytes:
    """The shape as msgspec encodes it."""
    seats = [
        SeatOut(f"{row_label(place // one.seats_per_row)}-{place % one.seats_per_row + 1}", STATUSES[chr(letter)])
        for place, letter in enumerate(one.letters)
    ]
    return msgspec.json.encode(
        SectionOut(
            ticket_type_id=one.ticket_type_id,
            name=one.name,
            rows=one.rows,
            seats_per_row=one.seats_per_row,
            seats=seats,
        )
    )


@pytest.mark.parametrize(
    "one",
    [
        section(1, 1),
        section(2, 3, letters=".hsxb."),
        section(1, 1, name='"Ö"\\\u2028'),
        section(28, 40),
        section(1, SEATS_AT_ONCE_MAX),
        section(1, SEATS_AT_ONCE_MAX + 1),
        section(100, 500, letters="h" * 50_000),
    ],
)
def test_the_pieces_of_a_section_are_its_shape_as_json(one: SeatSection) -> None:
    assert b"".join(pieces(one)) == told(one)


def test_no_step_makes_more_seats_than_its_bound() -> None:
    steps = list(pieces(section(100, 500)))
    assert max(step.count(b'"seat"') for step in steps) == SEATS_AT_ONCE_MAX
    assert sum(step.count(b'"seat"') for step in steps) == 50_000


def test_packed_sections_may_follow_each_other_in_one_deflate_stream() -> None:
    parts = [tuple(pieces(section(4, 10, name=name))) for name in ("Stalls", "Circle", "Stalls")]
    stream = b"".join(pack(part) for part in parts) + DEFLATE_END
    unpacked = zlib.decompressobj(RAW_DEFLATE)
    assert unpacked.decompress(stream) == b"".join(b"".join(part) for part in parts)
    assert unpacked.eof


@pytest.mark.parametrize(
    "other",
    [
        section(2, 2, letters="...h"),
        section(2, 2, name="Circle"),
        section(1, 4),
        section(4, 1),
        msgspec.structs.replace(section(2, 2), ticket_type_id=TYPE.replace("b", "c")),
    ],
)
def test_one_seat_or_a_name_makes_another_version(other: SeatSection) -> None:
    assert version_of(section(2, 2)) == version_of(section(2, 2))
    assert version_of(section(2, 2)) != version_of(other)


def test_a_section_that_shows_the_same_is_not_made_again() -> None:
    kept = SeatSections()
    first = kept.of(section(4, 10))
    changed = kept.of(section(4, 10, letters="h" + "." * 39))
    assert kept.of(section(4, 10)) is first
    assert changed is not first


def test_what_is_kept_is_bounded_and_what_was_used_longest_ago_goes() -> None:
    sizes = SeatSections()
    sizes.of(section(4, 10))
    kept = SeatSections(bytes_max=sizes.bytes_kept * 2 + 10)
    first, second = kept.of(section(4, 10, "A")), kept.of(section(4, 10, "B"))
    assert kept.of(section(4, 10, "A")) is first
    kept.of(section(4, 10, "C"))
    assert kept.of(section(4, 10, "A")) is first
    assert kept.of(section(4, 10, "B")) is not second
    assert kept.bytes_kept <= sizes.bytes_kept * 2 + 10


def test_a_section_too_large_to_be_kept_is_had_all_the_same() -> None:
    kept = SeatSections(bytes_max=10)
    assert b"".join(kept.of(section(4, 10)).pieces) == told(section(4, 10))
    assert kept.bytes_kept == 0


async def test_sections_are_made_in_a_thread_beside_the_event_loop() -> None:
    maps = SeatMapReads()
    made_in: list[int] = []

    def made() -> SectionBody:
        made_in.append(threading.get_ident())
        return maps.sections.of(section(4, 10))

    try:
        body = await maps.make(made)
    finally:
        maps.close()
    assert b"".join(body.pieces) == told(section(4, 10))
    assert made_in != [threading.get_ident()]


# --- what is taken


ROW = {"id": TYPE, "name": "Stalls", "rows": 27, "seats_per_row": 3}


def statuses(*places: tuple[str, str]) -> dict[str, SeatStatus]:
    """The seats that are not free, with these places taken."""
    (one,) = sections_of([ROW], places)  # type: ignore[list-item]
    found = msgspec.json.decode(b"".join(pieces(one)), type=SectionOut)
    return {seat.seat: seat.status for seat in found.seats if seat.status is not SeatStatus.AVAILABLE}


def test_a_place_is_where_its_label_says() -> None:
    assert statuses((f"{TYPE}/A-1", "h"), (f"{TYPE}/AA-3", "s")) == {"A-1": "held", "AA-3": "sold"}


@pytest.mark.parametrize("place", ["A-0", "A-4", "AB-1", "A-x", "A-\u0663", "A", "", "-1", "a-1"])
def test_a_place_that_the_layout_has_not_is_passed_over(place: str) -> None:
    assert statuses((f"{TYPE}/{place}", "h"), ("other/A-1", "h"), (place, "h")) == {}


def test_a_claim_counts_more_than_a_lock_and_a_lock_ends_by_its_time() -> None:
    claims = {b"t/A-1": b"s|r1", b"t/A-2": b"b|b1", b"t/A-3": b"h|r2"}
    foreign = {b"t/A-1": b"k|200", b"t/B-1": b"k|200", b"t/B-2": b"k|100", b"t/B-3": b"nonsense"}
    assert dict(taken(claims, foreign, 100)) == {"t/A-1": "s", "t/A-2": "b", "t/A-3": "h", "t/B-1": "x"}
