"""`circle replay import`: loads an export's records into a new cluster.

Guarantee: each record keeps its partition, key, headers and timestamp. Each command keeps its offset, because a
position is an identity. Each record keeps its bytes, because a receipt names them: other schema ids are refused until
the operator accepts them. A stopped import continues where it was: the records in the cluster must be the first records
of the files, byte for byte. An import never writes to a cluster with any other record.

Effects are fenced: at the end, the groups that charge and notify stand after the last fact. So no payment and no
message of the log is made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from connectors.errors import ServiceUnreachable
from connectors.kafka import consumer, producer
from connectors.log_reader import LogReader, log_place, partitions_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topics import apply_topics, stamp_as_told
from ops.archive.export import (
    ArchivedFile,
    BadArchive,
    Manifest,
    NotEmpty,
    archived,
    manifest_of,
    other_headers,
    records_of,
)
from ops.archive.records import Archived
from ops.progress import ProgressBars
from pipelines.notifications.branch import FORMER_GROUP
from pipelines.notifications.former_topic import MAIL_GROUP
from pipelines.payments.wiring import GROUP as PAYMENTS_GROUP
from pipelines.reservations.wiring import GROUP as RESERVATIONS_GROUP
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

BAR_EVERY = 2_000
FLUSH_S = 60.0
STOP_S = 5.0

There = dict[tuple[str, int], int]
"""The number of records of each file that are written already."""
Headers = Mapping[bytes, bytes]
"""As `other_headers` gives them."""


def load(
    settings: Settings, directory: Path, progress: ProgressBars, *, other_ids: bool = False, dry_run: bool = False
) -> Manifest:
    """Write an export's records into this cluster's empty topics, or the rest of them after a stop.

    With `other_ids` the schemas may have other ids here. Those of an export with pseudonyms may, too: its records have
    other bytes anyway. Raises BadArchive, NotEmpty, ServiceUnreachable.
    """
    manifest = manifest_of(directory)
    headers = other_headers(manifest, codec_of(settings))
    if headers and not (other_ids or manifest.pseudonymised):
        raise BadArchive(
            f"{len(headers)} of {len(manifest.schemas)} schemas have other ids here than in {directory}: no receipt of "
            "before would match its record; restore the schema registry first, or accept it with --other-ids"
        )
    for one in manifest.files:
        if one.topic == COMMANDS and (one.first != 0 or one.last != one.records - 1):
            raise BadArchive(
                f"{one.file} has offsets {one.first} to {one.last} in {one.records} records: commands must be whole "
                "from offset 0, because a position is an identity; export without --from"
            )
    there = _there(settings, directory, manifest, headers)
    if dry_run:
        return manifest
    _fence_effects(settings, _Ends.nothing(manifest))
    if COMMANDS in manifest.partitions:  # the timestamps of commands decide the log time
        stamp_as_told(settings)
    try:
        ends = _produce_all(settings, directory, manifest, there, headers, progress)
    finally:
        apply_topics(settings, partitions=settings.partitions)
    _fence_effects(settings, ends)
    return manifest


def _there(settings: Settings, directory: Path, manifest: Manifest, headers: Headers) -> There:
    """What a stopped import has written. Raises NotEmpty when the cluster has other records, or all of these."""
    codec, there = codec_of(settings), There()
    files = {(one.topic, one.partition): one for one in manifest.files}
    for topic, partitions in manifest.partitions.items():
        here = partitions_of(settings, topic)
        if here != partitions:
            raise BadArchive(f"{topic} has {here} partitions here and {partitions} in {directory}: keys would move")
        for partition in range(here):
            one = files.get((topic, partition))
            with LogReader(settings, topic, partition) as reader:
                there[topic, partition] = _same(reader, directory, one, codec, headers)
    if manifest.records and sum(there.values()) == manifest.records:
        raise NotEmpty(f"all records of {directory} are here already")
    return there


def _same(reader: LogReader, directory: Path, one: ArchivedFile | None, codec: Codec, headers: Headers) -> int:
    """The number of records of the partition. Raises NotEmpty when they are not the first records of the file."""
    there_now = reader.messages()
    first = next(there_now, None)
    if first is None:
        return 0
    stored = iter(()) if one is None else records_of(directory / one.file, codec, headers)
    count = 0
    for message in chain((first,), there_now):
        record, here = next(stored, None), archived(message)
        if record is None or here.offset != count or _bytes(here) != _bytes(record):
            raise NotEmpty(f"{reader.place} holds other records already; an import takes a fresh cluster")
        count += 1
    return count


def _bytes(record: Archived) -> tuple[bytes | None, bytes | None, int]:
    return record.key, record.value, record.timestamp_ms


class _Ends:
    """The written and the decided end of each partition."""

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
        partition, offset = log_place(message)
        self.written[topic, partition] = max(self.written.get((topic, partition), 0), offset + 1)
        if offset != wanted:
            self.moved = f"{topic}[{partition}]: the record of offset {wanted} got offset {offset}"


def _produce_all(
    settings: Settings, directory: Path, manifest: Manifest, there: There, headers: Headers, progress: ProgressBars
) -> _Ends:
    client, codec, ends = producer(settings, **{"linger.ms": 20}), codec_of(settings), _Ends()
    try:
        for one in manifest.files:
            records = records_of(directory / one.file, codec, headers)
            _produce_file(client, records, one, there[one.topic, one.partition], codec, ends, progress)
            left = client.flush(FLUSH_S)
            if left:
                ends.failed = ends.failed or KafkaError(KafkaError._TIMED_OUT)
            _check(settings, ends)
    finally:  # after a stop nothing may be under way, or the next import would find other records
        if client.flush(STOP_S):
            client.purge()
    return ends


def _produce_file(
    client: Producer,
    records: Iterable[Archived],
    one: ArchivedFile,
    there: int,
    codec: Codec,
    ends: _Ends,
    progress: ProgressBars,
) -> None:
    """Write a file's records after the first `there` ones."""
    bar = progress.bar(f"{one.topic}[{one.partition}]", one.records)
    made = 0
    ends.written[one.topic, one.partition] = there
    for record in records:
        if one.topic == FACTS:
            fact = codec.decode(record.value)
            if isinstance(fact, RecordedFact):
                at = fact.envelope
                ends.decided[at.partition] = max(ends.decided.get(at.partition, 0), at.offset + 1)
        made += 1
        if made <= there:
            continue
        _produce(client, one, record, made - 1, ends)
        if made % BAR_EVERY == 0:
            client.poll(0)
            if ends.failed is not None or ends.moved is not None:
                return
            bar.set(made)
    if made != one.records:
        raise BadArchive(f"{one.file} has {made} records, the manifest says {one.records}")
    bar.finish(made)


def _produce(client: Producer, one: ArchivedFile, record: Archived, offset: int, ends: _Ends) -> None:
    """Write a record. It must get this offset."""
    topic = one.topic

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
        raise BadArchive(f"{ends.moved}: another program writes here; an import needs a fresh, unused cluster")


def _fence_effects(settings: Settings, ends: _Ends) -> None:
    """Move the groups of the dataflows after everything that the log has sent, charged and decided already.

    Raises NotEmpty when a dataflow runs: a broker refuses to set the offsets of a group that has members.
    """
    facts = {partition: end for (topic, partition), end in ends.written.items() if topic == FACTS}
    messages = {partition: end for (topic, partition), end in ends.written.items() if topic == NOTIFICATIONS}
    for group, topic, offsets in (
        (FORMER_GROUP, FACTS, facts),
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
