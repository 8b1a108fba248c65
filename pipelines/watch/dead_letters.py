"""Dead letters (`circle dlq`): records that could not be read or processed, with their origin. Sends them back.

Guarantee: a letter is redriven once, however often the command runs. One transaction writes the record to its origin
topic and partition, and a marker to the topic of letters. A message goes to its row in PostgreSQL instead. A fact that
the read side has set aside stays where it is: a row asks its branch to apply it.

A broker that shows aborted records may show a failed attempt. Every reader of the log drops such a duplicate by its
position or key.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, cast

import msgspec
from confluent_kafka import KafkaException, Message, Producer

from connectors import clock
from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka import admin, check_reachable, transactional_producer
from connectors.log_reader import log_place, partitions_of, stamp_of
from connectors.postgres import Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from pipelines.notifications.mail.store import deliver_again
from pipelines.notifications.outbound import readable
from pipelines.redrives.requests import AskedRedrive
from pipelines.watch.dead_letter_fixes import CannotMend, FixedLetter, Partly, fixed_letter, partly
from pipelines.watch.fact_redrives import APPLIED_AGAIN, FactRedrive, applied_by, ask, requests_of
from pipelines.watch.topic_record import BYTES_SHOWN_MAX, fields_of, headers_of, text_of, type_of, without_secrets
from schemas import cloudevents
from schemas.codec import Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.ids import position_text, stamped
from schemas.notifications import Notification
from schemas.placement import partition_of
from schemas.times import rfc3339, utc
from schemas.topics import COMMANDS, DEAD_LETTER_PARTITIONS, FACTS, NOTIFICATIONS, dead_letters
from sinks.dead_letters import ADDED, REDRIVEN_FROM, SET_ASIDE_BY

ORIGINS = (COMMANDS, FACTS, NOTIFICATIONS)
LETTERS_MAX = 10_000  # the latest of each topic; a person reads them
REDRIVEN_AT_ONCE_MAX = 1_000  # one transaction
TRANSACTIONAL_ID = "circle-dlq-redrive"  # a second operator fences the first one
TIMEOUT_S = 15.0
MARKER = "redriven_offset"  # on a marker: the offset of its letter
FIXED_FIELDS = "mended_fields"  # on a redriven record: the fields that a person changed
ROWS = "projections"  # a fact that they set aside needs a rebuild of the rows; it is never written twice
OWN_HEADERS = frozenset({"origin_topic", "origin_partition", "origin_offset", "origin_timestamp", "error", ADDED,
                         REDRIVEN_FROM})  # fmt: skip
OPERATOR = "operator"  # who asks for a redrive by the command line, or with the operator's token
REDRIVEN = "DeadLetterRedriven"  # the type of a marker

Header = tuple[str, str | bytes | None]


class NoSuchLetter(CircleError):
    """There is no letter at this offset, or it cannot be redriven. The message names the letter and the cause."""

    exit_code = 2


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter. `record` is the type of the original record, or "" when its bytes are no record of ours.

    `applied_by` is the flow that can apply a fact where it is, "" for none. `redrive` is what came of such a request.
    """

    topic: str
    offset: int
    origin_topic: str
    origin_partition: int
    origin_offset: int
    put_aside_at: datetime
    error: str
    set_aside_by: str
    key: str
    record: str
    redriven: bool
    applied_by: str = ""
    redrive: FactRedrive | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A letter with its content. When it cannot be decoded, `undecodable` says why. Then `fields` holds the fields
    before the unreadable one, `stopped_at`, and `partly` is the type that the record claims."""

    letter: Letter
    headers: dict[str, str]
    fields: dict[str, Any]
    undecodable: str
    partly: str
    stopped_at: str
    value_bytes: int
    value_hex: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReadLetter:
    """A letter and its record."""

    letter: Letter
    message: Message


def letters(settings: Settings, origins: Sequence[str] = ORIGINS) -> list[ReadLetter]:
    """The latest letters of these topics, oldest first."""
    check_reachable(settings, TIMEOUT_S)
    codec = codec_of(settings)
    found: list[ReadLetter] = []
    try:
        for origin in origins:
            topic = dead_letters(origin)
            with TopicReader(settings, topic) as reader:
                bounds = reader.bounds(range(DEAD_LETTER_PARTITIONS))
                messages = list(reader.from_offsets({number: low for number, (low, _) in bounds.items()}))
            marked = _marked(messages)
            own = [one for one in messages if MARKER not in headers_of(one)]
            found += [ReadLetter(_letter(topic, one, codec, marked), one) for one in own[-LETTERS_MAX:]]
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, str(error.args[0])) from error
    return found


def with_outcomes(settings: Settings, found: Sequence[ReadLetter]) -> list[ReadLetter]:
    """The letters, and what came of the facts among them that were redriven. Raises ServiceUnreachable."""
    codec = codec_of(settings)
    redriven = [read for read in found if read.letter.redriven and read.letter.record and read.letter.applied_by]
    keys = {read.letter: _asked(read, codec).key for read in redriven}
    requests = requests_of(settings, list(keys.values()))
    return [
        dataclasses.replace(read, letter=msgspec.structs.replace(read.letter, redrive=requests.get(keys[read.letter])))
        if read.letter in keys
        else read
        for read in found
    ]


def opened(settings: Settings, read: ReadLetter) -> Opened:
    """A letter with the content that can be decoded. Hides payment tokens."""
    value = read.message.value() or b""
    decoded = codec_of(settings).decode(read.message.value())
    unreadable = isinstance(decoded, Undecodable)
    broken = partly(read.message.value()) if unreadable else Partly("", {}, "")
    return Opened(
        letter=read.letter,
        headers=headers_of(read.message),
        fields=without_secrets(broken.fields) if unreadable else fields_of(decoded),
        undecodable=decoded.error if isinstance(decoded, Undecodable) else "",
        partly=broken.record,
        stopped_at=broken.stopped_at,
        value_bytes=len(value),
        value_hex=value[:BYTES_SHOWN_MAX].hex(),
    )


def choose(found: Sequence[ReadLetter], offsets: Sequence[int], *, limit: int) -> list[ReadLetter]:
    """The letters to redrive: those at `offsets`; without offsets, all that were not redriven yet. At most `limit`.

    Raises NoSuchLetter for an offset without a letter, and for a letter without its origin.
    """
    by_offset = {read.letter.offset: read for read in found}
    missing = [offset for offset in offsets if offset not in by_offset]
    if missing:
        raise NoSuchLetter(f"no dead letter at offset {', '.join(map(str, missing))}")
    wanted = [by_offset[offset] for offset in dict.fromkeys(offsets)] if offsets else list(found)
    for read in wanted:
        if read.letter.origin_topic not in ORIGINS or read.letter.origin_partition < 0:
            raise NoSuchLetter(f"{read.letter.topic} at {read.letter.offset} does not name its origin")
        if offsets and read.letter.set_aside_by == ROWS:
            raise NoSuchLetter(
                f"{read.letter.topic} at {read.letter.offset} is a fact that lacks its rows, and cannot be redriven: "
                "rebuild the rows with `circle replay projections --promote`"
            )
    return [read for read in wanted if not read.letter.redriven and read.letter.set_aside_by != ROWS][:limit]


def mend(
    settings: Settings, read: ReadLetter, *, changes: Mapping[str, str], edited: Mapping[str, Any] | None
) -> FixedLetter:
    """The letter's record with the fix. Raises NoSuchLetter when the result may not go back to this place."""
    letter = read.letter
    try:
        fixed = fixed_letter(
            codec_of(settings), letter.origin_topic, read.message.value(), changes=changes, edited=edited
        )
    except CannotMend as error:
        raise NoSuchLetter(f"{letter.topic} at {letter.offset} cannot be mended so: {error}") from None
    home = partition_of(fixed.key, partitions_of(settings, letter.origin_topic))
    if letter.origin_topic != NOTIFICATIONS and home != letter.origin_partition:
        raise NoSuchLetter(
            f"{letter.topic} at {letter.offset}: {fixed.key} is at home on partition {home}, and the letter goes back "
            f"to {letter.origin_partition}"
        )
    return fixed


