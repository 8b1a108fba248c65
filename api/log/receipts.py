"""Position receipts for what the log has acknowledged: signed when the first of them is asked for, all at once.

The records that one poll of the client acknowledges share a signature, so the dearest part of a receipt grows cheaper
as the load grows. Whoever asks for none costs nothing but a place in a list.
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
        """Whether the next record needs another signature."""
        return len(self._records) >= SIGNED_TOGETHER_MAX or bool(self._texts)

    def add(self, partition: int, offset: int, key: str, value: bytes) -> int:
        """Take in a record; returns its number for `receipt`."""
        self._records.append((partition, offset, key, value))
        return len(self._records) - 1

    def receipt(self, number: int) -> str:
        """That record's receipt."""
        if not self._texts:
            receipts = [
                Receipt(partition, offset, record_digest(key.encode(), value))
                for partition, offset, key, value in self._records
            ]
            self._texts = issue(receipts, self._key.private, self._key.kid)
            self._records.clear()
        return self._texts[number]
