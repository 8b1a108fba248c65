"""Facts become messages in the inbox and in the export, once each: after redeliveries, kills, unreadable facts."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import REGISTRY

from connectors.settings import Settings
from pipelines.notifications.branch import CHANNEL
from pipelines.notifications.compose import compose
from pipelines.notifications.kinds import Channel
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import FACTS, NOTIFICATION_PARTITIONS, NOTIFICATIONS, dead_letters
from tests.harness.fact_logs import FactLog, log_of
from tests.harness.flows import Flow, Heard, Process, eventually, read, rows_of, write, write_facts
from tests.harness.flows import notifications as run
from tests.harness.words import ALICE, BOB, R2, held, hold_expired, on_sale

IDENTITY = 'user_id, partition, "offset", "index", channel, template'


def expected(facts: list[RecordedFact]) -> list[tuple]:
    """Identities and kinds of the messages of these facts, sorted."""
    messages = [message for fact in facts for message in compose(fact) if message.channel == Channel.INBOX]
    return sorted((m.user_id, m.partition, m.offset, m.index, m.channel, m.template, m.kind) for m in messages)


def inbox(settings: Settings) -> list[tuple]:
    with rows_of(settings) as query:
        return sorted(query(f"SELECT {IDENTITY}, kind FROM notifications"))


def delivered(settings: Settings, facts: list[RecordedFact]) -> None:
    count = len(expected(facts))
    with rows_of(settings) as query:
        eventually(lambda: query("SELECT count(*) FROM notifications")[0][0] >= count, f"{count} messages")


def test_every_fact_about_a_user_is_one_message_in_their_inbox(settings: Settings) -> None:
    facts = [fact for partition in range(3) for fact in FactLog(partition=partition, seed=21).take(300)]
    with Flow(run, settings):
        write_facts(settings, facts)
        delivered(settings, facts)
    assert inbox(settings) == expected(facts)


def exported() -> float:
    """How many messages this process has exported, by its metric."""
    return REGISTRY.get_sample_value("circle_record_age_seconds_count", {"stage": "exported"}) or 0.0


def test_the_export_has_each_message_once_for_each_channel_if_it_is_asked_for(settings: Settings) -> None:
    facts = [fact for partition in range(3) for fact in FactLog(partition=partition, seed=21).take(100)]
    messages = [message for fact in facts for message in compose(fact)]
    before = exported()
    with Flow(run, replace(settings, export_notifications=True)):
        write_facts(settings, facts)
        records = read(settings, NOTIFICATIONS, NOTIFICATION_PARTITIONS, len(messages))
        with rows_of(settings) as query:
            eventually(lambda: query("SELECT count(*) FROM notification_exports") == [(0,)], "the outbox is empty")
        eventually(lambda: exported() - before == len(messages), "the age of each message is counted")
    assert len(records) == len(messages) == 2 * len(expected(facts))
    assert sorted(record.value() or b"" for record in records) == sorted(map(Codec().encode, messages))
    of_user: dict[bytes | None, set[int | None]] = {}
    for record in records:
        of_user.setdefault(record.key(), set()).add(record.partition())
    assert all(len(partitions) == 1 for partitions in of_user.values())


def test_streams_are_told_who_has_something_new(settings: Settings) -> None:
    with Heard(settings, CHANNEL) as heard, Flow(run, settings):
        write_facts(settings, log_of(*on_sale(), held(["A-1"]), held(["A-2"], rid=R2, by=BOB)))
        users: set[str] = set()
        for message in heard.messages():
            users |= set(message["users"])
            if users == {ALICE, BOB}:
                break


def test_a_redelivery_of_facts_stores_nothing_twice(settings: Settings) -> None:
    facts = FactLog(partition=0, seed=22).take(200)
    later = log_of(*on_sale(), held(["A-1"]), partition=1)
    with Flow(run, settings):
        write_facts(settings, facts)
        delivered(settings, facts)
    with Flow(run, settings):
        write_facts(settings, facts + later)
        delivered(settings, facts + later)
    assert inbox(settings) == expected(facts + later)


def test_a_message_that_was_read_stays_read_when_it_is_delivered_again(settings: Settings) -> None:
    facts = log_of(*on_sale(), held(["A-1"]))
    again = log_of(held(["A-2"], rid=R2, by=BOB), first=4)
    with rows_of(settings) as query, Flow(run, settings):
        write_facts(settings, facts)
        delivered(settings, facts)
        query("UPDATE notifications SET read_at = 5")
        write_facts(settings, facts + again)
        delivered(settings, facts + again)
        assert query("SELECT read_at FROM notifications WHERE user_id = $1", ALICE) == [(5,)]


def test_killed_at_any_moment_every_message_is_stored_once(settings: Settings) -> None:
    facts = FactLog(partition=0, seed=23).take(900)
    with rows_of(settings) as query:
        for part in range(3):
            write_facts(settings, facts[part * len(facts) // 3 : (part + 1) * len(facts) // 3])
            process = Process.start("notifications", settings)
            if part < 2:
                aim = (part + 1) * 100
                eventually(
                    lambda aim=aim: query("SELECT count(*) FROM notifications")[0][0] >= aim, "the first messages"
                )
                process.kill()
        delivered(settings, facts)
        assert process.terminate() == 0
    assert inbox(settings) == expected(facts)


def test_a_command_whose_last_fact_is_missing_tells_nobody_yet(settings: Settings) -> None:
    expiry = log_of(*on_sale(), held(["A-1"]), [hold_expired(["A-1"]), held(["A-1"], rid=R2, by=BOB)])
    other = log_of(*on_sale(), held(["A-1"]), partition=1)
    with Flow(run, settings):
        write_facts(settings, expiry[:-1] + other)
        delivered(settings, expiry[:-2] + other)
    assert inbox(settings) == expected(expiry[:-2] + other)
    with Flow(run, settings):  # a successor reads the held-back fact again
        write_facts(settings, expiry[-1:])
        delivered(settings, expiry + other)
    assert inbox(settings) == expected(expiry + other)


def test_what_cannot_be_read_goes_to_the_dead_letters_of_its_topic(settings: Settings) -> None:
    facts = log_of(*on_sale(), held(["A-1"]))
    with Flow(run, settings):
        write(settings, FACTS, [(0, b"no avro", [])])
        write_facts(settings, facts)
        delivered(settings, facts)
    (letter,) = read(settings, dead_letters(FACTS), 1, 1)
    assert letter.value() == b"no avro"


def test_what_a_user_does_not_want_is_stored_once_and_not_shown(settings: Settings) -> None:
    with rows_of(settings) as query:
        query("INSERT INTO users (id, email, name, password_hash) VALUES ($1, 'a@example.org', 'Alice', '')", ALICE)
        query(
            "INSERT INTO notification_preferences (user_id, kind, inbox) VALUES ($1, 'ticket.held', false)",
            ALICE,
        )
        facts = log_of(*on_sale(), held(["A-1"]), hold_expired(["A-1"]), held(["A-2"], rid=R2, by=BOB))
        with Flow(run, settings):
            write_facts(settings, facts)
            delivered(settings, facts)
        shown = query('SELECT user_id, kind, inbox, stream FROM notifications ORDER BY "offset"')
    assert shown == [
        (ALICE, "ticket.held", False, True),
        (ALICE, "hold.expired", True, True),
        (BOB, "ticket.held", True, True),
    ]
    assert inbox(settings) == expected(facts)
