"""The checker's negative controls: a sound history has no violation, and each broken history has its own one."""

from __future__ import annotations

import pytest

from ops.proof.checker.report import ToldOutcome
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S
from tests.harness.histories import Step, audited
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    EVENT,
    R1,
    R2,
    R3,
    STALLS,
    TTL_S,
    T,
    add_type,
    cancelled,
    confirm,
    confirmed,
    create,
    created,
    declined,
    held,
    hold_expired,
    hold_released,
    in_turn,
    locks,
    paid,
    payment_refunded,
    payment_requested,
    publish,
    published,
    refund_requested,
    refunded,
    rejected,
    release,
    reserve,
    tick,
    type_added,
    update,
)

OPEN = [Step(create()), Step(add_type()), Step(publish())]
FLOOR_OPEN = [
    Step(create()),
    Step(add_type(kind="general", capacity=2, rows=0, seats_per_row=0)),
    Step(publish()),
]
HELD = Step(reserve(seats=["A-1"]), [held(["A-1"])])
PAID_FOR = [
    HELD,
    Step(confirm(), [payment_requested()]),
    Step(paid(), [confirmed(["A-1"])]),
]


def test_a_sound_history_has_no_violation() -> None:
    story = [
        *OPEN,
        Step(reserve(2)),
        Step(reserve(2)),
        Step(confirm()),
        Step(paid(amount=5_000)),
        Step(in_turn(reserve(11, rid=R3), reserve(by=BOB, rid=R2))),
        Step(confirm(R2, by=BOB, attempt="late")),
        Step(tick(), seconds=TTL_S),
        Step(paid(R2, attempt="late", payment="pay-2")),
        Step(refunded(R2, payment="pay-2")),
        Step(update(max_tickets_per_user=1)),
        Step(declined("nothing")),
        Step(release()),
        Step(refunded(amount=5_000)),
    ]
    answers = [
        ToldOutcome(reservation_id=R1, partition=0, offset=3, status="held", seats=("A-3", "A-4")),
        ToldOutcome(R1, 0, 4),
        ToldOutcome(R2, 0, 7),
    ]
    report = audited(story, replay=True, told=answers)
    assert report.ok, report.text()
    assert report.counts["commands"] == len(story)
    assert report.counts["told"] == 3
    assert (report.captured_minor, report.refunded_minor, report.confirmed_minor) == (7_500, 5_000, 2_500)


def test_a_request_repeated_within_one_turn_has_one_outcome_and_a_duplicate() -> None:
    turn = Step(in_turn(reserve(2), reserve(2, by=BOB, rid=R2), reserve(2)))
    told = [ToldOutcome(R1, 0, 3, "held"), ToldOutcome(R1, 0, 3, "held"), ToldOutcome(R2, 0, 3, "held")]
    report = audited([*OPEN, turn], replay=True, told=told)
    assert report.ok, report.text()
    assert (report.counts["CommandDuplicated"], report.counts["told"]) == (1, 3)


def test_two_changes_at_the_same_moment_are_told_one_by_one() -> None:
    changes = [Step(update(venue="Garden")), Step(tick()), Step(update(title="Later")), Step(tick())]
    bought = [Step(reserve(2)), Step(confirm()), Step(paid(amount=5_000))]
    report = audited([*OPEN, *bought, *changes], replay=True)
    assert report.ok, report.text()
    assert report.counts["HolderNotified"] == 2


def test_of_a_date_that_is_moved_and_moved_back_holders_are_reminded_again() -> None:
    dates = [Step(update(reminder_at=at)) for at in (T - 1, T - 2, T - 1)]
    bought = [Step(reserve(2)), Step(confirm()), Step(paid(amount=5_000))]
    report = audited([*OPEN, *bought, *(step for date in dates for step in (date, Step(tick())))], replay=True)
    assert report.ok, report.text()
    assert report.counts["HolderNotified"] == 3


def test_a_payment_may_be_refunded_in_parts_each_under_its_own_key() -> None:
    parts = [
        Step(
            release(),
            [
                cancelled(["A-1"]),
                *(refund_requested(Reason.BUYER_CANCELLED, amount=1_250, key=key) for key in ("one", "two")),
            ],
        ),
        *(Step(refunded(amount=1_250, key=key), [payment_refunded(amount=1_250, key=key)]) for key in ("one", "two")),
    ]
    report = audited([*OPEN, *PAID_FOR, *parts])
    assert report.ok, report.text()
    assert report.refunded_minor == 2_500