def redrive(
    settings: Settings,
    chosen: Sequence[ReadLetter],
    fixes: Mapping[int, FixedLetter] | None = None,
    *,
    by: str = OPERATOR,
    writes_facts: bool = True,
) -> int:
    """Send letters back to their origin, with the fix that `fixes` has for the letter's offset. Returns the number.

    `by` asks for it: a user's id, or OPERATOR. Without `writes_facts` a payment's fact stays where it is, too: payments
    is asked by a row. Raises NoSuchLetter for a fact that only a record on its topic brings back, and for a letter that
    another redrive has sent back since it was read.
    """
    if not chosen:
        return 0
    if len(chosen) > REDRIVEN_AT_ONCE_MAX:
        raise NoSuchLetter(f"{len(chosen)} letters; at most {REDRIVEN_AT_ONCE_MAX} can be redriven at once")

    def in_place(read: ReadLetter) -> bool:
        return read.letter.applied_by in APPLIED_AGAIN or bool(read.letter.applied_by and not writes_facts)

    known = admin(settings).list_topics(timeout=TIMEOUT_S).topics
    for read in chosen:
        letter = read.letter
        if letter.origin_topic == NOTIFICATIONS:
            continue
        if letter.origin_topic == FACTS and not writes_facts and not letter.applied_by:
            raise NoSuchLetter(
                f"the API never writes facts: send this letter back with `circle dlq redrive {FACTS} {letter.offset}`"
            )
        if letter.origin_partition >= len(known[letter.origin_topic].partitions):
            raise NoSuchLetter(f"{letter.origin_topic} has no partition {letter.origin_partition} any more")
    _check_on_log(settings, [read for read in chosen if read.letter.origin_topic == FACTS and not in_place(read)])
    with _alone(settings, chosen, "nothing was redriven") as client:
        _deliver_again(settings, chosen, fixes or {})
        codec = codec_of(settings)
        ask(settings, [_asked(read, codec) for read in chosen if in_place(read)], by)
        client.begin_transaction()
        for read in chosen:
            if read.letter.origin_topic != NOTIFICATIONS and not in_place(read):
                _send(client, read, (fixes or {}).get(read.letter.offset))
            _mark(client, read)
        client.commit_transaction(TIMEOUT_S)
    return len(chosen)


