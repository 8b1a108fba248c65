"""Facts become rows, messages and totals in one transaction, once each, whichever processes run which branches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from connectors.kafka import consumer
from connectors.settings import Settings
from ops.migrations.tables import DERIVED_TABLES
from pipelines.monitoring import branch as monitoring_branch
from pipelines.monitoring.tally import Series, tally
from pipelines.notifications.branch import FORMER_GROUP
from pipelines.notifications.compose import compose
from pipelines.notifications.former_topic import MAIL_GROUP
from pipelines.notifications.kinds import Channel
from pipelines.read_side import flow as read_side
from pipelines.watch.dead_letters import choose, letters, redrive
from schemas.codec import Codec
from schemas.facts import RecordedFact, TicketsHeld
from schemas.topics import FACTS, NOTIFICATIONS, dead_letters
from tests.harness.fact_logs import FactLog, log_of
from tests.harness.flows import (
    Flow,
    Process,
    eventually,
    everything,
    monitoring,
    notifications,
    projections,
    rows_of,
    write,
    write_facts,
)
from tests.harness.words import ALICE, confirmed, held, hold_expired, on_sale

CONSUMERS = ("monitoring", "notifications", "projections")


def positions(settings: Settings) -> dict[str, list[tuple]]:
    with rows_of(settings) as query:
        rows = query(
            'SELECT consumer, partition, "offset", "index", next_offset FROM projection_positions ORDER BY 1, 2'
        )
    return {name: [row[1:] for row in rows if row[0] == name and row[2] >= 0] for name in CONSUMERS}


def in_step(settings: Settings, facts: list[RecordedFact]) -> None:
    """Wait until every branch has applied all of `facts`."""
    last: dict[int, tuple[int, int]] = {}
    for one in facts:
        at = one.envelope
        last[at.partition] = max(last.get(at.partition, (-1, -1)), (at.offset, at.index))

    def there() -> bool:
        found = positions(settings)
        return all({row[0]: row[1:3] for row in found[name]} == last for name in CONSUMERS)

    eventually(there, f"every branch is at {last}: {positions(settings)}", 60.0)


def effects(settings: Settings) -> tuple[list[tuple], list[tuple], dict[str, int]]:
    """The reservations, the inbox in the order of its stream, and the facts counted by type."""
    with rows_of(settings) as query:
        reservations = query("SELECT id, status, updated_offset, updated_index FROM reservations ORDER BY 1")
        inbox = query(
            'SELECT user_id, partition, "offset", "index", template FROM notifications ORDER BY outbound_offset'
        )
        totals = query("SELECT label, sum(total)::int FROM fact_totals WHERE measure = 'fact' GROUP BY label")
    return reservations, inbox, dict(totals)


def expected_inbox(facts: Iterable[RecordedFact]) -> list[tuple]:
    messages = (message for fact in facts for message in compose(fact) if message.channel == Channel.INBOX)
    return [(one.user_id, one.partition, one.offset, one.index, one.template) for one in messages]


def holds_all(settings: Settings, facts: list[RecordedFact]) -> None:
    """Every effect of the facts is there once, and a user's messages are in the order of the log."""
    reservations, inbox, totals = effects(settings)
    assert totals == Counter(type(one.fact).__name__ for one in facts)
    assert sorted(inbox) == sorted(expected_inbox(facts))
    for partition in {one.envelope.partition for one in facts}:
        of_partition = [row for row in inbox if row[1] == partition]
        assert of_partition == sorted(of_partition, key=lambda row: row[2:4]), "numbered in the order of the log"
    held_ids = {one.fact.reservation_id for one in facts if isinstance(one.fact, TicketsHeld)}
    assert held_ids <= {row[0] for row in reservations}


def test_one_flow_writes_the_effects_of_all_branches_at_one_position(settings: Settings) -> None:
    facts = [fact for partition in range(3) for fact in FactLog(partition=partition, seed=41).take(300)]
    with Flow(read_side.run, settings):
        write_facts(settings, facts)
        in_step(settings, facts)
    holds_all(settings, facts)
    found = positions(settings)
    assert found["projections"] == found["notifications"] == found["monitoring"]


def test_the_composition_may_change_in_the_middle_and_nothing_is_lost_or_repeated(settings: Settings) -> None:
    log = FactLog(partition=0, seed=42)
    facts: list[RecordedFact] = []

    def more() -> None:
        part = log.take(150)
        facts.extend(part)
        write_facts(settings, part)

    def applied(*names: str) -> bool:
        last = facts[-1].envelope
        return all(positions(settings)[name] and positions(settings)[name][0][1] >= last.offset for name in names)

    more()
    with Flow(projections, settings):  # the others are behind
        eventually(lambda: applied("projections"), "the rows are written")
    more()
    with Flow(read_side.run, settings):  # all together: the two catch up, the third joins them
        in_step(settings, facts)
    holds_all(settings, facts)
    more()
    with Flow(notifications, settings):
        eventually(lambda: applied("notifications"), "the messages are written")
    with Flow(monitoring, settings):
        eventually(lambda: applied("monitoring"), "the facts are counted")
    more()
    with Flow(read_side.run, settings):
        in_step(settings, facts)
    holds_all(settings, facts)