BROKEN: list[tuple[str, str, list[Step], list[ToldOutcome]]] = [
    # positions
    ("lost-command", "the command has no facts", [*OPEN, Step(reserve(), [])], []),
    ("positions", "a fact of a command is missing", [Step(create(), [created(), published()], drop=0)], []),
    ("positions", "the last fact of a command is missing", [Step(create(), [created(), published()], drop=1)], []),
    ("positions", "a fact that another command counts", [Step(create(), [created()], envelope={"count": 2})], []),
    ("positions", "the same index twice", [Step(create(), [created(), published()], envelope={"index": 0})], []),
    ("positions", "a fact of another partition", [Step(create(), [created()], envelope={"partition": 3})], []),
    ("positions", "a fact of another event", [Step(create(), [created()], envelope={"event_id": "x"})], []),
    ("log-time", "a time that no record had", [Step(create(), [created()], envelope={"log_time": T + 1})], []),
    # seats and capacity
    ("two-claims", "a seat held twice", [*OPEN, HELD, Step(reserve(), [held(["A-1"], rid=R2, by=BOB)])], []),
    (
        "two-claims",
        "a sold seat held again",
        [*OPEN, *PAID_FOR, Step(reserve(), [held(["A-1"], rid=R2, by=BOB)])],
        [],
    ),
    (
        "over-capacity",
        "one place too many",
        [
            *FLOOR_OPEN,
            Step(reserve(), [held(quantity=2)]),
            Step(reserve(), [held(quantity=1, rid=R2, by=BOB)]),
        ],
        [],
    ),
    ("seats", "a seat that is not there", [*OPEN, Step(reserve(), [held(["Z-1"])])], []),
    ("seats", "more places than seats", [*OPEN, Step(reserve(), [held(["A-1"], quantity=2)])], []),
    ("seats", "a seat twice", [*OPEN, Step(reserve(), [held(["A-1", "A-1"])])], []),
    (
        "seats",
        "confirmed with other seats",
        [*OPEN, HELD, Step(confirm(), [payment_requested()]), Step(paid(), [confirmed(["A-2"])])],
        [],
    ),
    ("sales-window", "sold before it is published", [*OPEN[:2], HELD], []),
    # limits
    (
        "user-limit",
        "one more than allowed",
        [Step(create(max_tickets_per_user=1)), *OPEN[1:], HELD, Step(reserve(), [held(["A-2"], rid=R2)])],
        [],
    ),
    (
        "user-limit",
        "what is bought counts",
        [Step(create(max_tickets_per_user=1)), *OPEN[1:], *PAID_FOR, Step(reserve(), [held(["A-2"], rid=R2)])],
        [],
    ),
    # foreign locks
    (
        "locked-seat-sold",
        "the lock is on the log",
        [*OPEN, Step(reserve(), [locks(["stalls/A-1"]), held(["A-1"])])],
        [],
    ),
    # deadlines
    ("deadline", "expired too early", [*OPEN, HELD, Step(tick(), [hold_expired(["A-1"])], seconds=TTL_S - 1)], []),
    ("deadline", "held for too long", [*OPEN, Step(reserve(), [held(["A-1"], until=DEADLINE + 1)])], []),
    (
        "deadline",
        "confirmed after its end",
        [
            *OPEN,
            HELD,
            Step(confirm(), [payment_requested()]),
            Step(paid(), [confirmed(["A-1"])], seconds=TTL_S),
        ],
        [],
    ),
    (
        "hold-outlives-deadline",
        "nobody ends it",
        [
            *OPEN,
            HELD,
            Step(tick(), [f.TickObserved()], seconds=TTL_S),
            Step(tick(), [f.TickObserved()], seconds=3),
        ],
        [],
    ),
    # outcomes
    ("outcomes", "two grants of one request", [*OPEN, HELD, Step(reserve(), [held(["A-2"])])], []),
    (
        "outcomes",
        "a rejection after the grant",
        [*OPEN, HELD, Step(reserve(), [rejected(Reason.SOLD_OUT, "")])],
        [],
    ),
    (
        "refused-while-free",
        "one of requests in turn",
        [*OPEN, Step(in_turn(reserve(2)), [rejected(Reason.SOLD_OUT, "")])],
        [],
    ),
    ("refused-while-free", "alone", [*OPEN, Step(reserve(2), [rejected(Reason.SOLD_OUT, "")])], []),
    ("told", "requests of others were in that turn", [*OPEN, Step(in_turn(reserve(rid=R2)))], [ToldOutcome(R1, 0, 3)]),
    ("told", "told held, was rejected in turn", [*OPEN, Step(in_turn(reserve(11)))], [ToldOutcome(R1, 0, 3, "held")]),
    (
        "told",
        "two outcomes in turn, asked twice",
        [*OPEN, Step(in_turn(reserve(), reserve()), [held(["A-1"]), held(["A-2"])])],
        [ToldOutcome(R1, 0, 3)],
    ),
    ("told", "the command is not there", [*OPEN], [ToldOutcome(R1, 0, 99)]),
    ("told", "another command is there", [*OPEN], [ToldOutcome(R1, 0, 2)]),
    ("told", "no outcome", [*OPEN, Step(reserve(), [f.TickObserved()])], [ToldOutcome(R1, 0, 3)]),
    ("told", "two outcomes", [*OPEN, Step(reserve(), [held(["A-1"]), held(["A-2"])])], [ToldOutcome(R1, 0, 3)]),
    ("told", "told held, was rejected", [*OPEN, Step(reserve(11))], [ToldOutcome(R1, 0, 3, "held")]),
    ("told", "told rejected, was held", [*OPEN, HELD], [ToldOutcome(R1, 0, 3, "rejected")]),
    (
        "told",
        "told other seats",
        [*OPEN, HELD],
        [ToldOutcome(reservation_id=R1, partition=0, offset=3, status="held", seats=("A-2",))],
    ),
    # money
    (
        "money",
        "confirmed for nothing",
        [*OPEN, HELD, Step(confirm(), [confirmed(["A-1"], payment="")])],
        [],
    ),
    (
        "money",
        "one payment confirms two",
        [
            *OPEN,
            *PAID_FOR,
            Step(reserve(), [held(["A-2"], rid=R2)]),
            Step(confirm(R2), [payment_requested(R2)]),
            Step(paid(R2), [confirmed(["A-2"], rid=R2)]),
        ],
        [],
    ),
    ("money", "another amount asked for", [*OPEN, HELD, Step(confirm(), [payment_requested(amount=1)])], []),
    ("money", "another price", [*OPEN, Step(reserve(), [held(["A-1"], price_minor=1)])], []),
    (
        "money",
        "two payments under way",
        [*OPEN, HELD, Step(confirm(), [payment_requested()]), Step(confirm(), [payment_requested(attempt="2")])],
        [],
    ),
    ("money", "a refund nobody asked for", [*OPEN, *PAID_FOR, Step(refunded(), [payment_refunded()])], []),
    (
        "money",
        "a refund of what stays confirmed",
        [*OPEN, *PAID_FOR, Step(release(), [refund_requested(Reason.BUYER_CANCELLED)])],
        [],
    ),
    ("money", "cancelled, never refunded", [*OPEN, *PAID_FOR, Step(release(), [cancelled(["A-1"])])], []),
    (
        "money",
        "the refund is still to come",
        [
            *OPEN,
            *PAID_FOR,
            Step(release(), [cancelled(["A-1"]), refund_requested(Reason.BUYER_CANCELLED)]),
        ],
        [],
    ),
    (
        "money",
        "refunded another amount",
        [
            *OPEN,
            *PAID_FOR,
            Step(release(), [cancelled(["A-1"]), refund_requested(Reason.BUYER_CANCELLED)]),
            Step(refunded(), [payment_refunded(amount=1)]),
        ],
        [],
    ),
    (
        "money",
        "refunded twice under one key",
        [
            *OPEN,
            *PAID_FOR,
            Step(release(), [cancelled(["A-1"]), *(refund_requested(Reason.BUYER_CANCELLED, amount=1) for _ in "12")]),
        ],
        [],
    ),
    (
        "money",
        "refunded in parts that are more than the whole",
        [
            *OPEN,
            *PAID_FOR,
            Step(
                release(),
                [
                    cancelled(["A-1"]),
                    *(refund_requested(Reason.BUYER_CANCELLED, amount=1_251, key=key) for key in ("one", "two")),
                ],
            ),
        ],
        [],
    ),
    # facts that cannot be
    ("broken-log", "confirmed, never held", [*OPEN, Step(confirm(), [confirmed(["A-1"])])], []),
    ("broken-log", "expired twice", [*OPEN, HELD, *[Step(tick(), [hold_expired(["A-1"])], seconds=TTL_S)] * 2], []),
    ("broken-log", "a sold one expires", [*OPEN, *PAID_FOR, Step(tick(), [hold_expired(["A-1"])], seconds=90)], []),
    ("broken-log", "released, then sold", [*OPEN, HELD, Step(release(), [hold_released(["A-1"])]), *PAID_FOR[1:]], []),
    ("broken-log", "of a type that is not there", [*OPEN, Step(reserve(), [held(quantity=1, of="balcony")])], []),
    ("broken-log", "a ticket type twice", [*OPEN, Step(add_type(), [type_added()])], []),
]