def mark_done(settings: Settings, done: Sequence[ReadLetter]) -> None:
    """Mark letters that need no redrive any more. Raises ServiceUnreachable, and NoSuchLetter as `redrive` does."""
    if not done:
        return
    with _alone(settings, done, "no letter was marked") as client:
        client.begin_transaction()
        for read in done:
            _mark(client, read)
        client.commit_transaction(TIMEOUT_S)


@contextmanager
def _alone(settings: Settings, letters: Sequence[ReadLetter], failure: str) -> Iterator[Producer]:
    """A producer that has ended every other redrive, and letters that none of those has sent back.

    Raises NoSuchLetter, and ServiceUnreachable with `failure` for an error of Kafka within.
    """
    client = transactional_producer(settings, TRANSACTIONAL_ID)
    try:
        client.init_transactions(TIMEOUT_S)  # no earlier redrive can commit from here on
        _check_not_redriven(settings, letters)
        yield client
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, f"{failure}: {error.args[0]}") from error


def _check_not_redriven(settings: Settings, chosen: Sequence[ReadLetter]) -> None:
    """Raises NoSuchLetter for a letter that has a marker by now. A marker comes after its letter."""
    places: dict[str, dict[int, int]] = {}
    for read in chosen:
        starts, number = places.setdefault(read.letter.topic, {}), read.message.partition() or 0
        starts[number] = min(read.letter.offset, starts.get(number, read.letter.offset))
    for topic, starts in places.items():
        with TopicReader(settings, topic) as reader:
            marked = _marked(reader.from_offsets(starts))
        both = sorted(marked & {read.letter.offset for read in chosen if read.letter.topic == topic})
        if both:
            raise NoSuchLetter(f"{topic} at {', '.join(map(str, both))} went back a moment ago; nothing was redriven")


def _check_on_log(settings: Settings, facts: Sequence[ReadLetter]) -> None:
    """Raises NoSuchLetter for a letter whose bytes are not on tickets.facts at its origin.

    Several processes may write letters, and only one may write facts: no letter brings a new fact on the log.
    """
    if not facts:
        return
    with TopicReader(settings, FACTS) as reader:
        for read in facts:
            letter = read.letter
            records = reader.from_offsets({letter.origin_partition: max(0, letter.origin_offset)})
            found = next((one for one in records if one.offset() == letter.origin_offset), None)
            if found is None or found.value() != read.message.value():
                raise NoSuchLetter(
                    f"{letter.topic} at {letter.offset} is not what {FACTS}[{letter.origin_partition}] has at "
                    f"{letter.origin_offset}, so it does not go there"
                )


