"""What may be set aside, and what has to wait or end instead: the one criterion of every flow and desk.

Guarantee: an error is of a record only when nothing but that record explains it (`is_of_record`). A service that is
away, a lost partition, a missing table, a full disk are of everything: whoever meets them waits, or ends and begins
anew, and sets nothing aside. And where IN_A_ROW_MAX records in a row fail, the fault is not in the records: `Bound`
ends the process then, with the last error in its message, instead of moving a topic into its dead letters.
"""

from __future__ import annotations

import asyncpg
from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from connectors.errors import CircleError

# A person can look through so many letters; and a fault of ours that meets every record is seen within seconds.
IN_A_ROW_MAX = 50
ERROR_CHARS_MAX = 300

# PostgreSQL's word on a value or a row (classes 21, 22, 23, 54): another row would have gone in.
_OF_A_ROW = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.CardinalityViolationError,
    asyncpg.ProgramLimitExceededError,
)
# Everything that our own clients raise of a service, and whatever we understand well enough to name.
_OF_EVERYTHING = (
    CircleError,
    KafkaException,
    RedisError,
    OSError,  # TimeoutError is one
    MemoryError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class EverythingFails(CircleError):
    """So many records failed in a row that the fault is not in them. The process ends; they can be redriven."""


def is_of_record(error: BaseException) -> bool:
    """Whether this error says something of the record in hand alone."""
    if isinstance(error, _OF_A_ROW):
        return True
    return isinstance(error, Exception) and not isinstance(error, _OF_EVERYTHING)


def described(error: BaseException, *, whole: bool = True) -> str:
    """An error as it stands on a dead letter or in a row: its class and its text, cut. Not `whole`: its class alone."""
    if not whole:
        return type(error).__name__
    text = f"{type(error).__name__}: {error}".replace("\x00", "\ufffd")
    return text if len(text) <= ERROR_CHARS_MAX else text[:ERROR_CHARS_MAX] + "…"


class Bound:
    """How many in a row may be set aside. One that goes well begins the count anew."""

    def __init__(self, flow: str, *, most: int = IN_A_ROW_MAX) -> None:
        self._flow, self._most, self._in_a_row = flow, most, 0

    def went_well(self) -> None:
        self._in_a_row = 0

    def failed(self, error: BaseException, *, whole: bool = True) -> str:
        """One more. Returns what to write beside it; raises EverythingFails when there were too many.

        Not `whole`: where an error's text may have personal data in it, only its class is written.
        """
        told = described(error, whole=whole)
        self._in_a_row += 1
        if self._in_a_row > self._most:
            raise EverythingFails(
                f"{self._flow}: {self._in_a_row} in a row failed, so nothing more is set aside: {told}; "
                "mend the cause, then look at `circle dlq list` and `circle dlq rows`"
            ) from error
        return f"{self._flow}: {told}"
