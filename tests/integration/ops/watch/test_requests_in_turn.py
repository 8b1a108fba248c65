"""Operators' commands with several buyers' requests in one record: each request is found, followed and sent back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.kafka import producer
from connectors.settings import Settings
from pipelines.reservations import flow as reservations
from schemas.codec import Codec
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS, dead_letters
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Flow, eventually, projections, rows_of
from tests.harness.words import ALICE, BOB, EVENT, R1, R2, add_type, create, in_turn, publish, reserve

ONE_ROW = {"rows": 1, "seats_per_row": 2}
TOGETHER = in_turn(reserve(2, rid=R1), reserve(1, rid=R2, by=BOB), reserve(1, rid=R1))
"""A hold of both seats, a request that comes too late, and the first one again."""


@pytest.fixture
def home(settings: Settings) -> int:
    return partition_of(EVENT, settings.partitions)


def send(settings: Settings, home: int, *values: bytes) -> None:
    client = producer(settings)
    for value in values:
        client.produce(COMMANDS, value, EVENT.encode(), home)
    client.flush(10)


@pytest.fixture
def decided(settings: Settings, home: int) -> BothLogs:
    log = BothLogs(partition=home, seed=1)
    for command in (create(), add_type(**ONE_ROW), publish(), TOGETHER):
        log.put(command)
    write_both(settings, [log])
    return log


@pytest.mark.parametrize("condition", [f"reservation_id={R2}", f"user_id={BOB}", f"reservation_ids={R2}"])
def test_one_of_the_requests_finds_their_record(circle: Circle, decided: BothLogs, condition: str) -> None:
    code, found = circle("topics", "search", COMMANDS, "--where", condition, "--json")
    assert code == 0
    (record,) = found["records"]
    assert (record["record"], record["position"]) == ("ReserveInTurn", f"{decided.partition}-3")
    assert record["fields"]["reservation_ids"] == [R1, R2, R1]
    assert circle("topics", "search", COMMANDS, "--where", "reservation_id=nobody", "--json")[1]["records"] == []


def test_their_record_and_each_of_their_facts_are_shown_whole(circle: Circle, decided: BothLogs) -> None:
    place = f"{decided.partition}-3"
    shown = circle("topics", "get", COMMANDS, place, "--json")[1]
    assert (shown["schema"]["name"], shown["record"]["fields"]["quantities"]) == ("ReserveInTurn", ["2", "1", "1"])
    tail = circle("topics", "tail", COMMANDS, "--type", "ReserveInTurn", "--json")[1]["records"]
    assert tail == [shown["record"]]
    facts = circle("topics", "search", FACTS, "--position", place, "--json")[1]["records"]
    assert [(one["record"], one["position"], one["fields"]["user_id"]) for one in facts] == [
        ("TicketsHeld", f"{place}-0", ALICE), ("ReservationRejected", f"{place}-1", BOB),
        ("CommandDuplicated", f"{place}-2", ALICE),
    ]  # fmt: skip
    one = circle("topics", "get", FACTS, f"{place}-1", "--json")[1]["record"]
    assert (one["fields"]["reason"], one["fields"]["reservation_id"]) == ("sold-out", R2)


def test_each_request_is_followed_by_itself_with_its_own_outcome(
    settings: Settings, circle: Circle, decided: BothLogs
) -> None:
    with Flow(projections, settings), rows_of(settings) as query:
        eventually(lambda: query("SELECT count(*) FROM reservations") == [(2,)], "projected")
        found = {name: circle("follow", name, "--json")[1] for name in (R1, R2)}
        assert {name: (one["user_id"], one["status"]) for name, one in found.items()} == {
            R1: (ALICE, "held"), R2: (BOB, "rejected"),
        }  # fmt: skip
        assert {one["event_id"] for one in found.values()} == {EVENT}
        for name, outcomes in ((R1, [("TicketsHeld", "")]), (R2, [("ReservationRejected", "sold-out")])):
            steps = found[name]["steps"]
            assert [one["what"] for one in steps if one["stage"] == "command"] == ["ReserveInTurn"]
            decisions = [(one["what"], one["outcome"]) for one in steps if one["stage"] == "decision"]
            assert decisions[: len(outcomes)] == outcomes
        code, whole = circle("follow", f"{decided.partition}-3", "--json")
        assert (code, whole["reservation_id"], whole["user_id"]) == (0, "", "")
        assert [one["what"] for one in whole["steps"] if one["stage"] == "decision"][:2] == [
            "TicketsHeld", "ReservationRejected",
        ]  # fmt: skip


def test_a_request_whose_record_is_not_decided_yet_is_followed_too(
    settings: Settings, circle: Circle, home: int
) -> None:
    send(settings, home, Codec().encode(TOGETHER))
    code, found = circle("follow", R2, "--json")
    assert (code, found["user_id"], [one["what"] for one in found["steps"]]) == (0, BOB, ["ReserveInTurn"])
    assert found["waits_for"]


def test_a_dead_letter_of_requests_in_turn_goes_back_whole_and_each_is_decided(
    settings: Settings, circle: Circle, home: int
) -> None:
    flawed = Codec().encode(msgspec.structs.replace(TOGETHER, quantities=["2", "1"]))
    send(settings, home, *map(Codec().encode, (create(), add_type(**ONE_ROW), publish())), flawed)

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = circle("dlq", "show", COMMANDS, "0", "--json")[1]
        return found

    with Flow(reservations.run, settings):
        eventually(lambda: len(circle("dlq", "list", "--topic", COMMANDS, "--json")[1]) == 1, "set aside")
        letter = shown()
        assert (letter["letter"]["record"], letter["fields"]["quantities"]) == ("ReserveInTurn", ["2", "1"])
        assert "has 2 quantities for 3 reservation_ids" in letter["letter"]["error"]
        assert circle("dlq", "redrive", COMMANDS, "0", "--set", "quantities=2,1", "--json")[0] == 2
        mend = ("--set", "quantities=2,1,1")
        assert circle("dlq", "redrive", COMMANDS, "0", *mend, "--json")[1]["redriven"] == [0]
        decisions = until_decided(circle, f"{home}-4")
    assert [one["record"] for one in decisions] == ["TicketsHeld", "ReservationRejected", "CommandDuplicated"]
    assert [one["fields"].get("reservation_id", R1) for one in decisions] == [R1, R2, R1]
    assert circle("dlq", "redrive", COMMANDS, "--all", "--json")[1]["redriven"] == []
    assert shown()["letter"]["topic"] == dead_letters(COMMANDS)


def until_decided(circle: Circle, position: str) -> list[dict[str, Any]]:
    """The facts of a command, as soon as there are some."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = circle("topics", "search", FACTS, "--position", position, "--json")[1]["records"]
        return bool(found)

    eventually(there, f"{position} is decided")
    return found
