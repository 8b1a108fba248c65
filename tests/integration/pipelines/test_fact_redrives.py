"""A fact that a branch had set aside is applied once after a redrive, and nothing is written to tickets.facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from confluent_kafka import Message

from connectors.log_reader import partitions_of
from connectors.settings import Settings
from pipelines.monitoring import branch as monitoring_branch
from pipelines.monitoring.tally import Series, tally
from pipelines.notifications import branch as notifications_branch
from pipelines.notifications.compose import compose
from pipelines.notifications.kinds import Channel
from pipelines.read_side import flow as read_side
from pipelines.read_side import redrives
from pipelines.redrives.requests import RedriveState
from pipelines.watch.dead_letters import NoSuchLetter, ReadLetter, choose, letters, redrive, with_outcomes
from schemas.codec import Codec
from schemas.facts import HoldExpired, RecordedFact, TicketsHeld
from schemas.notifications import Notification
from schemas.topics import FACTS
from sinks.dead_letters import DeadLetters
from tests.harness.fact_logs import log_of
from tests.harness.flows import (
    Flow,
    eventually,
    everything,
    monitoring,
    notifications,
    projections,
    rows_of,
    write_facts,
)
from tests.harness.words import held, hold_expired, on_sale

FACTS_OF_THE_LOG = log_of(*on_sale(), held(["A-1", "A-2"]), hold_expired(["A-1", "A-2"]))
BROKEN = KeyError("nobody foresaw this")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrives, "LOOK_EVERY_S", 0.05)


def miscount(facts: Iterable[RecordedFact]) -> Counter[Series]:
    facts = list(facts)
    if any(isinstance(one.fact, TicketsHeld) for one in facts):
        raise BROKEN
    return tally(facts)


@pytest.fixture
def aside(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The log is read, and monitoring has set a hold aside. Undo the patch to mend the branch."""
    monkeypatch.setattr(monitoring_branch, "tally", miscount)
    with Flow(read_side.run, settings):
        write_facts(settings, FACTS_OF_THE_LOG)
        eventually(lambda: len(letters(settings, (FACTS,))) == 1, "the hold is set aside")
        eventually(lambda: counted(settings)["HoldExpired"] == 1, "the rest is counted")
    return monkeypatch


def counted(settings: Settings) -> Counter[str]:
    with rows_of(settings) as query:
        return Counter(dict(query("SELECT label, sum(total)::int FROM fact_totals WHERE measure = 'fact' GROUP BY 1")))


def is_hold(record: Message) -> bool:
    found = Codec().decode(record.value())
    return isinstance(found, RecordedFact) and isinstance(found.fact, TicketsHeld)


def shown(settings: Settings) -> list[ReadLetter]:
    return with_outcomes(settings, letters(settings, (FACTS,)))


def send_back(settings: Settings, *, by: str = "operator") -> int:
    return redrive(settings, choose(letters(settings, (FACTS,)), (), limit=10), by=by)


def states(settings: Settings) -> list[str]:
    return [one.letter.redrive.state if one.letter.redrive else "" for one in shown(settings)]


def test_it_is_applied_once_and_the_request_says_who_asked_and_when_it_was_done(
    settings: Settings, aside: pytest.MonkeyPatch
) -> None:
    aside.undo()
    before = len(everything(settings, FACTS))
    assert send_back(settings, by="ada") == 1
    (letter,) = shown(settings)
    assert letter.letter.redrive is not None
    assert (letter.letter.redrive.state, letter.letter.redrive.requested_by) == (RedriveState.WAITING, "ada")
    assert send_back(settings) == 0, "a letter goes back once"
    for _ in range(2):
        with Flow(read_side.run, settings):
            eventually(lambda: states(settings) == [RedriveState.APPLIED], "the fact is applied")
    assert counted(settings) == Counter(type(one.fact).__name__ for one in FACTS_OF_THE_LOG)
    (letter,) = shown(settings)
    assert letter.letter.redrive is not None
    assert letter.letter.redrive.requested_by == "ada"
    assert letter.letter.redrive.ended_at is not None
    assert letter.letter.redrive.ended_at >= letter.letter.redrive.requested_at
    assert len(everything(settings, FACTS)) == before, "nothing is written to the log"


def test_two_letters_of_one_fact_apply_it_once(settings: Settings, aside: pytest.MonkeyPatch) -> None:
    """After a crash between the letter and the commit, a fact has two letters."""
    again = DeadLetters(settings)
    (fact,) = [one for one in everything(settings, FACTS) if is_hold(one)]
    again.put(fact, "monitoring: once more", by="monitoring")
    again.flush()
    aside.undo()
    assert send_back(settings) == 2
    with Flow(read_side.run, settings):
        eventually(lambda: states(settings) == [RedriveState.APPLIED] * 2, "both letters say so")
    again.put(fact, "monitoring: and once more", by="monitoring")
    again.flush()
    assert send_back(settings) == 1
    with Flow(read_side.run, settings):
        write_facts(settings, log_of(hold_expired(["A-3"], rid="r-3"), first=len(FACTS_OF_THE_LOG)))
        eventually(lambda: counted(settings)["HoldExpired"] == 2, "the read side goes on")
    assert counted(settings)["TicketsHeld"] == 1
    assert states(settings) == [RedriveState.APPLIED] * 3


