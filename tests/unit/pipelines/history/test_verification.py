"""A log is decided again and compared with its facts: agreement is silent, and every difference is found and named."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
import pytest

from pipelines.history.rules_by_version import RULES
from pipelines.history.verification import DIGEST_BYTES, PartitionVerifier, Undecided
from schemas import codec as codec_module
from schemas import facts as f
from schemas.codec import HEADER_BYTES, Codec
from schemas.facts import RecordedFact
from schemas.record import LogRecord
from tests.harness.command_logs import CODEC, BothLogs, ListFeed, encoded, fact_records, verified
from tests.harness.words import BOB, R2, add_type, create, publish, reserve


def drop() -> BothLogs:
    log = BothLogs(partition=0, seed=1)
    for command in (create(), add_type(), publish(), reserve(2), reserve(1, rid=R2, by=BOB)):
        log.put(command)
    return log


def changed(log: BothLogs, number: int, **changes: object) -> list[LogRecord]:
    """The log's facts with one of them changed by hand."""
    facts = list(log.facts)
    one = facts[number]
    facts[number] = RecordedFact(one.envelope, msgspec.structs.replace(one.fact, **changes))
    return fact_records(facts)


@pytest.mark.parametrize("seed", range(6))
def test_a_log_agrees_with_itself(seed: int) -> None:
    log = BothLogs(partition=3, seed=seed)
    log.take(400)
    found = verified(log)
    assert found.divergences == []
    assert (found.commands, found.facts, found.through) == (400, len(log.facts), 399)
    assert any(isinstance(one.fact, f.SeatLocksObserved) for one in log.facts)
    assert found.states.keys() == {key for key, state in log.states.items() if state.details is not None}


@pytest.mark.parametrize("length", [1, 36, 63, 64, 128])
def test_ids_of_every_length_are_found_in_the_bytes(length: int) -> None:
    log = BothLogs(partition=0, seed=1)
    for command in (create(), add_type(), publish(), reserve(2)):
        log.put(msgspec.structs.replace(command, event_id="e" * length))
    log.offset = 2**40  # the furthest possible place of a log
    log.put(msgspec.structs.replace(reserve(1, rid=R2, by=BOB), event_id="e" * length))
    feed = ListFeed(log.fact_records())
    verifier = PartitionVerifier(0, CODEC, feed)
    *commands, last = log.command_records()
    for record in (*commands, last._replace(offset=2**40)):
        verifier.read(record)
    verifier.finish()
    assert (verifier.divergences, verifier.facts, verifier.through) == ([], 5, 2**40)


def test_the_digest_is_that_of_the_facts_bytes_and_of_nothing_else() -> None:
    log = drop()
    twice = log.fact_records()
    twice.insert(3, twice[1])
    assert verified(log).digest == verified(log, twice).digest
    other = drop()
    other.put(reserve(1, rid="another"))
    assert verified(other).digest != verified(log).digest


def test_a_fact_changed_by_hand_is_found_and_named() -> None:
    log = drop()
    found = verified(log, changed(log, 3, seats=["C-1", "C-2"]))
    (one,) = found.divergences
    assert (one.kind, one.position, one.record) == ("fact-differs", "0-3-0", "tickets.facts[0]@3")
    assert "seats is ['C-1', 'C-2'] on the log, ['A-3', 'A-4'] by the rules" in one.what
    assert one.recorded is not None
    assert one.decided is not None
    assert (one.recorded["seats"], one.decided["seats"]) == (["C-1", "C-2"], ["A-3", "A-4"])


def test_a_fact_that_was_taken_out_is_missing() -> None:
    log = drop()
    records = log.fact_records()
    del records[3]
    (one,) = verified(log, records).divergences
    assert (one.kind, one.position) == ("missing-fact", "0-3-0")


def test_a_fact_that_was_put_in_is_found() -> None:
    log = drop()
    forged = RecordedFact(msgspec.structs.replace(log.facts[3].envelope, index=1, count=2), f.TickObserved())
    records = log.fact_records()
    records.insert(4, LogRecord(99, 0, None, encoded(forged)))
    (one,) = verified(log, records).divergences
    assert (one.kind, one.position, one.record) == ("surplus-fact", "0-3-1", "tickets.facts[0]@99")


def test_a_repetition_with_the_same_bytes_collapses_and_another_is_a_divergence() -> None:
    log = drop()
    records = log.fact_records()
    same = verified(log, [*records[:5], records[3], records[4]])
    assert (same.divergences, same.repeated) == ([], 2)
    (one,) = verified(log, [*records, changed(log, 3, seats=["B-1"])[3]]).divergences
    assert (one.kind, one.position) == ("told-differently", "0-3-0")


def test_bytes_that_are_no_fact_are_found_and_the_rest_is_verified() -> None:
    log = drop()
    records = log.fact_records()
    records.insert(2, LogRecord(77, 0, None, b"\x00junk"))
    found = verified(log, records)
    assert [one.kind for one in found.divergences] == ["unreadable-fact"]
    assert found.through == 4


def test_a_fact_of_rules_that_this_build_does_not_have_is_said_so() -> None:
    log = drop()
    facts = list(log.facts)
    facts[4] = RecordedFact(msgspec.structs.replace(facts[4].envelope, rules_version=9), facts[4].fact)
    (one,) = verified(log, fact_records(facts)).divergences
    assert one.kind == "unknown-rules"
    assert "version 9" in one.what


