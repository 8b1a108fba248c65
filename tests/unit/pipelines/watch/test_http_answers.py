"""The HTTP status of a followed request is the one that the API makes of the decision."""

from __future__ import annotations

import pytest

from api.http.problem import KINDS
from api.http.reasons import refusal
from api.routes.table import ROUTES as TABLE
from pipelines.reservations.replies import answers_in_turn, reply_to
from pipelines.watch.command_routes import ALWAYS_OK, ROUTES, success_of
from pipelines.watch.http_answers import BY_ITS_DECISION, PAYMENT_UNDER_WAY, REPEATED, HttpAnswer, answer_to
from pipelines.watch.topic_record import TopicRecord, fields_of, type_of
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason, RecordedFact
from schemas.ids import position_text
from schemas.reasons import http_status_of
from schemas.replies import REPLY_TO, Reply
from schemas.statuses import ReplyOutcome
from tests.harness.command_logs import BothLogs
from tests.harness.fact_logs import log_of
from tests.harness.words import (
    ALICE,
    R1,
    TRY1,
    confirm,
    confirmation_refused,
    duplicate,
    held,
    payment_declined,
    payment_requested,
    refused,
    rejected,
    reserve,
)

CREATED, OK = "201", "200"
WAITED = {REPLY_TO: "circle:replies:1"}


def of_command(command: c.Command, offset: int, partition: int = 0, *, waited: bool = True) -> TopicRecord:
    return _record(command, position_text(partition, offset), WAITED if waited else {})


def of_fact(recorded: RecordedFact) -> TopicRecord:
    at = recorded.envelope
    return _record(recorded, position_text(at.partition, at.offset, at.index), {})


def _record(decoded: c.Command | RecordedFact, position: str, headers: dict[str, str]) -> TopicRecord:
    return TopicRecord(
        topic="",
        partition=0,
        offset=0,
        time="",
        key="",
        record=type_of(decoded),
        position=position,
        fields=fields_of(decoded),
        headers=headers,
        schema_id=None,
        value_bytes=0,
    )


def answers(command: c.Command, *facts: list[f.Fact] | f.Fact, at: int = 0, waited: bool = True) -> HttpAnswer:
    """The answer to the command at offset `at`. The facts are those of the commands from offset 0 on."""
    return answer_to(of_command(command, at, waited=waited), [of_fact(one) for one in log_of(*facts)])


def test_every_reason_has_the_status_of_its_problem() -> None:
    assert {reason: KINDS[reason][0] for reason in Reason} == {reason: http_status_of(reason) for reason in Reason}


@pytest.mark.parametrize("route", sorted({route for routes in ROUTES.values() for route in routes}))
def test_the_status_of_success_is_that_of_the_table_of_routes(route: str) -> None:
    (known,) = (one for one in TABLE if one.name == route)
    assert success_of(route) == next(iter(known.answers))
    assert (route in ALWAYS_OK) == (202 not in known.answers)


