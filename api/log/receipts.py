"""Position receipts for acknowledged records. The first request for one signs all of its batch at once.

The records that one poll of the client acknowledges share a signature. So the signature, a receipt's most expensive
part, costs less per record under load. A request without a receipt costs only a place in a list.
"""

from __future__ import annotations

from api.auth.keys import Key
from pipelines.history.receipts import SIGNED_TOGETHER_MAX, Receipt, issue, record_digest


class Acknowledged:
    """Records that were acknowledged together."""

    __slots__ = ("_key", "_records", "_texts")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._records: list[tuple[int, int, str, bytes]] = []
        self._texts: list[str] = []

    @property
    def full(self) -> bool:
        """Whether the next record needs a new signature."""
        return len(self._records) >= SIGNED_TOGETHER_MAX or bool(self._texts)

    def add(self, partition: int, offset: int, key: str, value: bytes) -> int:
        """Add a record. Returns its number for `receipt`."""
        self._records.append((partition, offset, key, value))
        return len(self._records) - 1

    def receipt(self, number: int) -> str:
        """The record's receipt."""
        if not self._texts:
            receipts = [
                Receipt(partition, offset, record_digest(key.encode(), value))
                for partition, offset, key, value in self._records
            ]
            self._texts = issue(receipts, self._key.private, self._key.kid)
            self._records.clear()
        return self._texts[number]