def test_old_decisions_are_verified_under_the_rules_of_their_day(monkeypatch: pytest.MonkeyPatch) -> None:
    log = drop()
    facts = list(log.facts)
    old = msgspec.structs.replace(facts[4].envelope, rules_version=0)
    facts[4] = RecordedFact(
        old,
        f.ReservationRejected(
            reservation_id=R2,
            user_id=BOB,
            ticket_type_id="stalls",
            quantity=1,
            fingerprint=1,
            reason="sold-out",
            detail="as it was then",
        ),
    )

    def as_it_was(*_: object) -> list[f.Fact]:
        return [facts[4].fact]

    monkeypatch.setitem(RULES, 0, as_it_was)
    assert verified(log, fact_records(facts)).divergences == []


def test_what_is_not_decided_yet_waits_and_goes_on() -> None:
    log = drop()
    records = log.fact_records()
    feed = ListFeed([*records[:3], records[1]])
    verifier = PartitionVerifier(0, CODEC, feed)
    commands = log.command_records()
    for record in commands[:3]:
        verifier.read(record)
    with pytest.raises(Undecided):
        verifier.read(commands[3])
    assert (verifier.through, verifier.busy_event) == (2, None)
    feed.records += records[3:]
    verifier.read(commands[3])
    verifier.read(commands[4])
    assert (verifier.through, verifier.divergences) == (4, [])


def test_a_command_of_which_half_the_facts_are_there_waits_for_the_rest() -> None:
    log = drop()
    log.now += 10**9
    log.put(reserve(1, rid="later"))
    assert log.facts[-1].envelope.count == 3
    records = log.fact_records()
    feed = ListFeed(records[:-1])
    verifier = PartitionVerifier(0, CODEC, feed)
    commands = log.command_records()
    for record in commands[:-1]:
        verifier.read(record)
    for _ in range(2):
        with pytest.raises(Undecided):
            verifier.read(commands[-1])
    assert verifier.busy_event is not None
    feed.records += [*records[-3:-1], records[-1]]  # written again, as by a successor on a weak broker
    verifier.read(commands[-1])
    assert (verifier.through, verifier.divergences, verifier.repeated) == (5, [], 2)


def test_one_event_alone_is_verified_at_the_partitions_log_time() -> None:
    log = BothLogs(partition=0, seed=5)
    log.take(300)
    event_id = next(iter(log.states))
    key = event_id.encode()
    feed = ListFeed([record for record in log.fact_records() if record.key == key])
    verifier = PartitionVerifier(0, CODEC, feed, only=event_id)
    for record in log.command_records():
        verifier.read(record)
    verifier.finish()
    assert verifier.divergences == []
    assert verifier.facts == len(feed.records) > 50


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Codec:
    """A codec for which the rules of today began before TicketsHeld had `mailbox`."""
    monkeypatch.setattr(codec_module, "LAST_SCHEMA_OF_RULES", {1: 31, 2: 90})
    return Codec()


def held_before(codec: Codec, log: BothLogs) -> list[LogRecord]:
    """The log's facts, with holds as a build wrote them before they had `mailbox`."""
    without_mailbox = (59).to_bytes(HEADER_BYTES, "big")  # that schema's id
    records = fact_records(log.facts)
    for number, one in enumerate(log.facts):
        if isinstance(one.fact, f.TicketsHeld):
            fact = msgspec.structs.replace(one.fact, mailbox=None)
            value = codec.encode_fact_as(without_mailbox, one.envelope, fact)
            assert value not in (None, records[number].value)
            records[number] = records[number]._replace(value=value)
    return records


def decided_again(codec: Codec, log: BothLogs, records: list[LogRecord]) -> PartitionVerifier:
    verifier = PartitionVerifier(log.partition, codec, ListFeed(records))
    for record in log.command_records():
        verifier.read(record)
    verifier.finish()
    return verifier


def test_a_fact_agrees_that_an_earlier_build_wrote_before_it_had_a_field(codec: Codec) -> None:
    log = drop()
    records = held_before(codec, log)
    found = decided_again(codec, log, [*records[:4], records[3], *records[4:]])
    assert (found.divergences, found.facts, found.repeated) == ([], len(log.facts), 1)
    digest = blake2b(b"".join(record.value or b"" for record in records), digest_size=DIGEST_BYTES)
    assert found.digest == digest.hexdigest()  # of the bytes on the log


def test_a_fact_differs_that_lacks_a_field_which_the_rules_give(codec: Codec) -> None:
    log = BothLogs(partition=0, seed=1)
    for command in (create(), add_type(), publish(), reserve(2, mailbox=7)):
        log.put(command)
    found = decided_again(codec, log, held_before(codec, log))
    assert [one.kind for one in found.divergences] == ["fact-differs"]


def test_a_fact_differs_that_was_written_as_under_rules_before_its_own() -> None:
    log = drop()
    earlier = CODEC.encode_fact_under(1, log.facts[0].envelope, log.facts[0].fact)
    records = fact_records(log.facts)
    records[0] = records[0]._replace(value=earlier)
    assert [one.kind for one in verified(log, records).divergences] == ["fact-differs"]
