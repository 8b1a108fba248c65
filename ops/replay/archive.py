"""`circle replay export` and `import`: topics to Avro container files and into a fresh cluster.

DIR/manifest.json names the files, DIR/<topic>/<partition>.avro holds one partition each. The manifest is written last:
a directory without it is not a whole export. An import takes empty topics only, gives every record its own partition,
key, headers and timestamp, and checks that every command gets its old offset, because a position is an identity.

Effects are fenced: after an import the groups that charge and notify stand behind the last fact, so nothing that the
log has done already is done again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from fastavro.write import Writer

from connectors.errors import CircleError, ServiceUnreachable
from connectors.kafka import METADATA_TIMEOUT_S, admin, consumer, producer
from connectors.log_reader import LogReader, key_of, offset_of, partitions_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topics import apply_topics
from ops.load.progress import Progress
from ops.replay.past import BadMoment
from pipelines.notifications.dataflow import COMPOSE_GROUP, MAIL_GROUP
from pipelines.payments.dataflow import GROUP as PAYMENTS_GROUP
from pipelines.replay.archive import Archived, OtherNames, restored, schema_of, stored
from pipelines.replay.past import moment
from pipelines.reservations.dataflow import GROUP as RESERVATIONS_GROUP
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

MANIFEST = "manifest.json"
TOPICS = (FACTS, COMMANDS, NOTIFICATIONS)  # facts first: every fact of an export has its command there
FORMAT = 1
BAR_EVERY = 2_000
FLUSH_S = 60.0
BLOCK_BYTES = 256 * 1024
US_PER_MS = 1_000


class BadArchive(CircleError):
    """The directory is not a whole export, or not one that can be loaded here."""


class NotEmpty(CircleError):
    """The cluster, or the directory, holds something already."""


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's file."""

    topic: str
    partition: int
    file: str
    records: int
    first: int
    last: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds."""

    format: int
    partitions: dict[str, int]
    pseudonymised: bool
    files: list[ArchivedFile]

    @property
    def records(self) -> int:
        return sum(one.records for one in self.files)


class Span(msgspec.Struct, frozen=True):
    """Which records: by offset or by their timestamps, both ends inclusive; None is open."""

    first_offset: int | None = None
    last_offset: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None

    def has(self, message: Message) -> bool:
        offset, stamp = offset_of(message), message.timestamp()[1]
        return (
            (self.first_offset is None or offset >= self.first_offset)
            and (self.last_offset is None or offset <= self.last_offset)
            and (self.first_ms is None or stamp >= self.first_ms)
            and (self.last_ms is None or stamp <= self.last_ms)
        )


def span(start: str | None, end: str | None) -> Span:
    """What `--from` and `--to` say: an offset (of every partition) or a time. Raises BadMoment."""
    values: dict[str, int] = {}
    for word, text in (("first", start), ("last", end)):
        if text is None:
            continue
        if text.isdecimal():
            values[f"{word}_offset"] = int(text)
            continue
        try:
            log_time = moment(text).log_time
        except ValueError:
            log_time = None
        if log_time is None:
            raise BadMoment(f"{text!r} is neither an offset nor a time with its offset (2026-05-01T20:00:00Z)")
        values[f"{word}_ms"] = log_time // US_PER_MS
    return Span(**values)


# --- export -------------------------------------------------------------------------------------------------------


def export(
    settings: Settings,
    directory: Path,
    progress: Progress,
    *,
    topics: list[str],
    within: Span,
    pseudonymise: bool,
    dry_run: bool = False,
) -> Manifest:
    """Write the topics' records. Raises NotEmpty, BadArchive, ServiceUnreachable."""
    unknown = set(topics) - set(TOPICS)
    if unknown:
        raise BadArchive(f"--topic {', '.join(sorted(unknown))}: these can be exported: {', '.join(TOPICS)}")
    if (directory / MANIFEST).exists():
        raise NotEmpty(f"{directory} holds an export already; choose another directory")
    counts = {topic: partitions_of(settings, topic) for topic in TOPICS if topic in topics}
    codec = codec_of(settings)
    names = OtherNames(secrets.token_bytes(32), codec) if pseudonymise else None
    files = []
    for topic, partitions in counts.items():
        schema = fastavro.parse_schema(schema_of(topic))
        for partition in range(partitions):
            with LogReader(settings, topic, partition, start=within.first_offset) as reader:
                path = None if dry_run else _new_file(directory, topic, partition)
                found = _write(reader, path, schema, codec, within, names, topic, progress)
            if found is not None:
                files.append(
                    ArchivedFile(
                        topic=topic,
                        partition=partition,
                        file=f"{topic}/{partition:05d}.avro",
                        records=found[0],
                        first=found[1],
                        last=found[2],
                    )
                )
    manifest = Manifest(format=FORMAT, partitions=counts, pseudonymised=pseudonymise, files=files)
    if not dry_run:
        _writable(directory / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    return manifest


def _write(
    reader: LogReader,
    path: Path | None,
    schema: Any,
    codec: Codec,
    within: Span,
    names: OtherNames | None,
    topic: str,
    progress: Progress,
) -> tuple[int, int, int] | None:
    """One partition to `path`, block by block; to nowhere for None. Returns count, first and last offset."""
    bar = progress.bar(reader.place, reader.high)
    part = None if path is None else path.with_suffix(".part")
    out = None if part is None else part.open("wb")
    writer = None if out is None else Writer(out, schema, "deflate", BLOCK_BYTES)
    count, first, last = 0, -1, -1
    try:
        for message in reader.messages():
            if within.last_offset is not None and offset_of(message) > within.last_offset:
                break
            if not within.has(message):
                continue
            last = offset_of(message)
            first = last if first < 0 else first
            count += 1
            if writer is not None:
                record = archived(message)
                writer.write(stored(record if names is None else names.renamed(record, topic), codec))
            if count % BAR_EVERY == 0:
                bar.set(last)
        if writer is not None:
            writer.flush()
    finally:
        if out is not None:
            out.close()
    bar.finish(last + 1)
    if part is not None and path is not None:
        if count:
            part.rename(path)
        else:
            part.unlink()
    return (count, first, last) if count else None


def archived(message: Message) -> Archived:
    """A consumed record as it is stored."""
    headers: list[Any] = list(message.headers() or [])
    return Archived(
        offset_of(message),
        message.timestamp()[1],
        key_of(message),
        message.value(),
        [(name, value.encode() if isinstance(value, str) else value) for name, value in headers],
    )


def _new_file(directory: Path, topic: str, partition: int) -> Path:
    path = directory / topic / f"{partition:05d}.avro"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadArchive(f"{path.parent} cannot be made: {error.strerror}") from None
    return path


def _writable(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadArchive(f"{path} cannot be written: {error.strerror}") from None


# --- import -------------------------------------------------------------------------------------------------------


def load(settings: Settings, directory: Path, progress: Progress, *, dry_run: bool = False) -> Manifest:
    """Write an export's records into this cluster's empty topics. Raises BadArchive, NotEmpty, ServiceUnreachable."""
    manifest = manifest_of(directory)
    for topic, partitions in manifest.partitions.items():
        here = partitions_of(settings, topic)
        if here != partitions:
            raise BadArchive(f"{topic} has {here} partitions here and {partitions} in {directory}: keys would move")
        for partition in range(here):
            with LogReader(settings, topic, partition) as reader:
                if reader.chunk():
                    raise NotEmpty(f"{reader.place} holds records already; an import takes a fresh cluster")
    for one in manifest.files:
        if one.topic == COMMANDS and (one.first != 0 or one.last != one.records - 1):
            raise BadArchive(
                f"{one.file} has offsets {one.first} to {one.last} in {one.records} records: commands must be whole "
                "from offset 0, because a position is an identity; export without --from"
            )
    if dry_run:
        return manifest
    _fence_effects(settings, _Ends.nothing(manifest))
    _stamp_as_told(settings, manifest)
    try:
        ends = _produce_all(settings, directory, manifest, progress)
    finally:
        apply_topics(settings.kafka_bootstrap_servers, partitions=settings.partitions)
    _fence_effects(settings, ends)
    return manifest


def manifest_of(directory: Path) -> Manifest:
    """What an export holds. Raises BadArchive."""
    path = directory / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError:
        raise BadArchive(f"{path} is not there: {directory} is no (whole) export") from None
    except (msgspec.MsgspecError, json.JSONDecodeError) as error:
        raise BadArchive(f"{path} cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise BadArchive(f"{path} has format {manifest.format}, this build reads {FORMAT}")
    return manifest


class _Ends:
    """How far each topic's partitions are written, and decided."""

    def __init__(self) -> None:
        self.written: dict[tuple[str, int], int] = {}
        self.decided: dict[int, int] = {}
        self.failed: KafkaError | None = None
        self.moved: str | None = None

    @classmethod
    def nothing(cls, manifest: Manifest) -> _Ends:
        """Before the first record."""
        ends = cls()
        ends.written = {(FACTS, partition): 0 for partition in range(manifest.partitions.get(FACTS, 0))}
        ends.decided = dict.fromkeys(range(manifest.partitions.get(COMMANDS, 0)), 0)
        return ends

    def delivered(self, topic: str, wanted: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed = error
            return
        partition, offset = message.partition() or 0, offset_of(message)
        self.written[topic, partition] = max(self.written.get((topic, partition), 0), offset + 1)
        if topic == COMMANDS and offset != wanted:
            self.moved = f"{COMMANDS}[{partition}]: the command of offset {wanted} got offset {offset}"


def _produce_all(settings: Settings, directory: Path, manifest: Manifest, progress: Progress) -> _Ends:
    client, codec, ends = producer(settings, **{"linger.ms": 20}), codec_of(settings), _Ends()
    for one in manifest.files:
        bar = progress.bar(f"{one.topic}[{one.partition}]", one.records)
        made = 0
        for record in records_of(directory / one.file, codec):
            if one.topic == FACTS:
                fact = codec.decode(record.value)
                if isinstance(fact, RecordedFact):
                    at = fact.envelope
                    ends.decided[at.partition] = max(ends.decided.get(at.partition, 0), at.offset + 1)
            _produce(client, one, record, ends)
            made += 1
            if made % BAR_EVERY == 0:
                client.poll(0)
                _check(settings, ends)
                bar.set(made)
        left = client.flush(FLUSH_S)
        if left:
            ends.failed = ends.failed or KafkaError(KafkaError._TIMED_OUT)
        _check(settings, ends)
        if made != one.records:
            raise BadArchive(f"{one.file} has {made} records, the manifest says {one.records}")
        bar.finish(made)
    return ends


def _produce(client: Producer, one: ArchivedFile, record: Archived, ends: _Ends) -> None:
    topic, offset = one.topic, record.offset

    def delivered(error: KafkaError | None, message: Message) -> None:
        ends.delivered(topic, offset, error, message)

    while True:
        try:
            client.produce(
                topic, record.value, record.key, one.partition, timestamp=record.timestamp_ms,
                headers=list(record.headers), on_delivery=delivered,
            )  # fmt: skip
            return
        except BufferError:
            client.poll(0.1)


def _check(settings: Settings, ends: _Ends) -> None:
    if ends.failed is not None:
        raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, f"a record was not written: {ends.failed}")
    if ends.moved is not None:
        raise BadArchive(f"{ends.moved}: somebody else writes here; an import takes a fresh cluster that nobody uses")


def records_of(path: Path, codec: Codec) -> Iterator[Archived]:
    """A file's records in their order. Raises BadArchive."""
    try:
        with path.open("rb") as file:
            for found in fastavro.reader(file, return_record_name=True):
                yield restored(found, codec)  # type: ignore[arg-type]
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise BadArchive(f"{path} cannot be read: {type(error).__name__}: {error}") from None


def _stamp_as_told(settings: Settings, manifest: Manifest) -> None:
    """Log time is decided by the commands' timestamps: while they are written, the broker must not stamp its own."""
    if COMMANDS not in manifest.partitions:
        return
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, COMMANDS, incremental_configs=[entry])
    client = admin(settings)  # it has to outlive the answer
    try:
        for future in client.incremental_alter_configs([resource]).values():
            future.result(METADATA_TIMEOUT_S)
    except KafkaException as error:
        raise ServiceUnreachable("Kafka", settings.kafka_bootstrap_servers, str(error.args[0])) from error


def _fence_effects(settings: Settings, ends: _Ends) -> None:
    """What the log has told, charged and decided already is behind the groups that would do it.

    Raises NotEmpty when a dataflow is running: a broker lets nobody else set the offsets of a group with members.
    """
    facts = {partition: end for (topic, partition), end in ends.written.items() if topic == FACTS}
    messages = {partition: end for (topic, partition), end in ends.written.items() if topic == NOTIFICATIONS}
    for group, topic, offsets in (
        (COMPOSE_GROUP, FACTS, facts),
        (MAIL_GROUP, NOTIFICATIONS, messages),
        (PAYMENTS_GROUP, FACTS, facts),
        (RESERVATIONS_GROUP, COMMANDS, ends.decided),
    ):
        if not offsets:
            continue
        client = consumer(settings, group=group)
        try:
            places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
            client.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() in (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION):
                raise NotEmpty(f"the group {group} has members: stop the dataflows before an import") from None
            raise ServiceUnreachable("Kafka", topic, f"the offsets of group {group}: {cause}") from error
        finally:
            client.close()
