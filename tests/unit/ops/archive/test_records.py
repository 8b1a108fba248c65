"""Records go into Avro container files and come out with the same bytes; users can come out under pseudonyms."""

from __future__ import annotations

import io

import fastavro
import pytest

from ops.archive.records import Archived, OtherNames, restored, schema_of, stored
from pipelines.history.verification import PartitionVerifier
from schemas.record import LogRecord
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS
from tests.harness.command_logs import CODEC, BothLogs, ListFeed
from tests.harness.words import ALICE

HEADERS = [("ce_id", b"0-1-0"), ("reply_to", b"circle:replies:api-1"), ("odd", None)]


def both(seed: int = 3) -> tuple[BothLogs, list[Archived], list[Archived]]:
    log = BothLogs(partition=0, seed=seed)
    log.take(300)
    commands = [
        Archived(offset=one.offset, timestamp_ms=one.timestamp_ms, key=one.key, value=one.value, headers=HEADERS)
        for one in log.command_records()
    ]
    facts = [
        Archived(offset=one.offset, timestamp_ms=one.timestamp_ms, key=one.key, value=one.value, headers=HEADERS)
        for one in log.fact_records()
    ]
    return log, commands, facts


def through_a_file(records: list[Archived], topic: str) -> list[Archived]:
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema_of(topic)), [stored(one, CODEC) for one in records], "deflate")
    file.seek(0)
    return [restored(found, CODEC) for found in fastavro.reader(file, return_record_name=True)]


def test_records_come_out_as_they_went_in() -> None:
    _, commands, facts = both()
    assert through_a_file(commands, COMMANDS) == commands
    assert through_a_file(facts, FACTS) == facts


@pytest.mark.parametrize("value", [None, b"", b"\x00junk", b"\x00\x00\x00\x00\x01" + b"\xff" * 40])
def test_what_cannot_be_decoded_is_kept_as_bytes(value: bytes | None) -> None:
    odd = [Archived(offset=7, timestamp_ms=1, key=None, value=value, headers=[])]
    for topic in (COMMANDS, FACTS, NOTIFICATIONS):
        assert through_a_file(odd, topic) == odd


def test_any_avro_reader_sees_the_fields() -> None:
    _, _, facts = both()
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema_of(FACTS)), [stored(one, CODEC) for one in facts])
    file.seek(0)
    first = next(iter(fastavro.reader(file)))
    assert first["value"]["title"].startswith("N")
    assert first["value"]["count"] == 1


def test_under_other_names_nobody_is_left_and_the_log_still_verifies() -> None:
    log, commands, facts = both()
    commands.append(
        Archived(offset=300, timestamp_ms=log.now // 1_000, key=b"k", value=b"who knows what this is", headers=[])
    )
    names = OtherNames(b"k" * 32, CODEC)
    renamed = [names.renamed(one, COMMANDS) for one in commands]
    told = [names.renamed(one, FACTS) for one in facts]
    everything = b"".join((one.value or b"") + (one.key or b"") for one in renamed + told)
    for user in log._users:
        assert user.encode() not in everything
    assert b"who knows" not in everything
    assert {name for one in renamed for name, _ in one.headers} == {"ce_id"}
    feed = ListFeed([LogRecord(one.offset, one.timestamp_ms, one.key, one.value) for one in told])
    verifier = PartitionVerifier(0, CODEC, feed)
    for one in renamed[:-1]:
        verifier.read(LogRecord(one.offset, one.timestamp_ms, one.key, one.value))
    verifier.finish()
    assert verifier.divergences == []


def test_another_key_gives_other_names() -> None:
    one, other = OtherNames(b"a" * 32, CODEC), OtherNames(b"b" * 32, CODEC)
    assert one.name(ALICE) == one.name(ALICE) != other.name(ALICE)
    assert one.name("") == ""