@pytest.mark.parametrize(("rule", "story", "steps", "told"), BROKEN, ids=[f"{one[0]}: {one[1]}" for one in BROKEN])
def test_a_broken_history_is_found(rule: str, story: str, steps: list[Step], told: list[ToldOutcome]) -> None:
    report = audited(steps, told=told)
    assert rule in report.by_rule, report.text()
    assert not report.ok


@pytest.mark.parametrize(
    ("story", "facts"),
    [
        ("other seats than the rules choose", [held(["A-1"])]),
        ("a refusal where there was a seat", [rejected(Reason.SOLD_OUT, "0 left")]),
        ("one fact more", [held(["A-3"]), f.TickObserved()]),
        ("one fact less", []),
    ],
)
def test_a_log_that_the_rules_would_not_write_is_found_by_replay(story: str, facts: list[f.Fact]) -> None:
    report = audited([*OPEN, Step(reserve(), facts)], replay=True)
    assert "replay" in report.by_rule, story


def test_a_lock_that_the_log_records_is_replayed_without_redis() -> None:
    facts: list[f.Fact] = [locks(["stalls/A-3"]), held(["A-4"])]
    report = audited([*OPEN, Step(reserve(), facts)], replay=True)
    assert report.ok, report.text()


def test_a_seat_locked_behind_the_logs_back_is_found_by_replay() -> None:
    report = audited([*OPEN, Step(reserve(), [held(["A-4"])])], replay=True)
    assert report.by_rule == {"replay": 1}


