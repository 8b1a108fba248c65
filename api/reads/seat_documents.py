"""Sends a seat map: puts sections that are bytes already into an answer, and writes it piece by piece.

Guarantee: JSON, ETag and headers have the same form for any size. A small map is written at once. Of a large map at
most SENT_AT_ONCE_BYTES are written before the client has read the bytes before; all answers share the cached sections.
Users and networks have shares of the large maps that are being sent, so slow clients do not make others wait.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec
from sanic import HTTPResponse

from api.fairness.limits import INLINE_BYTES_MAX, SEAT_MAPS_PATIENCE_S, SENT_AT_ONCE_BYTES
from api.http.representation import known_already, labelled, tag_of, takes_gzip
from api.http.routing import Call, is_private
from api.reads.seat_sections import SectionBody, pack
from schemas.ids import EventId

GZIP_HEAD = gzip.compress(b"", mtime=0)[:10]
DEFLATE_END = b"\x03\x00"  # an empty last block
TYPE = "application/json"


class _Frame(msgspec.Struct):
    """SeatsOut without its items."""

    source: str
    next_cursor: None
    position: str | None
    time: object


async def answer(
    call: Call,
    event_id: EventId,
    sections: Iterable[SectionBody],
    source: str,
    *,
    position: str | None = None,
    time: object = None,
    headers: dict[str, str] | None = None,
) -> HTTPResponse | None:
    """200 with the map, or 304; None if it was sent already. Raises Problem too-many-at-once (429), busy (503)."""
    bodies = list(sections)
    first = msgspec.json.encode({"event_id": event_id})[:-1] + b',"items":['
    last = b"]," + msgspec.json.encode(_Frame(source, None, position, time))[1:]
    tag = tag_of(b"".join([first, *(body.version for body in bodies), last]))
    size = len(first) + sum(body.size for body in bodies) + max(0, len(bodies) - 1) + len(last)
    document = _document(first, bodies, last)
    if size <= INLINE_BYTES_MAX:
        return HTTPResponse(b"".join(document), 200, {"etag": tag} | (headers or {}), content_type=TYPE)
    response = labelled(HTTPResponse(None, 200, headers, content_type=TYPE), tag, private=is_private(call))
    known = known_already(call.request, response)
    if known is not None:
        return known
    parts: Iterable[bytes] = document
    if takes_gzip(call.request.headers.get("accept-encoding")):
        response.headers["content-encoding"] = "gzip"
        frame = [pack((text,)) for text in (first, b",", last)]
        size = _packed_size(frame, bodies)
        parts = _packed(frame, bodies, first, last)
    async with call.deps.seat_maps.sending(patience_s=SEAT_MAPS_PATIENCE_S):
        await _send(call, response, parts, size)
    return None


def _document(first: bytes, bodies: list[SectionBody], last: bytes) -> Iterator[bytes]:
    yield first
    for number, body in enumerate(bodies):
        if number:
            yield b","
        yield from body.pieces
    yield last


def _packed_size(frame: list[bytes], bodies: list[SectionBody]) -> int:
    first, comma, last = map(len, frame)
    between = comma * max(0, len(bodies) - 1)
    return len(GZIP_HEAD) + first + sum(len(body.packed) for body in bodies) + between + last + len(DEFLATE_END) + 8


def _packed(frame: list[bytes], bodies: list[SectionBody], first: bytes, last: bytes) -> Iterator[bytes]:
    """The answer as one gzip member (RFC 1952), joined from the sections' deflate blocks."""
    comma = frame[1]
    yield GZIP_HEAD + frame[0]
    crc, size = zlib.crc32(first), len(first)
    for number, body in enumerate(bodies):
        if number:
            yield comma
            crc, size = zlib.crc32(b",", crc), size + 1
        for piece in body.pieces:
            crc = zlib.crc32(piece, crc)
        size += body.size
        yield body.packed
    crc = zlib.crc32(last, crc)
    yield frame[2] + DEFLATE_END + crc.to_bytes(4, "little") + (size + len(last)).to_bytes(4, "little")


async def _send(call: Call, response: HTTPResponse, parts: Iterable[bytes], size: int) -> None:
    """Write the answer. Each write waits until the client has read the one before down to a few kilobytes."""
    headers = dict(response.headers.items()) | {"content-length": str(size)}
    sent = await call.request.respond(headers=headers, content_type=TYPE)
    if call.is_head:
        await sent.send(b"", end_stream=True)
        return
    for part in chain.from_iterable(_slices(part) for part in parts):
        await sent.send(part)
    await sent.eof()


def _slices(part: bytes) -> Iterator[bytes]:
    for start in range(0, len(part), SENT_AT_ONCE_BYTES):
        yield part[start : start + SENT_AT_ONCE_BYTES]
