"""Decides whether a failed record is set aside, or the flow waits or ends. Every flow and desk uses this one criterion.

Guarantee: a record is set aside only if the record alone explains the error (`is_of_record`). An unreachable service, a
lost partition, a missing table or a full disk affect every record. Then the flow waits, or ends and starts again, and
sets nothing aside. If more than IN_A_ROW_MAX records in a row fail, the fault is not in the records. Then
`FailureBound` ends the process with the last error in its message, so a whole topic never moves into its dead letters.
"""

from __future__ import annotations

import asyncpg
from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from connectors.errors import CircleError

# A person can read so many dead letters, and a fault that affects every record is seen within seconds.
IN_A_ROW_MAX = 50
ERROR_CHARS_MAX = 300

# PostgreSQL's errors about a value or a row (classes 21, 22, 23, 54): another row would have been accepted.
_OF_A_ROW = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.CardinalityViolationError,
    asyncpg.ProgramLimitExceededError,
)
# Errors that our clients raise about a service, and all errors of our own tree.
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
    """Too many records failed in a row, so the fault is not in them. The process ends; the records can be redriven."""


def is_of_record(error: BaseException) -> bool:
    """Whether this error is about the current record alone."""
    if isinstance(error, _OF_A_ROW):
        return True
    return isinstance(error, Exception) and not isinstance(error, _OF_EVERYTHING)


def described(error: BaseException, *, whole: bool = True) -> str:
    """An error as text for a dead letter or a row: its class and its text, cut. Not `whole`: only its class."""
    if not whole:
        return type(error).__name__
    text = f"{type(error).__name__}: {error}".replace("\x00", "\ufffd")
    return text if len(text) <= ERROR_CHARS_MAX else text[:ERROR_CHARS_MAX] + "…"


class FailureBound:
    """Bounds how many records in a row may be set aside. A success resets the count."""

    def __init__(self, flow: str, *, most: int = IN_A_ROW_MAX) -> None:
        self._flow, self._most, self._in_a_row = flow, most, 0

    def went_well(self) -> None:
        self._in_a_row = 0

    def failed(self, error: BaseException, *, whole: bool = True) -> str:
        """Count a failure. Returns the text to store with the record; raises EverythingFails after too many.

        Not `whole`: the text has only the error's class, because its message may contain personal data.
        """
        description = described(error, whole=whole)
        self._in_a_row += 1
        if self._in_a_row > self._most:
            raise EverythingFails(
                f"{self._flow}: {self._in_a_row} in a row failed, so nothing more is set aside: {description}; "
                "remove the cause, then look at `circle dlq list` and `circle dlq rows`"
            ) from error
        return f"{self._flow}: {description}"
