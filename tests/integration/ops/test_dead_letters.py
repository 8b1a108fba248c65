"""`circle dlq` on a real broker: letters are listed, shown and sent back, each one once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Message

from connectors.kafka import producer
from connectors.settings import Settings
from ops.cli.main import run
from ops.proof.checker.reading import reader, records
from pipelines.watch.dead_letters import NoSuchLetter, choose, letters, redrive
from schemas.codec import Codec
from schemas.commands import ConfirmReservation
from schemas.placement import partition_of
from schemas.topics import COMMANDS, dead_letters
from sinks.dead_letters import DeadLetters

EVENT = "11111111-1111-4111-8111-111111111111"
CONFIRM = ConfirmReservation(
    event_id=EVENT, user_id="ben", command_id="c1", reservation_id="r1", attempt_id="a1", payment_token="tok_secret"
)
Circle = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def circle(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Circle:
    """Runs a command on the stack: its code, its JSON, its error."""
    monkeypatch.setenv("CIRCLE_KAFKA_BOOTSTRAP_SERVERS", settings.kafka_bootstrap_servers)

    def call(*arguments: str) -> tuple[int, Any, str]:
        code = run(["dlq", *arguments, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out else None, told.err

    return call


def log(settings: Settings, topic: str = COMMANDS, partition: int = 3) -> list[Message]:
    client = reader(settings)
    found = list(records(client, topic, partition))
    client.close()
    return found


def put_aside(settings: Settings, *values: bytes) -> None:
    """Writes records to partition 3 of the commands, and sets each aside as a dataflow would."""
    client, aside = producer(settings), DeadLetters(settings)
    for value in values:
        headers: list[tuple[str, str | bytes | None]] = [("ce_id", b"c1"), ("traceparent", b"00-1-2-01")]
        client.produce(COMMANDS, value, EVENT.encode(), 3, headers=headers)
    client.flush(10)
    for record in log(settings):
        aside.put(record, "does not begin with 0x00")
    aside.flush()


def test_no_letters_is_an_empty_list(circle: Circle) -> None:
    assert circle("list")[:2] == (0, [])


def test_a_letter_tells_where_it_stood_and_what_is_in_it(settings: Settings, circle: Circle) -> None:
    put_aside(settings, b"garbage", Codec().encode(CONFIRM))
    code, (garbage, confirm), _ = circle("list")
    assert code == 0
    assert (garbage["origin_topic"], garbage["origin_partition"], garbage["origin_offset"]) == (COMMANDS, 3, 0)
    assert (garbage["error"], garbage["record"], garbage["key"]) == ("does not begin with 0x00", "", EVENT)
    assert (confirm["origin_offset"], confirm["record"]) == (1, "ConfirmReservation")
    shown = circle("show", COMMANDS, "0")[1]
    assert shown["value_hex"] == b"garbage".hex()
    assert "0x00" in shown["undecodable"]
    assert circle("list", "--topic", "tickets.facts")[1] == []


def test_a_payment_token_is_not_shown(settings: Settings, circle: Circle) -> None:
    put_aside(settings, Codec().encode(CONFIRM))
    shown = circle("show", COMMANDS, "0")[1]
    assert shown["fields"]["reservation_id"] == "r1"
    assert shown["fields"]["payment_token"] == "…"


def test_a_letter_goes_back_once_as_it_was(settings: Settings, circle: Circle) -> None:
    put_aside(settings, b"one", b"two")
    assert circle("redrive", COMMANDS, "--all", "--dry-run")[1]["redriven"] == [0, 1]
    assert len(log(settings)) == 2
    assert circle("redrive", COMMANDS, "--all")[1]["redriven"] == [0, 1]
    assert circle("redrive", COMMANDS, "--all")[1]["redriven"] == []
    assert circle("redrive", COMMANDS, "0")[1]["redriven"] == []
    back = log(settings)[2:]
    assert [record.value() for record in back] == [b"one", b"two"]
    assert {record.key() for record in back} == {EVENT.encode()}
    headers = dict(back[0].headers() or [])
    assert headers == {
        "ce_id": b"c1",
        "traceparent": b"00-1-2-01",
        "redriven_from": f"{dead_letters(COMMANDS)}-0-0".encode(),
    }
    assert [letter["redriven"] for letter in circle("list")[1]] == [True, True]


def test_of_two_who_send_a_letter_back_at_the_same_moment_one_does(settings: Settings, circle: Circle) -> None:
    put_aside(settings, b"garbage", b"more garbage")
    first, second = (choose(letters(settings, (COMMANDS,)), [1], limit=1) for _ in range(2))
    assert redrive(settings, first) == 1
    with pytest.raises(NoSuchLetter, match="at 1 went back a moment ago"):
        redrive(settings, second)
    assert len(log(settings)) == 3
    assert redrive(settings, choose(letters(settings, (COMMANDS,)), [], limit=9)) == 1


def test_redriving_is_bounded(settings: Settings, circle: Circle) -> None:
    put_aside(settings, b"1", b"2", b"3")
    assert circle("redrive", COMMANDS, "--all", "--limit", "2")[1]["redriven"] == [0, 1]
    assert circle("redrive", COMMANDS, "--all", "--limit", "2")[1]["redriven"] == [2]


def test_a_letter_that_does_not_say_where_it_stood_stays(settings: Settings, circle: Circle) -> None:
    client = producer(settings)
    client.produce(dead_letters(COMMANDS), b"x", b"k", 0)
    client.flush(10)
    assert circle("list")[1][0]["origin_partition"] == -1
    code, _, error = circle("redrive", COMMANDS, "--all")
    assert code == 2
    assert "does not name its origin" in error


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("show", COMMANDS, "7"), "no dead letter at offset 7"),
        (("redrive", COMMANDS, "7"), "no dead letter at offset 7"),
        (("redrive", COMMANDS), "--all"),
        (("redrive", COMMANDS, "7", "--all"), "--all"),
        (("show", "other.topic", "7"), "other.topic"),
    ],
)
def test_wrong_usage_names_what_is_wrong_and_exits_2(circle: Circle, arguments: tuple[str, ...], names: str) -> None:
    code, _, error = circle(*arguments)
    assert code == 2
    assert names in error


def as_event(record: Message) -> BaseCloudEvent:
    """The record as CloudEvents' own reader has it. It raises for an attribute that is missing."""
    headers = dict(cast("list[tuple[str, bytes]]", record.headers()))
    return from_binary(KafkaMessage(headers, record.key(), record.value() or b""), JSONFormat())