def test_killed_at_any_moment_every_effect_is_there_once(settings: Settings) -> None:
    facts = FactLog(partition=0, seed=43).take(900)
    ends = [len(facts) // 3, 2 * len(facts) // 3, len(facts)]
    for start, end in pairwise([0, *ends]):
        write_facts(settings, facts[start:end])
        process = Process.start("read-side", settings)
        if end < len(facts):
            eventually(lambda start=start: len(effects(settings)[1]) > start // 2, "some facts are applied", 60.0)
            process.kill()
    in_step(settings, facts)
    assert process.terminate() == 0
    holds_all(settings, facts)


def test_a_fact_that_one_branch_cannot_take_is_set_aside_for_this_branch_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(facts: Iterable[RecordedFact]) -> Counter[Series]:
        facts = list(facts)
        if any(isinstance(one.fact, TicketsHeld) for one in facts):
            raise KeyError("nobody foresaw this")
        return tally(facts)

    facts = log_of(*on_sale(), held(["A-1", "A-2"]), hold_expired(["A-1", "A-2"]))
    with monkeypatch.context() as patched:
        patched.setattr(monitoring_branch, "tally", broken)
        with Flow(read_side.run, settings):
            write(settings, FACTS, [(0, b"no avro", [])])
            write_facts(settings, facts)
            in_step(settings, facts)
    assert sorted(effects(settings)[1]) == sorted(expected_inbox(facts))
    assert "TicketsHeld" not in effects(settings)[2]
    found = letters(settings, (FACTS,))
    assert [one.letter.set_aside_by for one in found] == ["", "monitoring"], "the unreadable record is one letter"
    redrive(settings, choose(found, [found[1].letter.offset], limit=10), {})
    for _ in range(2):
        with Flow(read_side.run, settings):
            eventually(lambda: effects(settings)[2].get("TicketsHeld") == 1, "the fact is counted")
    holds_all(settings, facts)
    assert len(everything(settings, dead_letters(FACTS))) == 3  # the two, and the marker of the redrive


def test_messages_of_the_release_with_a_topic_for_them_are_delivered_once(settings: Settings, tmp_path: Path) -> None:
    """Version 0.2 kept its position on the broker, and sent messages over notifications.outbound."""
    settings = replace(settings, smtp_url=f"file://{tmp_path}/mails")
    facts = log_of(
        *on_sale(), held(["A-1"]), confirmed(["A-1"]), held(["A-2"], rid="r-2"), confirmed(["A-2"], rid="r-2")
    )
    codec = Codec()
    messages = [[(0, codec.encode(one), []) for one in compose(fact)] for fact in facts]
    former, latest = facts[:-2], facts[-2:]  # the old release has composed all but the last two
    sent = [record for part in messages[: len(former)] for record in part]
    write_facts(settings, facts)
    write(settings, NOTIFICATIONS, sent)
    delivered = len(messages[3])  # those of the first hold
    with rows_of(settings) as query:
        query("INSERT INTO projection_positions VALUES ('inbox', 0, $1, 0, $2, 0)", delivered - 1, delivered)
    for group, topic, offset in (
        (FORMER_GROUP, FACTS, len(former)),
        (MAIL_GROUP, NOTIFICATIONS, len(sent)),
    ):
        with closing(consumer(settings, group=group)) as client:
            client.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    for _ in range(2):
        with Flow(read_side.run, settings):
            in_step(settings, facts)
    first_hold = set(expected_inbox(facts[3:4]))
    assert sorted(effects(settings)[1]) == sorted(set(expected_inbox(facts)) - first_hold)
    with rows_of(settings) as query:
        mails = query('SELECT user_id, "offset", template FROM mail_deliveries ORDER BY 2')
    wanted = [
        (one.user_id, one.offset, one.template)
        for fact in latest
        for one in compose(fact)
        if one.channel == Channel.MAIL
    ]
    assert mails == [one for one in wanted if one[2] == "reservation.confirmed"], "no mail is sent again"
    assert {row[0] for row in mails} == {ALICE}


def test_rows_that_are_made_again_fill_the_inbox_and_send_nothing(settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, smtp_url=f"file://{tmp_path}/mails", export_notifications=True)
    facts = log_of(*on_sale(), held(["A-1"]), confirmed(["A-1"]))
    with rows_of(settings) as query:
        with Flow(read_side.run, settings):
            write_facts(settings, facts)
            in_step(settings, facts)
            eventually(lambda: query("SELECT count(*) FROM notification_exports") == [(0,)], "the export is written")
        sent = len(everything(settings, NOTIFICATIONS))
        assert sent == sum(len(compose(fact)) for fact in facts)
        query(f"TRUNCATE {', '.join(DERIVED_TABLES)}")
        query("DELETE FROM mail_deliveries")  # as after a month
        more = log_of(held(["A-2"], rid="r-2"), confirmed(["A-2"], rid="r-2"), first=5)
        with Flow(read_side.run, settings):
            write_facts(settings, more)
            in_step(settings, facts + more)
            eventually(lambda: query("SELECT count(*) FROM notification_exports") == [(0,)], "the export is written")
        assert query('SELECT "offset" FROM mail_deliveries') == [(6,)]
    assert len(everything(settings, NOTIFICATIONS)) == sent + sum(len(compose(fact)) for fact in more)
    holds_all(settings, facts + more)
