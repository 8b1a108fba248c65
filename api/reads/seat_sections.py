"""Sections of seat maps as JSON: made piece by piece in a thread, and cached by their content.

Guarantee: a piece has at most SEATS_AT_ONCE_MAX seats, so a step keeps the interpreter from the event loop for at most
a millisecond or two. A section that has not changed is not made again, for any map. The cache has SECTION_BYTES_MAX
bytes at most, and drops the least recently used sections.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from api.fairness.limits import GZIP_LEVEL, SEATS_AT_ONCE_MAX, SECTION_BYTES_MAX
from api.shapes.events import SeatStatus
from pipelines.history.seat_map import FREE, HELD, LOCKED, SOLD
from pipelines.reservations.core.seating import row_label
from schemas.ids import TicketTypeId

BLOCKED = "b"
STATUSES = {
    FREE: SeatStatus.AVAILABLE,
    HELD: SeatStatus.HELD,
    SOLD: SeatStatus.SOLD,
    LOCKED: SeatStatus.LOCKED,
    BLOCKED: SeatStatus.BLOCKED,
}
RAW_DEFLATE = -zlib.MAX_WBITS


class SeatSection(msgspec.Struct, frozen=True, gc=False):
    """The content of a seated ticket type's section: a letter of STATUSES for each seat, front row first."""

    ticket_type_id: TicketTypeId
    name: str
    rows: int
    seats_per_row: int
    letters: bytes


class _Head(msgspec.Struct):
    """SectionOut without its seats."""

    ticket_type_id: TicketTypeId
    name: str
    rows: int
    seats_per_row: int


@dataclass(frozen=True, slots=True)
class SectionBody:
    """A section's JSON in pieces, and the same as an independent part of a deflate stream."""

    version: bytes
    pieces: tuple[bytes, ...]
    packed: bytes
    size: int  # bytes of all pieces


class SeatSections:
    """The cached bodies. Used in one thread at a time."""

    def __init__(self, bytes_max: int = SECTION_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._kept: OrderedDict[bytes, SectionBody] = OrderedDict()
        self.bytes_kept = 0

    def of(self, section: SeatSection) -> SectionBody:
        """The body of a section: the cached one while the content is the same."""
        version = version_of(section)
        found = self._kept.get(version)
        if found is not None:
            self._kept.move_to_end(version)
            return found
        plain = tuple(pieces(section))
        found = SectionBody(version, plain, pack(plain), sum(map(len, plain)))
        self._kept[version] = found
        self.bytes_kept += _weight(found)
        while self.bytes_kept > self._bytes_max:
            _, oldest = self._kept.popitem(last=False)
            self.bytes_kept -= _weight(oldest)
        return found


def version_of(section: SeatSection) -> bytes:
    """A digest of a section's content: equal for equal sections."""
    head = msgspec.json.encode([section.ticket_type_id, section.name, section.rows, section.seats_per_row])
    return blake2b(head + b"\n" + section.letters, digest_size=16).digest()


def pieces(section: SeatSection, seats_max: int = SEATS_AT_ONCE_MAX) -> Iterator[bytes]:
    """SectionOut as JSON, in pieces of at most `seats_max` seats."""
    head = _Head(section.ticket_type_id, section.name, section.rows, section.seats_per_row)
    yield msgspec.json.encode(head)[:-1] + b',"seats":['
    width, letters = section.seats_per_row, section.letters
    statuses = {ord(letter): f'","status":"{status.value}"}}' for letter, status in STATUSES.items()}
    labels = [row_label(row) for row in range(section.rows)]
    for start in range(0, len(letters), seats_max):
        seats = ",".join(
            [
                f'{{"seat":"{labels[place // width]}-{place % width + 1}{statuses[letter]}'
                for place, letter in enumerate(letters[start : start + seats_max], start)
            ]
        )
        yield f"{',' if start else ''}{seats}".encode()
    yield b"]}"


def pack(plain: tuple[bytes, ...]) -> bytes:
    """The bytes as deflate blocks that refer to nothing before them and end at a byte: they can follow any others."""
    deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, RAW_DEFLATE)
    return b"".join([deflate.compress(piece) for piece in plain]) + deflate.flush(zlib.Z_FULL_FLUSH)


def _weight(body: SectionBody) -> int:
    return body.size + len(body.packed)