def test_a_fact_that_fails_again_is_a_new_letter_and_that_one_can_go_back(
    settings: Settings, aside: pytest.MonkeyPatch
) -> None:
    assert send_back(settings) == 1
    with Flow(read_side.run, settings):
        eventually(lambda: len(letters(settings, (FACTS,))) == 2, "it is set aside again")
        eventually(lambda: states(settings)[0] == RedriveState.FAILED, "the request says so")
    first, second = shown(settings)
    assert first.letter.redrive is not None
    assert "nobody foresaw this" in first.letter.redrive.error
    assert (second.letter.redriven, second.letter.set_aside_by) == (False, "monitoring")
    assert counted(settings)["TicketsHeld"] == 0
    aside.undo()
    assert send_back(settings) == 1
    with Flow(read_side.run, settings):
        eventually(lambda: states(settings) == [RedriveState.APPLIED] * 2, "the fact is applied")
    assert counted(settings)["TicketsHeld"] == 1


def test_the_fact_is_found_on_the_log_where_its_letter_does_not_know_the_place(
    settings: Settings, aside: pytest.MonkeyPatch
) -> None:
    aside.undo()
    (read,) = letters(settings, (FACTS,))
    assert send_back(settings) == 1
    with rows_of(settings) as query:
        query("UPDATE fact_redrives SET place = $1", 10_000)
    with Flow(read_side.run, settings):
        eventually(lambda: states(settings) == [RedriveState.APPLIED], "the fact is applied")
    assert counted(settings)["TicketsHeld"] == 1
    assert read.letter.origin_partition < partitions_of(settings, FACTS)


def test_a_request_about_a_fact_that_the_log_does_not_have_ends_with_the_reason(
    settings: Settings, aside: pytest.MonkeyPatch
) -> None:
    with rows_of(settings) as query:
        query(
            'INSERT INTO fact_redrives (flow, partition, "offset", "index", place, requested_by) '
            "VALUES ('monitoring', 0, 2, 7, 2, 'mallory')"
        )
        with Flow(read_side.run, settings):
            eventually(
                lambda: query("SELECT state FROM fact_redrives") == [(RedriveState.FAILED,)], "the request has ended"
            )
        assert query("SELECT error FROM fact_redrives") == [("tickets.facts[0] has no readable fact 0-2-7",)]
    assert counted(settings)["TicketsHeld"] == 0


def test_each_branch_that_runs_alone_carries_out_its_own_requests(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def speechless(fact: RecordedFact) -> list[Notification]:
        if isinstance(fact.fact, HoldExpired):
            raise BROKEN
        return compose(fact)

    composed = [one for fact in FACTS_OF_THE_LOG for one in compose(fact) if one.channel == Channel.INBOX]
    monkeypatch.setattr(notifications_branch, "compose", speechless)
    with rows_of(settings) as query:
        with Flow(notifications, settings):
            write_facts(settings, FACTS_OF_THE_LOG)
            eventually(lambda: len(letters(settings, (FACTS,))) == 1, "the end of the hold is set aside")
        monkeypatch.undo()
        monkeypatch.setattr(redrives, "LOOK_EVERY_S", 0.05)
        assert send_back(settings) == 1
        with Flow(projections, settings), Flow(monitoring, settings):
            eventually(lambda: counted(settings)["HoldExpired"] == 1, "the others are done")
        assert states(settings) == [RedriveState.WAITING]
        with Flow(notifications, settings):
            eventually(lambda: states(settings) == [RedriveState.APPLIED], "the message is written")
        inbox = query('SELECT user_id, "offset", template FROM notifications')
    assert sorted(inbox) == sorted((one.user_id, one.offset, one.template) for one in composed)


def test_a_fact_that_lacks_its_rows_does_not_go_back(settings: Settings) -> None:
    facts = log_of(*on_sale(), held(["A-1"]))
    write_facts(settings, facts)
    aside = DeadLetters(settings)
    for record in everything(settings, FACTS):
        aside.put(record, "projections: KeyError", by="projections")
    aside.flush()
    found = letters(settings, (FACTS,))
    with pytest.raises(NoSuchLetter, match="circle replay projections --promote"):
        choose(found, [found[0].letter.offset], limit=1)
    assert choose(found, (), limit=10) == []
