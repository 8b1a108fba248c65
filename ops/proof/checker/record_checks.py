"""The checker's own reading of a record's place and time: what makes it unreadable, and its log time. Pure.

The worker refuses the same records by `schemas.placement` and `schemas.requests_in_turn`. This module uses neither. The
texts are those of the worker, because the log has them in its CommandUnreadable facts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import lru_cache

from schemas import commands as c
from schemas.ids import US_PER_MS, EventId

TURN_MAX = 200  # requests of one ReserveInTurn
TEXT_CHARS_MAX = 128
TURN_LISTS = (
    "command_ids", "reservation_ids", "user_ids", "ticket_type_ids", "quantities", "fingerprints", "mailboxes",
)  # fmt: skip
WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as it is written in ASCII: no sign of plus, no zero in front
LAST_MOMENT_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
MASK = 0xFFFFFFFF


def log_time_of(timestamp_ms: int) -> int:
    """A record's timestamp in µs. A time before 1970 or after the year 9999 gives 0, which moves no log time."""
    return timestamp_ms * US_PER_MS if 0 <= timestamp_ms <= LAST_MOMENT_MS else 0


def fault_in(command: c.Command, partition: int, partitions: int | None) -> str:
    """Why the partition's worker must not decide the command, in words; "" if it must.

    `partitions` is the size of the topic. Without it, the place is not checked.
    """
    if partitions is not None:
        home = home_partition(command.event_id, partitions)
        if home != partition:
            return f"event {command.event_id} is on partition {home}, not on {partition}"
    return _fault_of_turn(command) if isinstance(command, c.ReserveInTurn) else ""


@lru_cache(maxsize=20_000)  # an event has many commands
def home_partition(event_id: EventId, partitions: int) -> int:
    """The only partition with commands of the event: Kafka's default for the key, murmur2 without its sign."""
    return (murmur2_of(event_id.encode()) & 0x7FFFFFFF) % partitions


def murmur2_of(data: bytes) -> int:
    """MurmurHash2 of 32 bits, unsigned, with the seed of Kafka's Java client."""
    factor, whole = 0x5BD1E995, len(data) // 4 * 4
    digest = 0x9747B28C ^ len(data)
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        mixed = word * factor & MASK
        mixed = (mixed ^ mixed >> 24) * factor & MASK
        digest = digest * factor & MASK ^ mixed
    for place, byte in enumerate(data[whole:]):
        digest ^= byte << 8 * place
    if data[whole:]:
        digest = digest * factor & MASK
    digest = (digest ^ digest >> 13) * factor & MASK
    return digest ^ digest >> 15


def _fault_of_turn(turn: c.ReserveInTurn) -> str:
    """Why the lists of requests in turn do not fit together, in words; "" if they fit."""
    count = len(turn.reservation_ids)
    if count < 1 or count > TURN_MAX:
        return f"ReserveInTurn has {count} requests; 1 to {TURN_MAX} are decided in turn"
    for name in TURN_LISTS:
        texts = getattr(turn, name)
        if len(texts) != count:
            return f"ReserveInTurn has {len(texts)} {name} for {count} reservation_ids"
        if any(len(text) > TEXT_CHARS_MAX for text in texts):
            return f"ReserveInTurn.{name} has a text of more than {TEXT_CHARS_MAX} characters"
    mailboxes = [text for text in turn.mailboxes if text != ""]
    for name, texts, bits, least in (
        ("quantities", turn.quantities, 31, 0),
        ("fingerprints", turn.fingerprints, 64, -(1 << 63)),
        ("mailboxes", mailboxes, 63, 0),
    ):
        if not _are_numbers(texts, least, (1 << min(bits, 63)) - 1):
            return f"ReserveInTurn.{name} has a text that is no whole number of {bits} bits"
    return ""


def _are_numbers(texts: Sequence[str], least: int, most: int) -> bool:
    return all(WHOLE_NUMBER.fullmatch(text) is not None and least <= int(text) <= most for text in texts)