class AnsweredLog(BothLogs):
    """Random commands with the status that the API makes of the reply to each; "" for a payment without an end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.statuses: list[tuple[int, c.Command, list[str], bool]] = []
        self.ends: dict[str, Reply] = {}

    def put(self, command: c.Command, locks: f.SeatLocksObserved | None = None) -> list[RecordedFact]:
        offset = self.offset
        recorded = super().put(command, locks)
        state, facts = self.states[command.event_id], [one.fact for one in recorded]
        pairs: list[tuple[c.Command, list[f.Fact]]] = (
            [*answers_in_turn(command, facts)] if isinstance(command, c.ReserveInTurn) else [(command, facts)]
        )
        replies = [reply_to(state, one, own, self.partition, offset) for one, own in pairs]
        if isinstance(command, c.RecordPayment):
            self.ends.setdefault(command.attempt_id, replies[0])
        self.statuses.append((offset, command, [self.status(command, one) for one in replies], replies[0].duplicate))
        return recorded

    def status(self, command: c.Command, reply: Reply) -> str:
        if reply.outcome == ReplyOutcome.REFUSED:
            return str(refusal(reply).status)
        if reply.outcome == ReplyOutcome.PENDING:
            return ""
        (name,) = ROUTES.get(type(command).__name__, ("",))[:1]
        return next((str(next(iter(one.answers))) for one in TABLE if one.name == name), "none")


@pytest.mark.parametrize("seed", range(3))
def test_each_answer_is_the_one_that_the_api_makes_of_the_reply(seed: int) -> None:
    log = AnsweredLog(partition=0, seed=seed, in_turn=True)
    log.take(1_500)
    facts = [of_fact(one) for one in log.facts]
    seen: dict[str, int] = {}
    for offset, command, expected, repeated in log.statuses:
        if isinstance(command, c.Tick | c.RecordPayment | c.RecordRefund):
            continue
        subject = getattr(command, "reservation_id", None)
        own = [
            one
            for one in facts
            if (subject in (one.fields.get("reservation_id"), one.fields.get("subject_id")) if subject else True)
            and (subject or one.fields["event_id"] == command.event_id)
        ]
        if isinstance(command, c.ConfirmReservation) and expected == [""] and command.attempt_id in log.ends:
            expected = [log.status(command, log.ends[command.attempt_id])]  # the waiting request gets this reply
        answer = answer_to(of_command(command, offset), own)
        if answer.why == REPEATED:
            assert isinstance(command, c.ConfirmReservation)
            assert repeated
        elif answer.why == PAYMENT_UNDER_WAY:
            assert expected == [""]
        else:
            assert answer == (", ".join(dict.fromkeys(expected)), BY_ITS_DECISION), (offset, command)
        seen[answer.status] = seen.get(answer.status, 0) + 1
    assert {"200", "201", "402", "409"} <= {*seen}, seen
    assert any(", " in status for status in seen), "records with several requests"


def test_a_client_that_does_not_wait_gets_202_for_every_decision() -> None:
    for decided in (held(["A-1"]), rejected(Reason.SOLD_OUT, "")):
        assert answers(reserve(), decided, waited=False).status == "202"
    assert answers(reserve(), waited=False).status == "202"


def test_a_request_without_a_decision_has_no_status_yet() -> None:
    assert answers(reserve()) == ("", "not decided yet")


def test_a_repeated_request_for_tickets_has_the_first_answer() -> None:
    again = duplicate(reserve())
    assert answers(reserve(), held(["A-1"]), again, at=1).status == CREATED
    assert answers(reserve(), rejected(Reason.SOLD_OUT, ""), again, at=1).status == "409"
    assert answers(reserve(), again) == ("", REPEATED)


@pytest.mark.parametrize(
    ("end", "status"),
    [(payment_declined(), "402"), (confirmation_refused(Reason.HOLD_EXPIRED), "409"), ([], "")],
    ids=["declined", "too-late", "none-yet"],
)
def test_a_payment_is_answered_by_its_end(end: list[f.Fact] | f.Fact, status: str) -> None:
    assert answers(confirm(), payment_requested(amount=900), end).status == status


def test_the_end_of_another_attempt_is_not_the_answer() -> None:
    other = payment_declined(attempt="another")
    assert answers(confirm(attempt=TRY1), payment_requested(amount=900), other) == ("", PAYMENT_UNDER_WAY)


def test_an_answer_of_one_of_several_routes_names_each_status() -> None:
    scan = c.CheckIn("e", ALICE, "1", reservation_id=R1, ticket_id="t", version=1, gate="", scanner="", scanned_at=1)
    denied = f.CheckInRefused(
        reservation_id=R1,
        user_id=ALICE,
        ticket_id="t",
        reason=Reason.TICKET_VOID,
        gate="",
        scanner="",
        scanned_at=1,
        first_scanned_at=0,
        first_gate="",
        first_scanner="",
    )
    assert answers(scan, denied).status == "409 or 200"


def test_a_webhook_of_the_provider_is_answered_before_any_decision() -> None:
    refund = c.RecordRefund("e", "", "1", reservation_id=R1, payment_id="p", refund_id="r", amount_minor=1)
    assert answers(refund, waited=False).status == OK
    assert answers(refund, refused(refund, Reason.PAYMENT_NOT_FOUND, ""), waited=False).status == OK