def test_letters_and_the_notes_on_them_are_cloud_events_and_nothing_of_that_goes_back(
    settings: Settings, circle: Circle
) -> None:
    put_aside(settings, b"foreign")
    assert circle("redrive", COMMANDS, "--all")[0] == 0
    letter, marker = (as_event(one) for one in log(settings, dead_letters(COMMANDS), 0))
    assert (letter.get_id(), letter.get_source(), letter.get_type()) == ("c1", "/circle/dead-letters", "DeadLetter")
    assert letter.get_datacontenttype() == "application/octet-stream"
    assert (marker.get_type(), marker.get_id()) == ("DeadLetterRedriven", f"{dead_letters(COMMANDS)}-0-0-redriven")
    back = dict(log(settings)[1].headers() or [])
    assert set(back) == {"ce_id", "traceparent", "redriven_from"}


# --- with a fix applied

HOME = partition_of(EVENT, 8)


def aside_at_home(settings: Settings, *values: bytes) -> None:
    client, aside = producer(settings), DeadLetters(settings)
    for value in values:
        client.produce(COMMANDS, value, EVENT.encode(), HOME, headers=[("ce_type", b"Nonsense")])
    client.flush(10)
    for record in log(settings, partition=HOME):
        aside.put(record, "why")
    aside.flush()


def test_a_letter_goes_back_with_a_field_mended_and_only_once(settings: Settings, circle: Circle) -> None:
    aside_at_home(settings, Codec().encode(CONFIRM))
    change = ("redrive", COMMANDS, "0", "--set", "reservation_id=r2", "--set", "attempt_id=a2")
    dry = circle(*change, "--dry-run")[1]
    assert (dry["redriven"], dry["changed"]) == ([0], {"0": ["reservation_id", "attempt_id"]})
    assert len(log(settings, partition=HOME)) == 1
    assert circle(*change)[1]["redriven"] == [0]
    assert circle(*change)[1]["redriven"] == []
    back = log(settings, partition=HOME)[1]
    assert Codec().decode(back.value()) == ConfirmReservation(
        event_id=EVENT, user_id="ben", command_id="c1", reservation_id="r2", attempt_id="a2", payment_token="tok_secret"
    )
    assert back.key() == EVENT.encode()
    headers = dict(back.headers() or [])
    assert (headers["ce_type"], headers["mended_fields"]) == (b"ConfirmReservation", b"reservation_id,attempt_id")
    assert (as_event(back).get_source(), as_event(back).get_type()) == ("/circle/operators", "ConfirmReservation")


def test_bytes_that_are_no_record_are_shown_as_far_as_they_go_and_replaced_by_a_file(
    settings: Settings, circle: Circle, tmp_path: Path
) -> None:
    whole = Codec().encode(CONFIRM)
    aside_at_home(settings, whole[:-6])
    shown = circle("show", COMMANDS, "0")[1]
    assert (shown["partly"], shown["stopped_at"]) == ("ConfirmReservation", "payment_token")
    assert shown["fields"]["attempt_id"] == "a1"
    assert circle("redrive", COMMANDS, "0", "--set", "attempt_id=a2")[0] == 2
    file = tmp_path / "whole.json"
    file.write_text(json.dumps({"type": "ConfirmReservation", **shown["fields"], "payment_token": "tok_ok"}))
    assert circle("redrive", COMMANDS, "0", "--file", str(file))[1]["redriven"] == [0]
    back = Codec().decode(log(settings, partition=HOME)[1].value())
    assert back == ConfirmReservation(
        event_id=EVENT, user_id="ben", command_id="c1", reservation_id="r1", attempt_id="a1", payment_token="tok_ok"
    )


@pytest.mark.parametrize(
    ("fix", "names"),
    [
        (("--set", "nonsense=1"), "nonsense"),
        (("--set", "reservation_id"), "field=value"),
        (("--set", "event_id=44444444-4444-4444-8444-444444444444"), "at home on partition"),
        (("--file", "/nowhere.json"), "/nowhere.json"),
    ],
)
def test_what_cannot_be_mended_so_is_said(settings: Settings, circle: Circle, fix: tuple[str, ...], names: str) -> None:
    aside_at_home(settings, Codec().encode(CONFIRM))
    code, _, error = circle("redrive", COMMANDS, "0", *fix)
    assert code == 2
    assert names in " ".join(error.split())
    assert len(log(settings, partition=HOME)) == 1
