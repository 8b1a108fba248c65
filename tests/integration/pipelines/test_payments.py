"""Payment requests reach the provider, and its answers reach the log: charged once, reported at least once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Message

from connectors.failure_policy import IN_A_ROW_MAX
from connectors.settings import Settings
from ops.run.services.stack import Stack
from pipelines.payments import redrives
from pipelines.payments.flow import run
from pipelines.redrives.requests import RedriveState
from pipelines.stored_records import StoredRecord
from pipelines.watch.dead_letters import NoSuchLetter, letters, redrive, with_outcomes
from schemas import facts as f
from schemas.codec import Codec
from schemas.commands import RecordPayment, RecordRefund, RecordRefundFailure
from schemas.topics import COMMANDS, FACTS, dead_letters
from sinks.dead_letters import DeadLetters
from sinks.kafka_transaction import Outgoing
from tests.harness.fact_logs import log_of, recorded
from tests.harness.flows import Flow, Process, eventually, read, rows_of, write
from tests.harness.words import ALICE, EVENT, R1, held, payment_requested

REPLY_TO = b"circle:replies:api-1"
SESSION_S = 2


def ask(attempt: str, token: str, *, offset: int = 0, partition: int = 0, amount: int = 900) -> f.RecordedFact:
    fact = payment_requested(attempt=attempt, token=token, amount=amount)
    return recorded(fact, offset=offset, partition=partition)


def refund(payment_id: str, *, offset: int) -> f.RecordedFact:
    fact = f.RefundRequested(
        reservation_id=R1,
        user_id=ALICE,
        attempt_id="a1",
        payment_id=payment_id,
        amount_minor=900,
        currency="EUR",
        reason=f.Reason.HOLD_EXPIRED,
    )
    return recorded(fact, offset=offset)


def tell(settings: Settings, *facts: f.RecordedFact) -> None:
    codec = Codec()
    headers = [("ce_id", b"fact"), ("reply_to", REPLY_TO), ("traceparent", b"00-trace")]
    write(
        settings,
        FACTS,
        [(one.envelope.partition, codec.encode_fact(one.envelope, one.fact), headers) for one in facts],
    )


def said(settings: Settings, at_least: int) -> list[tuple[Message, Any]]:
    codec = Codec()
    return [(record, codec.decode(record.value())) for record in read(settings, COMMANDS, 8, at_least)]


def ledger(query: Callable[..., list[tuple]]) -> list[tuple]:
    return query("SELECT attempt_id, outcome FROM sandbox.payments ORDER BY attempt_id")


def test_a_charge_is_told_under_the_waiting_request_on_the_partition_of_its_event(settings: Settings) -> None:
    with Flow(run, settings):
        tell(settings, *log_of(held(["A-1"]), partition=5), ask("a1", "tok_ok", offset=1, partition=5))
        ((record, command),) = said(settings, 1)
    assert isinstance(command, RecordPayment)
    assert (command.command_id, command.attempt_id, command.outcome, command.amount_minor) == (
        "cmd",
        "a1",
        "captured",
        900,
    )
    assert (record.partition(), record.key()) == (5, EVENT.encode())
    headers = dict(record.headers() or [])
    assert (headers["reply_to"], headers["traceparent"], headers["ce_id"]) == (REPLY_TO, b"00-trace", b"cmd")


def test_each_token_has_its_outcome_and_a_lost_answer_is_asked_for_again(settings: Settings) -> None:
    tokens = {"a1": "tok_ok", "a2": "tok_declined", "a3": "tok_lost_reply", "a4": "nonsense"}
    with Flow(run, settings):
        tell(settings, *(ask(attempt, token, offset=at) for at, (attempt, token) in enumerate(tokens.items())))
        commands = {command.attempt_id: command for _, command in said(settings, 4)}
    outcomes = {attempt: (command.outcome, command.reason) for attempt, command in commands.items()}
    assert outcomes == {
        "a1": ("captured", ""),
        "a2": ("declined", "card_declined"),
        "a3": ("captured", ""),
        "a4": ("declined", "unknown_token"),
    }
    with rows_of(settings) as query:
        assert query("SELECT requests FROM sandbox.payments WHERE attempt_id = 'a3'") == [(2,)]


def test_slow_charges_hold_up_nobody_and_are_asked_again_after_a_crash(settings: Settings) -> None:
    slow = [ask(f"slow-{number}", "tok_slow", offset=number) for number in range(5)]
    process = Process.start("payments", settings)
    tell(settings, *slow, ask("quick", "tok_ok", offset=9))
    ((_, first),) = said(settings, 1)
    assert first.attempt_id == "quick"
    process.kill()
    process = Process.start("payments", settings)
    commands = [command for _, command in said(settings, 7)]
    assert process.terminate() == 0
    # The slow ones held the offset back: the quick one was requested again, and charged once.
    assert [command.attempt_id for command in commands].count("quick") == 2
    assert {command.attempt_id for command in commands} == {"quick", *(f"slow-{number}" for number in range(5))}
    with rows_of(settings) as query:
        assert len(ledger(query)) == 6


def test_what_is_finished_is_not_asked_again(settings: Settings) -> None:
    with Flow(run, settings):
        tell(settings, ask("a1", "tok_ok"))
        said(settings, 1)
    with Flow(run, settings):
        tell(settings, ask("a2", "tok_ok", offset=1))
        commands = [command.attempt_id for _, command in said(settings, 2)]
    assert commands == ["a1", "a2"]


def test_a_payment_is_refunded(settings: Settings) -> None:
    with Flow(run, settings):
        tell(settings, ask("a1", "tok_ok"))
        ((_, paid),) = said(settings, 1)
        tell(settings, refund(paid.payment_id, offset=1))
        _, (_, back) = said(settings, 2)
    assert isinstance(back, RecordRefund)
    assert (back.reservation_id, back.payment_id, back.amount_minor) == (R1, paid.payment_id, 900)
    with rows_of(settings) as query:
        assert query("SELECT payment_id, amount_minor FROM sandbox.refunds") == [(paid.payment_id, 900)]


def test_what_the_provider_refuses_goes_to_the_dead_letters_and_the_rest_goes_on(settings: Settings) -> None:
    with Flow(run, settings):
        write(settings, FACTS, [(0, b"no avro", [])])
        tell(settings, refund("pay-none", offset=0), ask("a1", "tok_ok", offset=1))
        commands = [command for _, command in said(settings, 2)]
        assert [one.attempt_id for one in commands if isinstance(one, RecordPayment)] == ["a1"]
        (failed,) = [one for one in commands if isinstance(one, RecordRefundFailure)]
        assert (failed.payment_id, failed.refund_key, failed.refund_id) == ("pay-none", "refund-pay-none", "")
        (letter,) = read(settings, dead_letters(FACTS), 1, 1)
    headers = dict(letter.headers() or [])
    assert (headers["origin_offset"], b"pay-none" in headers["error"]) == (b"1", True)
    assert headers["set_aside_by"] == b"payments"


def test_a_job_that_fails_as_nobody_foresaw_is_set_aside_and_the_rest_goes_on(settings: Settings) -> None:
    with Flow(run, settings):
        poison = [ask(f"a{number}", "tok\0", offset=number) for number in range(3)]  # PostgreSQL's text has no U+0000
        tell(settings, *poison, ask("good", "tok_ok", offset=3, amount=2_400_000_000))
        ((_, command),) = said(settings, 1)
        assert (command.attempt_id, command.amount_minor) == ("good", 2_400_000_000)
        letters_of = read(settings, dead_letters(FACTS), 1, 3)
        errors = [dict(letter.headers() or [])["error"].decode() for letter in letters_of]
        assert all(error.startswith("payments: CharacterNotInRepertoireError") for error in errors), errors
        (first, *_) = letters(settings, (FACTS,))
        assert redrive(settings, [first]) == 1
        again = read(settings, dead_letters(FACTS), 1, 5)[-1]  # three letters, a marker, and the first one again
        assert dict(again.headers() or [])["redriven_from"] == b"tickets.facts.dead-letters-0-0"


def test_where_every_job_fails_the_process_ends_before_the_topic_is_empty(settings: Settings) -> None:
    tell(settings, *(ask(f"a{number}", "tok\0", offset=number) for number in range(2 * IN_A_ROW_MAX)))
    assert Flow(run, settings).start().ended() == 1
    assert len(read(settings, dead_letters(FACTS), 1, IN_A_ROW_MAX)) == IN_A_ROW_MAX


def test_while_the_bank_is_away_it_is_asked_again_until_it_answers(stack: Stack, settings: Settings) -> None:
    with rows_of(settings) as query, Flow(run, settings):
        tell(settings, ask("a1", "tok_ok"))
        said(settings, 1)
        stack.postgres.kill()
        tell(settings, ask("a2", "tok_ok", offset=1))
        stack.postgres.start()
        assert {command.attempt_id for _, command in said(settings, 2)} == {"a1", "a2"}
        eventually(lambda: len(ledger(query)) == 2, "both charges")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrives, "LOOK_EVERY_S", 0.05)


def asked_again(settings: Settings) -> list[tuple[str, str]]:
    """The letters' requests: what came of each, and its error."""
    found = [one.letter.redrive for one in with_outcomes(settings, letters(settings, (FACTS,)))]
    return [(one.state, one.error) for one in found if one is not None]


