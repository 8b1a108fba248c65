"""Facts become messages on the topic and in the inbox: once each, also after repeats, kills and unreadable records."""

from __future__ import annotations

import msgspec

from connectors.settings import Settings
from pipelines.notifications.compose import compose
from pipelines.notifications.flow import CHANNEL, run
from pipelines.notifications.kinds import Channel
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import FACTS, NOTIFICATION_PARTITIONS, NOTIFICATIONS, dead_letters
from tests.harness.fact_logs import FactLog, log_of
from tests.harness.flows import Flow, Heard, Process, eventually, read, rows_of, write, write_facts
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
    messages = [message for fact in facts for message in compose(fact)]
    records = read(settings, NOTIFICATIONS, NOTIFICATION_PARTITIONS, len(messages))
    assert len(records) == len(messages) == 2 * len(expected(facts))
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
        codec = Codec()
        write(settings, NOTIFICATIONS, [(0, codec.encode(message), []) for fact in facts for message in compose(fact)])
        write_facts(settings, again)
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
    good = compose(facts[-1])[0]
    codec = Codec()
    bad_data = [
        codec.encode(msgspec.structs.replace(good, index=number, data=data))
        for number, data in enumerate(["", "[]", "{", '{"a": 1e999999}', "[" * 9_000], 1)
    ]
    odd = codec.encode(msgspec.structs.replace(good, index=9, data='{"title": "a\\u0000b"}'))
    with rows_of(settings) as query, Flow(run, settings):
        write(settings, FACTS, [(0, b"no avro", [])])
        write(settings, NOTIFICATIONS, [(2, value, []) for value in [b"\x00junk", *bad_data, odd]])
        write_facts(settings, facts)
        eventually(lambda: len(query("SELECT 1 FROM notifications")) == 2, "both readable messages")
        assert query('SELECT data::text FROM notifications WHERE "index" = 9') == [('{"title": "a\ufffdb"}',)]
    (letter,) = read(settings, dead_letters(FACTS), 1, 1)
    assert letter.value() == b"no avro"
    letters = read(settings, dead_letters(NOTIFICATIONS), 1, 5)
    origins = [dict(letter.headers() or []) for letter in letters]
    assert {one["origin_topic"] for one in origins} == {NOTIFICATIONS.encode()}
    assert origins[0]["origin_offset"] == b"0"


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
