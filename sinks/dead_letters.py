"""Dead letters: records that could not be read or processed, with their origin, so that the flow can go on.

A dead letter has the original's key, value and headers. Its own headers have the original's place and the error. It is
a CloudEvent, also if the original was none: then `added_headers` names what was added. At
least once: after a crash a letter may come twice, with the same origin. A letter always fits on its topic: parts that
are too long are cut or left out, and `cut_bytes` says how much.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, cast

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as ConsumedRecord

from connectors.errors import ServiceUnreachable
from connectors.kafka import producer
from connectors.log_reader import log_place, stamp_of
from connectors.logs import Log
from connectors.settings import Settings
from schemas import cloudevents
from schemas.ids import position_text, stamped
from schemas.times import rfc3339
from schemas.topics import dead_letters
from sinks.kafka_transaction import Outgoing
from sinks.metrics import SET_ASIDE

FLUSH_TIMEOUT_S = 30.0
ERROR_CHARS_MAX = 500
# A record of the largest size plus our headers would be refused again and again. Our own records have at most 256 KB.
VALUE_BYTES_MAX = 768 * 1024
KEY_BYTES_MAX = HEADERS_BYTES_MAX = 64 * 1024

SET_ASIDE_BY = "set_aside_by"  # on a letter, and on the record that is made of it again
ADDED = "added_headers"  # on a letter: the headers of a CloudEvent that the original lacked
LETTER = "DeadLetter"  # its type then
REDRIVEN_FROM = "redriven_from"  # on a redriven record: its dead letter

Header: TypeAlias = tuple[str, str | bytes | None]

log = Log("dead-letters")


class LetterSource(Protocol):
    """A record for a dead letter: a consumed record, or one made again from its stored data."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...
    def timestamp(self) -> tuple[int, int]: ...


def dead_letter(record: LetterSource, error: str, *, by: str = "") -> Outgoing:
    """`record` as a dead letter of its topic.

    `by`: the flow that could not process it. After a redrive this flow gets it again, although it has read past it.
    """
    topic = record.topic()
    assert topic is not None
    origin = {
        "origin_topic": topic,
        "origin_partition": str(record.partition()),
        "origin_offset": str(record.offset()),
        "origin_timestamp": str(stamp_of(record)),
        "error": error[:ERROR_CHARS_MAX],
        **({SET_ASIDE_BY: by} if by else {}),
    }
    key, value = record.key(), record.value() or b""
    headers: list[Header] = []
    left = HEADERS_BYTES_MAX
    cut = max(0, len(value) - VALUE_BYTES_MAX) + max(0, len(key or b"") - KEY_BYTES_MAX)
    for header in cast("list[Header]", record.headers() or []):
        size = len(header[0]) + len(header[1] or "")
        if size > left:
            cut += size
        elif header[0] not in origin:
            left -= size
            headers.append(header)
    if cut:
        origin["cut_bytes"] = str(cut)
    if added := cloudevents.missing(headers, _attributes(record)):
        origin[ADDED] = ",".join(name for name, _ in added)
    headers += [*added, *((name, text.encode(errors="replace")) for name, text in origin.items())]
    return Outgoing(
        topic=dead_letters(topic),
        partition=0,
        key=key and key[:KEY_BYTES_MAX],
        value=value[:VALUE_BYTES_MAX],
        headers=headers,
    )


def _attributes(record: LetterSource) -> list[Header]:
    """What makes the letter of a foreign record a CloudEvent."""
    place = f"{record.topic()}-{position_text(*log_place(record))}"
    whole = cloudevents.headers(cloudevents.DEAD_LETTERS, place, LETTER, rfc3339(stamped(stamp_of(record))))
    return [(name, "application/octet-stream" if name == "content-type" else value) for name, value in whole]


def redriven_for(record: LetterSource) -> str | None:
    """The flow that gets this record again, "" for none in particular; None if the record was not redriven."""
    headers = cast("list[Header]", record.headers() or ())
    if all(name != REDRIVEN_FROM for name, _ in headers):
        return None
    by = dict(headers).get(SET_ASIDE_BY) or ""
    return by.decode(errors="replace") if isinstance(by, bytes) else by


class DeadLetters:
    """Writes dead letters through its own producer. For flows without Kafka transactions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Producer | None = None
        self._failed: KafkaError | None = None
        self._waiting = 0

    def put(self, record: LetterSource, error: str, *, by: str = "") -> None:
        """Set one record aside. It is durable after `flush`. `by`: as in `dead_letter`."""
        if self._producer is None:
            self._producer = producer(self._settings)
        letter = dead_letter(record, error, by=by)
        SET_ASIDE.labels(record.topic() or "").inc()
        log.error(
            "record.put_aside",
            topic=record.topic(),
            partition=record.partition(),
            offset=record.offset(),
            error=error,
        )
        self._waiting += 1
        self._producer.produce(
            letter.topic,
            letter.value,
            letter.key,
            letter.partition,
            headers=letter.headers,
            on_delivery=self._delivered,
        )

    def flush(self) -> None:
        """Wait until all letters are durable. Raises ServiceUnreachable if they are not; then do not commit."""
        if self._producer is None or not self._waiting:
            return
        left = self._producer.flush(FLUSH_TIMEOUT_S)
        self._waiting, failed, self._failed = 0, self._failed, None
        if left or failed is not None:
            raise ServiceUnreachable(
                "Kafka",
                self._settings.kafka_bootstrap_servers,
                f"dead letters not written: {failed or 'no answer'}",
            )

    def _delivered(self, error: KafkaError | None, _record: ConsumedRecord) -> None:
        if error is not None:
            self._failed = error