@pytest.mark.usefixtures("at_once")
def test_a_refund_that_was_refused_is_asked_for_again_by_a_request_and_nothing_is_written_to_the_facts(
    settings: Settings,
) -> None:
    with Flow(run, settings):
        tell(settings, refund("pay-none", offset=0))
        said(settings, 1)
        eventually(lambda: len(letters(settings, (FACTS,))) == 1, "the refusal is a letter")
        (first,) = letters(settings, (FACTS,))
        assert first.letter.applied_by == "payments"
        assert redrive(settings, [first], by="ada", writes_facts=False) == 1
        eventually(lambda: len(letters(settings, (FACTS,))) == 2, "it is refused again, and a new letter")
        eventually(lambda: [state for state, _ in asked_again(settings)] == [RedriveState.FAILED], "the page says so")
        assert "pay-none" in asked_again(settings)[0][1]
        with rows_of(settings) as query:  # the provider knows the payment now
            query(
                "INSERT INTO sandbox.payments (attempt_id, amount_minor, currency, token, payment_id, outcome) "
                "VALUES ('a9', 900, 'EUR', 'tok_ok', 'pay-none', 'captured')"
            )
            second = letters(settings, (FACTS,))[1]
            assert redrive(settings, [second], writes_facts=False) == 1
            eventually(
                lambda: [state for state, _ in asked_again(settings)] == [RedriveState.APPLIED] * 2, "it is refunded"
            )
            assert query("SELECT payment_id, amount_minor FROM sandbox.refunds") == [("pay-none", 900)]
    back = [command for _, command in said(settings, 3) if isinstance(command, RecordRefund)]
    assert [(one.payment_id, one.amount_minor) for one in back] == [("pay-none", 900)]
    assert len(read(settings, FACTS, 8, 1)) == 1, "nothing is written to the facts"


