"""Records that are written during a test: shown with schema and headers, shown undecodable, and followed."""

from __future__ import annotations

import pytest

from connectors.kafka import producer
from connectors.settings import Settings
from pipelines.watch.record_search import Criteria, Search
from schemas.codec import Codec
from schemas.replies import REPLY_KEY
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.words import EVENT, confirm, create, publish
from tests.integration.ops.watch.conftest import WrittenTo


@pytest.fixture
def home(settings: Settings, two_partitions: WrittenTo) -> int:
    """The partition of the reservation."""
    return two_partitions(settings)


def test_one_record_is_shown_with_its_schema_and_headers(settings: Settings, circle: Circle, home: int) -> None:
    client = producer(settings)
    headers: list[tuple[str, str | bytes | None]] = [("ce_id", b"c9"), (REPLY_KEY, b"a key of sixteen")]
    client.produce(COMMANDS, Codec().encode(confirm(token="tok_ok")), EVENT.encode(), home, headers=headers)
    client.flush(10)
    (last,) = circle("topics", "tail", COMMANDS, "--partition", str(home), "--last", "1", "--json")[1]["records"]
    code, shown = circle("topics", "get", COMMANDS, f"{home}-{last['offset']}", "--json")
    assert code == 0
    assert shown["record"]["headers"] == {"ce_id": "c9", REPLY_KEY: "…"}
    assert shown["record"]["fields"]["payment_token"] == "…"
    assert shown["record"]["schema_id"] > 0
    assert (shown["schema"]["name"], shown["schema"]["namespace"]) == ("ConfirmReservation", "circle.commands")
    fact = circle("topics", "get", FACTS, f"{home}-3-0", "--json")[1]
    assert (fact["record"]["record"], fact["schema"]["name"]) == ("TicketsHeld", "TicketsHeld")
    text = circle("topics", "get", FACTS, f"{home}-3-0")[1]
    assert "TicketsHeld" in text
    assert "circle.facts.TicketsHeld" in text


def test_bytes_that_are_no_record_are_shown_as_such(settings: Settings, circle: Circle, home: int) -> None:
    client = producer(settings)
    client.produce(COMMANDS, b"garbage", b"\xff", home)
    client.flush(10)
    (last,) = circle("topics", "tail", COMMANDS, "--partition", str(home), "--last", "1", "--json")[1]["records"]
    assert (last["record"], last["value_hex"], last["key"]) == ("", b"garbage".hex(), "\ufffd")
    assert "0x00" in last["undecodable"]


def test_a_follower_hears_what_comes_after_the_tail(settings: Settings, home: int) -> None:
    searching = Search(settings, COMMANDS, Criteria(record="PublishEvent"))
    before = len(list(searching.matches()))
    heard = searching.follow()
    assert next(heard) is None
    client = producer(settings)
    for command in (create(), publish()):
        client.produce(COMMANDS, Codec().encode(command), EVENT.encode(), home)
    client.flush(10)
    published = next(one for one in heard if one is not None)
    assert before >= 1
    assert published.record == "PublishEvent"
