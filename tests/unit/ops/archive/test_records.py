"""Records go into Avro container files and come out with the same bytes; users can come out under pseudonyms."""

from __future__ import annotations

import io
from typing import Any, get_args, get_origin

import fastavro
import msgspec
import pytest

from ops.archive.records import Archived, OtherNames, personal_fields, restored, schema_of, stored
from pipelines.history.verification import PartitionVerifier
from schemas import facts as f
from schemas.commands import COMMANDS as COMMAND_TYPES
from schemas.commands import ReserveInTurn
from schemas.facts import FACTS as FACT_TYPES
from schemas.field_types import plain
from schemas.notifications import NOTIFICATIONS as NOTIFICATION_TYPES
from schemas.record import LogRecord
from schemas.topics import COMMANDS, FACTS, NOTIFICATIONS
from tests.harness.command_logs import CODEC, BothLogs, ListFeed
from tests.harness.fact_logs import recorded
from tests.harness.words import ALICE, BOB, EVENT

HEADERS = [("ce_id", b"0-1-0"), ("reply_to", b"circle:replies:api-1"), ("odd", None)]


def both(seed: int = 3) -> tuple[BothLogs, list[Archived], list[Archived]]:
    log = BothLogs(partition=0, seed=seed, in_turn=True)
    log.take(300)
    assert any(isinstance(command, ReserveInTurn) for _, command in log.commands)
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


@pytest.mark.parametrize("record", [*COMMAND_TYPES, *FACT_TYPES, *NOTIFICATION_TYPES], ids=lambda one: one.__name__)
def test_each_field_with_a_users_id_gets_a_pseudonym(record: type[Any]) -> None:
    names = OtherNames(b"k" * 32, CODEC)
    types = {field.name: field.type for field in msgspec.structs.fields(record)}
    users = [name for name in types if name == "user_ids" or name.endswith(("user_id", "member_id", "organizer_id"))]
    assert set(users) == set(personal_fields(record)) - {"payment_token"}
    made = record(**{name: [ALICE] if name == "user_ids" else ALICE if name in users else filled(types[name])
                     for name in types})  # fmt: skip
    after = names._struct(made)
    assert {name for name in types if getattr(after, name) != getattr(made, name)} == set(personal_fields(record))
    assert ALICE not in repr(after)


def filled(kind: Any) -> Any:
    """A value of a field that is no user."""
    kinds = {plain(one) for one in (get_args(kind) or [kind])}
    return [] if get_origin(kind) is list else 1 if int in kinds else "x"


def test_the_subject_of_a_command_about_staff_gets_the_members_pseudonym() -> None:
    names = OtherNames(b"k" * 32, CODEC)
    again = f.CommandDuplicated("AddStaff", BOB, ALICE)
    refused = f.CommandRefused(
        command_type="AddStaff", subject_id=EVENT, user_id=ALICE, reason="forbidden", detail="not yours"
    )
    told = [names.renamed(archived(fact), FACTS) for fact in (again, refused)]
    first, second = (CODEC.decode(one.value).fact for one in told)  # type: ignore[union-attr]
    assert (first.subject_id, first.user_id) == (names.name(BOB), names.name(ALICE))
    assert (second.subject_id, second.user_id) == (EVENT, names.name(ALICE))


def archived(fact: f.Fact) -> Archived:
    one = recorded(fact, offset=0)
    value = CODEC.encode_fact(one.envelope, one.fact)
    return Archived(offset=0, timestamp_ms=1, key=EVENT.encode(), value=value, headers=[])


def test_another_key_gives_other_names() -> None:
    one, other = OtherNames(b"a" * 32, CODEC), OtherNames(b"b" * 32, CODEC)
    assert one.name(ALICE) == one.name(ALICE) != other.name(ALICE)
    assert one.name("") == ""