@pytest.mark.usefixtures("at_once")
def test_a_charge_that_was_given_up_is_made_once_however_often_it_is_sent_back(settings: Settings) -> None:
    tell(settings, ask("a1", "tok_ok"))
    (fact,) = read(settings, FACTS, 8, 1)
    aside = DeadLetters(settings)
    for _ in range(2):
        aside.put(fact, "payment provider: no answer in 10 s")
    aside.flush()
    found = letters(settings, (FACTS,))
    assert redrive(settings, found, writes_facts=False) == 2
    with rows_of(settings) as query, Flow(run, settings):
        eventually(lambda: [state for state, _ in asked_again(settings)] == [RedriveState.APPLIED] * 2, "it is charged")
        assert ledger(query) == [("a1", "captured")]
    assert {command.attempt_id for _, command in said(settings, 2)} == {"a1"}


def test_a_letter_of_a_fact_that_the_log_does_not_have_goes_nowhere(settings: Settings) -> None:
    """A process that may write letters cannot bring a fact on the log by an operator's hand."""
    tell(settings, ask("a1", "tok_ok"))
    (fact,) = read(settings, FACTS, 8, 1)
    other = ask("a1", "tok_ok", amount=1)
    forged = Codec().encode_fact(other.envelope, other.fact)
    aside = DeadLetters(settings)
    record = Outgoing(topic=FACTS, partition=0, key=fact.key(), value=forged, headers=[])
    aside.put(StoredRecord(record, 0, 0, 0), "payment provider: no answer")
    aside.flush()
    (letter,) = letters(settings, (FACTS,))
    with pytest.raises(NoSuchLetter, match="is not what"):
        redrive(settings, [letter])
    assert len(read(settings, FACTS, 8, 1)) == 1
