"""The partition of a key, by the default partitioner of Kafka's Java client (murmur2). Pure."""

from __future__ import annotations

from functools import lru_cache

from schemas.ids import EventId

SEED, MULTIPLIER, SHIFT, WORD = 0x9747B28C, 0x5BD1E995, 24, 0xFFFFFFFF


def partition_of(key: str | bytes, partitions: int) -> int:
    """The partition of a key among `partitions`."""
    raw = key.encode() if isinstance(key, str) else key
    return (murmur2(raw) & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=20_000)  # for the events on sale
def home_of(event_id: EventId, partitions: int) -> int:
    """The partition of an event's commands and facts, remembered."""
    return partition_of(event_id, partitions)


@lru_cache(maxsize=20_000)  # for the events on sale: each of their commands asks
def misplaced(event_id: EventId, partition: int, partitions: int) -> str:
    """Why a command about the event must not be on this partition; "" if it may: one event, one order."""
    home = home_of(event_id, partitions)
    return "" if home == partition else f"event {event_id} is on partition {home}, not on {partition}"


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2)."""
    length = len(data)
    digest = (SEED ^ length) & WORD
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * MULTIPLIER & WORD
        word ^= word >> SHIFT
        digest = (digest * MULTIPLIER & WORD) ^ (word * MULTIPLIER & WORD)
    rest = data[whole:]
    if rest:
        digest = (digest ^ int.from_bytes(rest, "little")) * MULTIPLIER & WORD
    digest ^= digest >> 13
    digest = digest * MULTIPLIER & WORD
    return digest ^ (digest >> 15)