def _send(client: Producer, read: ReadLetter, fix: FixedLetter | None) -> None:
    letter, message = read.letter, read.message
    original = cast("list[Header]", message.headers() or [])
    place = f"{letter.topic}-{position_text(*log_place(message))}"
    added = headers_of(message).get(ADDED, "").split(",")
    headers = [one for one in original if one[0] not in (*OWN_HEADERS, *added)]
    headers.append((REDRIVEN_FROM, place.encode()))
    key, value = message.key(), message.value() or b""
    if fix is not None:
        key, value = fix.key.encode(), fix.value
        headers = [one for one in headers if one[0] != "ce_type"]
        headers += [("ce_type", fix.record.encode()), (FIXED_FIELDS, ",".join(fix.changed).encode())]
        own = cloudevents.headers(cloudevents.OPERATORS, place, fix.record, rfc3339(clock.now_us()))
        headers += cloudevents.missing(headers, own)
    client.produce(letter.origin_topic, value, key, letter.origin_partition, headers=headers)


def _mark(client: Producer, read: ReadLetter) -> None:
    message = read.message
    place = f"{read.letter.topic}-{position_text(*log_place(message))}"
    event = cloudevents.headers(cloudevents.DEAD_LETTERS, f"{place}-redriven", REDRIVEN, rfc3339(clock.now_us()))
    marker: list[Header] = [(MARKER, str(read.letter.offset).encode()), *event]
    client.produce(read.letter.topic, b"", message.key(), message.partition() or 0, headers=marker)


def _deliver_again(settings: Settings, chosen: Sequence[ReadLetter], fixes: Mapping[int, FixedLetter]) -> None:
    """Write the messages among the letters to their rows, where the postman finds them. Nothing reads their topic.

    A message is one row, so it is delivered once, also when the markers fail. Raises NoSuchLetter for a letter that is
    no message, ServiceUnreachable.
    """
    codec, messages = codec_of(settings), list[Notification]()
    for read in chosen:
        if read.letter.origin_topic != NOTIFICATIONS:
            continue
        fix = fixes.get(read.letter.offset)
        found = readable(codec.decode(read.message.value() if fix is None else fix.value))
        if isinstance(found, Undecodable):
            raise NoSuchLetter(f"{read.letter.topic} at {read.letter.offset} is no message: {found.error}")
        messages.append(found)
    if not messages:
        return
    with closing(Database(settings.postgres_url)) as database:
        database.run(lambda connection: deliver_again(connection, messages))


def _asked(read: ReadLetter, codec: Codec) -> AskedRedrive:
    letter, fact = read.letter, codec.decode(read.message.value())
    if not isinstance(fact, RecordedFact):
        raise NoSuchLetter(f"{letter.topic} at {letter.offset} is no readable fact: {getattr(fact, 'error', '')}")
    at = fact.envelope
    return AskedRedrive(
        flow=letter.applied_by, partition=at.partition, offset=at.offset, index=at.index, place=letter.origin_offset
    )


def _letter(topic: str, message: Message, codec: Codec, marked: set[int]) -> Letter:
    headers = headers_of(message)
    decoded = codec.decode(message.value())
    return Letter(
        topic=topic,
        offset=message.offset() or 0,
        origin_topic=headers.get("origin_topic", ""),
        origin_partition=_number(headers.get("origin_partition", "")),
        origin_offset=_number(headers.get("origin_offset", "")),
        put_aside_at=utc(stamped(stamp_of(message))),
        error=headers.get("error", ""),
        set_aside_by=headers.get(SET_ASIDE_BY, ""),
        key=text_of(message.key()),
        record=type_of(decoded),
        redriven=(message.offset() or 0) in marked,
        applied_by=applied_by(headers.get(SET_ASIDE_BY, ""), headers.get("error", ""), decoded)
        if headers.get("origin_topic") == FACTS
        else "",
    )


def _marked(messages: Iterable[Message]) -> set[int]:
    """The offsets of the letters that these markers say were sent back."""
    return {_number(headers[MARKER]) for one in messages if MARKER in (headers := headers_of(one))}


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1
