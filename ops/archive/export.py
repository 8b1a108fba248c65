"""`circle replay export`: writes topics to Avro container files, and reads such a directory.

DIR/<topic>/<partition>.avro holds one partition, and DIR/manifest.json names all files. The manifest is written last: a
directory without it is not a whole export, and an export may write to it again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import msgspec
from confluent_kafka import Message
from fastavro.write import Writer

from connectors.errors import CircleError
from connectors.log_reader import LogReader, key_of, offset_of, partitions_of, stamp_of
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.archive.records import Archived, OtherNames, former_schemas, restored, schema_of, stored
from ops.explain.event_past import BadMoment
from ops.progress import ProgressBars
from pipelines.history.moment import moment
from schemas.codec import HEADER_BYTES, Codec, header_of
from schemas.ids import US_PER_MS
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS

MANIFEST = "manifest.json"
TOPICS = (FACTS, COMMANDS, NOTIFICATIONS)  # facts first, so each fact of an export has its command there
FORMAT = 1
BAR_EVERY = 2_000
FLUSH_S = 60.0
BLOCK_BYTES = 256 * 1024


class BadArchive(CircleError):
    """The directory is not a whole export, or this cluster cannot load it."""


class NotEmpty(CircleError):
    """The cluster or the directory is not empty."""


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's file."""

    topic: str
    partition: int
    file: str
    records: int
    first: int
    last: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an export."""

    format: int
    partitions: dict[str, int]
    pseudonymised: bool
    files: list[ArchivedFile]
    schemas: dict[int, dict[str, Any]] = {}
    """The schema of each id that a readable record of the log has. Exports of former builds have none."""

    @property
    def records(self) -> int:
        return sum(one.records for one in self.files)


class Span(msgspec.Struct, frozen=True):
    """A range of records, by offset or by timestamp. Both ends are inclusive; None is open."""

    first_offset: int | None = None
    last_offset: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None

    def has(self, message: Message) -> bool:
        offset, stamp = offset_of(message), stamp_of(message)
        return (
            (self.first_offset is None or offset >= self.first_offset)
            and (self.last_offset is None or offset <= self.last_offset)
            and (self.first_ms is None or stamp >= self.first_ms)
            and (self.last_ms is None or stamp <= self.last_ms)
        )


def span(start: str | None, end: str | None) -> Span:
    """The range of `--from` and `--to`: an offset (of each partition) or a time. Raises BadMoment."""
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
    progress: ProgressBars,
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
    seen: set[bytes] = set()
    for topic, partitions in counts.items():
        schema = fastavro.parse_schema(schema_of(topic))
        for partition in range(partitions):
            with LogReader(settings, topic, partition, start=within.first_offset) as reader:
                path = None if dry_run else _new_file(directory, topic, partition)
                archived_file = _write(reader, path, schema, codec, within, names, topic, seen, progress)
            if archived_file is not None:
                files.append(
                    ArchivedFile(
                        topic=topic,
                        partition=partition,
                        file=f"{topic}/{partition:05d}.avro",
                        records=archived_file[0],
                        first=archived_file[1],
                        last=archived_file[2],
                    )
                )
    schemas = dict(known for header in sorted(seen) if (known := codec.schema_of(header)) is not None)
    manifest = Manifest(format=FORMAT, partitions=counts, pseudonymised=pseudonymise, files=files, schemas=schemas)
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
    seen: set[bytes],
    progress: ProgressBars,
) -> tuple[int, int, int] | None:
    """Write one partition to `path`, block by block; None writes nothing. Returns count, first and last offset.

    The first HEADER_BYTES of all records are added to `seen`.
    """
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
            record = archived(message)
            seen.add((record.value or b"")[:HEADER_BYTES])
            if writer is not None:
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
    """A consumed record in the form of the files."""
    headers: list[Any] = list(message.headers() or [])
    return Archived(
        offset=offset_of(message),
        timestamp_ms=stamp_of(message),
        key=key_of(message),
        value=message.value(),
        headers=[(name, value.encode() if isinstance(value, str) else value) for name, value in headers],
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


def manifest_of(directory: Path) -> Manifest:
    """The manifest of an export. Raises BadArchive."""
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


def other_headers(manifest: Manifest, codec: Codec) -> dict[bytes, bytes]:
    """The first HEADER_BYTES of records whose schemas have other ids here, each with those that they have here.

    Raises BadArchive when a schema is not known here.
    """
    others = {}
    for schema_id, schema in manifest.schemas.items():
        here = codec.ids_of(schema)
        if not here:
            name = f"{schema.get('namespace')}.{schema.get('name')}"
            raise BadArchive(
                f"the schema with id {schema_id} ({name}) of the export is not known here: a newer build wrote it; "
                "import with that build, or restore the schema registry first"
            )
        if schema_id not in here:
            others[header_of(schema_id)] = header_of(here[-1])
    return others


def records_of(path: Path, codec: Codec, headers: Mapping[bytes, bytes] | None = None) -> Iterator[Archived]:
    """A file's records in their order. `headers` as `other_headers` gives them. Raises BadArchive."""
    try:
        with path.open("rb") as file:
            reader = fastavro.reader(file, return_record_name=True)
            former = former_schemas(reader.writer_schema)  # type: ignore[arg-type]
            for record in reader:
                yield restored(record, codec, former, headers)  # type: ignore[arg-type]
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise BadArchive(f"{path} cannot be read: {type(error).__name__}: {error}") from None