def test_a_hold_may_outlive_its_deadline_by_the_bound_and_by_any_silence() -> None:
    """Lateness counts from the first record after the deadline: without records, log time stands still."""
    after_silence = [*OPEN, HELD, Step(tick(), [f.TickObserved()], seconds=9_000)]
    in_time = [*after_silence, Step(tick(), [hold_expired(["A-1"])], seconds=2)]
    assert audited(in_time).ok
    late = [*after_silence, Step(tick(), [f.TickObserved()], seconds=3), Step(tick(), [hold_expired(["A-1"])])]
    assert audited(late).by_rule == {"hold-outlives-deadline": 1}
    assert audited(late, tick_bound_s=3).ok


def test_an_extended_hold_is_overdue_after_its_new_deadline_only() -> None:
    opened = [Step(create(hold_extension_s=TTL_S)), Step(add_type()), Step(publish()), HELD]
    longer = f.HoldExtended(R1, ALICE, STALLS, DEADLINE + TTL_S * 1_000_000)
    extended = [*opened, Step(c.ExtendHold(EVENT, ALICE, "cmd", R1), [longer])]
    waits = [*extended, *[Step(tick(), [f.TickObserved()], seconds=one) for one in (TTL_S, TTL_S - 1)]]
    assert audited([*waits, Step(tick(), [hold_expired(["A-1"])], seconds=1)]).ok
    late = [*waits, Step(tick(), [f.TickObserved()], seconds=1), Step(tick(), [f.TickObserved()], seconds=3)]
    assert audited(late).by_rule == {"hold-outlives-deadline": 1}


def test_a_rejected_requests_key_may_have_an_outcome_again_after_a_day() -> None:
    no, yes = (
        Step(reserve(), [rejected(Reason.LIMIT_EXCEEDED, "")]),
        Step(reserve(), [held(["A-1"], until=T + 86_461 * US_PER_S)]),
    )
    again = Step(yes.command, yes.facts, seconds=86_401)
    assert audited([*OPEN, no, again]).ok
    assert "outcomes" in audited([*OPEN, no, Step(yes.command, [held(["A-1"])])]).by_rule


def test_an_unreadable_record_needs_its_fact_and_no_other() -> None:
    sound = Step(tick(), [f.CommandUnreadable("does not begin with 0x00 and a 4-byte schema id")], value=b"garbage")
    sound.envelope = {"event_id": ""}
    report = audited([sound], replay=True)
    assert report.ok, report.text()
    assert report.counts["unreadable"] == 1
    assert "lost-command" in audited([Step(tick(), [], value=b"garbage")]).by_rule
    assert "replay" in audited([Step(tick(), [f.CommandUnreadable("x")])], replay=True).by_rule


def test_every_place_of_general_admission_is_counted() -> None:
    full = [*FLOOR_OPEN, Step(reserve(), [held(quantity=2)])]
    assert audited(full).ok
    freed = [*full, Step(release(), [hold_released([])]), Step(reserve(), [held(quantity=2, rid=R2, by=ALICE)])]
    report = audited(freed)
    assert "over-capacity" not in report.by_rule


def test_a_report_reads_as_text_and_as_data() -> None:
    report = audited([*OPEN, HELD, Step(reserve(), [held(["A-1"], rid=R2, by=BOB)])])
    assert report.text().startswith("1 violations: two-claims ×1\ntwo-claims at 0-4-0: A-1 is claimed by")
    assert report.as_dict()["ok"] is False
    assert audited(OPEN).text().startswith("no violation (")
