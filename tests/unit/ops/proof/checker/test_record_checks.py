"""The checker reads a record's place, lists and time by its own code, and comes to the worker's result."""

from __future__ import annotations

import random
import uuid

import pytest
from msgspec.structs import replace

from ops.proof.checker.record_checks import TURN_LISTS, fault_in, home_partition, log_time_of, murmur2_of
from schemas import commands as c
from schemas.codec import Codec, Undecodable
from schemas.command_reading import command_in
from schemas.ids import TIME_MS_MAX, EventId, stamped
from tests.harness.words import BOB, EVENT, in_turn, reserve

CODEC = Codec()
TURN = in_turn(reserve(2, rid="r1"), reserve(1, rid="r2", by=BOB), reserve(3, rid="r3"))


@pytest.mark.parametrize(
    ("key", "digest"),
    [  # of Kafka's own test of its Java client, signed as Java has them
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_the_digest_of_a_key_is_that_of_kafkas_java_client(key: str, digest: int) -> None:
    assert murmur2_of(key.encode()) == digest & 0xFFFFFFFF


@pytest.mark.parametrize("partitions", [1, 2, 8, 50])
def test_only_the_partition_of_its_event_may_have_a_command(partitions: int) -> None:
    keys = random.Random(7)
    for number in range(200):
        event = EventId(str(uuid.UUID(int=keys.getrandbits(128))) + "ü" * (number % 4))
        home = home_partition(event, partitions)
        command = replace(reserve(1), event_id=event)
        assert fault_in(command, home, partitions) == ""
        assert command_in(CODEC, CODEC.encode(command), home, partitions) == command
        other = (home + 1) % partitions
        if other != home:
            said = command_in(CODEC, CODEC.encode(command), other, partitions)
            assert said == Undecodable(fault_in(command, other, partitions))


def test_without_the_size_of_the_topic_the_place_is_not_checked() -> None:
    assert fault_in(reserve(1), 99, None) == ""
    assert fault_in(reserve(1), 99, 8) == f"event {EVENT} is on partition {home_partition(EVENT, 8)}, not on 99"


def test_each_list_of_requests_in_turn_is_checked() -> None:
    own = {name for name in c.ReserveInTurn.__struct_fields__ if isinstance(getattr(TURN, name), list)}
    assert set(TURN_LISTS) == own


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {name: [] for name in TURN_LISTS},
        {name: getattr(TURN, name) * 67 for name in TURN_LISTS},
        *({name: ["1"]} for name in TURN_LISTS),
        *({name: ["1", "1", "1" * 129]} for name in TURN_LISTS),
        *(
            {name: ["1", "1", text]}
            for name in ("quantities", "fingerprints", "mailboxes")
            for text in (
                "", "0", "-0", "-1", "+1", "01", "1.0", " 1", "1\n", "1_0", "\u0661", "x", str(2**31 - 1), str(2**31),
                str(2**63 - 1), str(2**63), str(-(2**63)), str(-(2**63) - 1), "9" * 20, "9" * 128,
            )
        ),
    ],
)  # fmt: skip
def test_a_flaw_of_requests_in_turn_is_the_one_that_the_worker_records(changes: dict[str, list[str]]) -> None:
    command = replace(TURN, **changes)
    fault, said = fault_in(command, 0, None), command_in(CODEC, CODEC.encode(command), 0, None)
    assert said == (Undecodable(fault) if fault else command)


@pytest.mark.parametrize("timestamp_ms", [-1, 0, 1, TIME_MS_MAX, TIME_MS_MAX + 1, -(2**63), 2**63 - 1])
def test_a_time_outside_the_calendar_moves_no_log_time(timestamp_ms: int) -> None:
    assert log_time_of(timestamp_ms) == stamped(timestamp_ms)
