"""`circle topics tail|get|search` on a broker: records are found by key, position, time, type and field, decoded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from api.log.event_log import Bounds
from api.reads.operator_questions import RecordsAsked, places_of
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from pipelines.watch.record_search import Criteria, ReadingBounds, Search
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.words import EVENT, R1
from tests.integration.ops.watch.conftest import OTHER, WrittenTo

PAGE = 150


@pytest.fixture(scope="module")
def home(module_settings: Settings, two_partitions: WrittenTo) -> int:
    """The partition of the reservation. No test adds a record."""
    return two_partitions(module_settings)


@pytest.fixture
def settings(module_settings: Settings) -> Settings:
    return module_settings


def test_a_key_and_a_field_find_the_records_of_one_reservation(circle: Circle, home: int) -> None:
    code, found = circle("topics", "search", COMMANDS, "--key", EVENT, "--where", f"reservation_id={R1}", "--json")
    assert code == 0
    assert [(one["record"], one["position"]) for one in found["records"]] == [
        ("ReserveTickets", f"{home}-3"), ("ConfirmReservation", f"{home}-4"), ("ReleaseReservation", f"{home}-5"),
    ]  # fmt: skip
    assert found["records"][0]["fields"]["seats"] == ["B-1", "B-2"]
    assert found["search"]["complete"]
    seat = circle("topics", "search", COMMANDS, "--where", "seats=B-2", "--key", EVENT, "--json")[1]["records"]
    assert [one["position"] for one in seat] == [f"{home}-3"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("oldest_first", [True, False])
@pytest.mark.parametrize("partition", [None, OTHER])
def test_pages_have_each_record_once_in_both_directions(
    settings: Settings, partition: int | None, *, oldest_first: bool
) -> None:
    partitions = None if partition is None else [partition]
    every = [
        (one.partition, one.offset) for one in Search(settings, FACTS, Criteria(), partitions=partitions).matches()
    ]
    seen: list[tuple[int, int]] = []
    places: dict[int, int] | None = None
    while True:
        asked = RecordsAsked(
            topic=FACTS, criteria=Criteria(), count=PAGE, oldest_first=oldest_first, partition=partition, places=places
        )
        found = asked.answer(settings, Bounds(records_max=100_000, seconds_max=60))
        page = [(one.partition, one.offset) for one in found.items]
        seen = [*seen, *page] if oldest_first else [*page, *seen]
        if found.next_cursor is None:
            break
        assert len(page) == PAGE
        places = places_of(found.next_cursor, oldest_first=oldest_first)
    assert len(every) > 3 * PAGE
    assert seen == every


def test_a_type_finds_its_records_on_all_partitions_in_the_order_of_time(circle: Circle, home: int) -> None:
    found = circle("topics", "search", COMMANDS, "--type", "CreateEvent", "--json")[1]["records"]
    assert {one["partition"] for one in found} == {home, OTHER}
    assert {one["record"] for one in found} == {"CreateEvent"}
    assert [one["time"] for one in found] == sorted(one["time"] for one in found)


@pytest.mark.parametrize("offset", [0, 3, 399, 799])
def test_the_facts_of_a_position_are_found_without_reading_the_partition(
    settings: Settings, circle: Circle, home: int, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.redrives.fact_positions.NEAR", 20)
    criteria = Criteria.at(f"{OTHER}-{offset}")
    searching = Search(settings, FACTS, criteria)
    facts = list(searching.matches())
    assert facts
    assert {one.position.rpartition("-")[0] for one in facts} == {f"{OTHER}-{offset}"}
    assert [one.fields["index"] for one in facts] == list(range(facts[0].fields["count"]))
    assert searching.progress.read <= 20 + 100
    one = circle("topics", "search", FACTS, "--position", f"{OTHER}-{offset}-0", "--json")[1]["records"]
    assert [fact["position"] for fact in one] == [f"{OTHER}-{offset}-0"]


def test_a_place_without_a_record_and_wrong_usage_are_said_so(circle: Circle, home: int) -> None:
    assert circle("topics", "get", COMMANDS, f"{home}-99999")[0] == 1
    assert circle("topics", "get", FACTS, f"{home}-99999-0")[0] == 1
    assert circle("topics", "get", COMMANDS, "99-0")[0] == 2
    assert circle("topics", "get", COMMANDS, "somewhere")[0] == 2
    assert circle("topics", "search", "no.topic")[0] == 2
    assert circle("topics", "search", COMMANDS, "--since", "yesterday")[0] == 2
    assert circle("topics", "search", COMMANDS, "--where", "seats")[0] == 2


def test_the_tail_is_the_latest_of_all_partitions_and_goes_further_back_for_rare_records(
    circle: Circle, home: int
) -> None:
    found = circle("topics", "tail", COMMANDS, "--last", "30", "--json")[1]["records"]
    whole = circle("topics", "search", COMMANDS, "--limit", "9999", "--json")[1]["records"]
    assert found == whole[-30:]
    (first,) = circle("topics", "tail", COMMANDS, "--partition", str(OTHER), "--last", "1", "--where",
                      f"command_id={whole_id(whole)}", "--json")[1]["records"]  # fmt: skip
    assert first["offset"] == 0


def whole_id(records: list[dict[str, object]]) -> object:
    """The command id of the first record of the other partition: far from its end."""
    return next(one["fields"]["command_id"] for one in records if one["partition"] == OTHER)  # type: ignore[index]


def test_a_time_is_a_bound_at_both_ends(circle: Circle, home: int) -> None:
    whole = circle("topics", "search", COMMANDS, "--limit", "9999", "--json")[1]["records"]
    since, until = whole[100]["time"], whole[600]["time"]
    found = circle("topics", "search", COMMANDS, "--since", since, "--until", until, "--limit", "9999", "--json")[1]
    assert found["records"] == [one for one in whole if since <= one["time"] < until]
    assert circle("topics", "search", COMMANDS, "--since", "2999-01-01T00:00:00Z", "--json")[1]["records"] == []


def test_a_search_that_ends_at_a_bound_says_where_to_go_on(settings: Settings, home: int) -> None:
    first = Search(settings, COMMANDS, Criteria(), bounds=ReadingBounds(records_max=500))
    early = list(first.matches())
    assert (len(early), first.progress.stopped) == (500, "500 records were read")
    rest = Search(settings, COMMANDS, Criteria(), starts=first.progress.next_offsets)
    places = [(one.partition, one.offset) for one in [*early, *rest.matches()]]
    assert len(places) == len(set(places)) == 846
    assert rest.progress.complete
    few = Search(settings, COMMANDS, Criteria(), bounds=ReadingBounds(matches_max=7))
    assert len(list(few.matches())) == 7
    assert few.progress.stopped == "7 records were found"


def test_matches_are_exported_as_lines_of_json(circle: Circle, home: int, tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    code, report = circle("topics", "search", FACTS, "--partition", str(OTHER), "--to", str(path), "--json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert (code, report["search"]["matches"]) == (0, len(lines))
    assert len(lines) >= 800
    assert [line["offset"] for line in lines] == sorted(line["offset"] for line in lines)
    assert circle("topics", "search", FACTS, "--to", str(tmp_path / "no" / "such"))[0] == 2


def test_a_partition_that_is_far_ahead_is_paused_until_the_others_come(
    settings: Settings, home: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.topic_reader.BUFFERED_MAX", 50)
    monkeypatch.setattr("connectors.topic_reader.CHUNK", 20)

    class LateHome:
        """The client, with the records of `home` held back until another partition is paused."""

        def __init__(self, client: Consumer) -> None:
            self.client, self.paused, self.held = client, list[TopicPartition](), list[Message]()

        def pause(self, places: list[TopicPartition]) -> None:
            self.paused += places
            self.client.pause(places)

        def poll(self, timeout: float) -> Message | None:
            if self.paused and self.held:
                return self.held.pop(0)
            message = self.client.poll(timeout)
            if message is None or message.partition() != home or self.paused:
                return message
            self.held.append(message)
            return None

        def consume(self, number: int, _timeout: float) -> list[Message]:
            return [one for _ in range(number) if (one := self.poll(0)) is not None]

        def __getattr__(self, name: str) -> object:
            return getattr(self.client, name)

    with TopicReader(settings, COMMANDS) as reader:
        client = reader._client = LateHome(reader._client)  # type: ignore[assignment]
        read = list(reader.from_offsets({home: 0, OTHER: 0}))
    assert {(place.topic, place.partition) for place in client.paused} == {(COMMANDS, OTHER)}
    places = [(one.partition(), one.offset()) for one in read]
    assert len(places) == len(set(places)) == 846
    assert [one.timestamp()[1] for one in read] == sorted(one.timestamp()[1] for one in read)
