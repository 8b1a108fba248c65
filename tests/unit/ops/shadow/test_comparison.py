"""Two programs' facts about the same commands: the rule for equal decisions, and the report on the others."""

from __future__ import annotations

import msgspec

from ops.shadow.comparison import ShadowReport, by_command, compare
from schemas import facts as f
from schemas.facts import RecordedFact
from tests.harness.fact_logs import FactLog


def compared(recorded: list[RecordedFact], shadow: list[RecordedFact]) -> ShadowReport:
    report = ShadowReport(group="g", topic="t")
    compare(report, by_command(enumerate(recorded)), by_command(enumerate(shadow)))
    return report


def test_the_same_facts_are_alike_whatever_is_told_again() -> None:
    facts = FactLog(0, seed=4).take(200)
    report = compared(facts, [*facts[:50], *facts[20:]])
    assert (report.commands, report.same, report.different, report.ok) == (200, 200, 0, True)
    assert report.under_other_rules == 0


def test_other_rules_alone_are_no_difference_but_said() -> None:
    facts = FactLog(0, seed=4).take(50)
    older = [
        RecordedFact(msgspec.structs.replace(one.envelope, rules_version=one.envelope.rules_version - 1), one.fact)
        for one in facts
    ]
    report = compared(older, facts)
    assert (report.same, report.under_other_rules, report.different) == (50, 50, 0)


def test_a_grant_that_only_one_gives_is_counted_and_its_fields_told() -> None:
    facts = FactLog(0, seed=4).take(200)
    at = next(number for number, one in enumerate(facts) if isinstance(one.fact, f.TicketsHeld))
    held = facts[at].fact
    assert isinstance(held, f.TicketsHeld)
    other = list(facts)
    other[at] = RecordedFact(facts[at].envelope, msgspec.structs.replace(held, quantity=9))
    report = compared(facts, other)
    (one,) = report.differences
    assert (report.different, report.changes) == (1, {"TicketsHeld → TicketsHeld": 1})
    assert one.recorded == [{"type": "TicketsHeld", "quantity": held.quantity}]
    assert one.shadow == [{"type": "TicketsHeld", "quantity": 9}]
    rejected = f.ReservationRejected(
        reservation_id=held.reservation_id,
        user_id=held.user_id,
        ticket_type_id=held.ticket_type_id,
        quantity=held.quantity,
        reason="sold-out",
        detail="",
        fingerprint=held.fingerprint,
    )
    other[at] = RecordedFact(facts[at].envelope, rejected)
    report = compared(facts, other)
    assert (report.granted_only_recorded, report.granted_only_shadow) == (1, 0)
    assert report.changes == {"TicketsHeld → ReservationRejected(sold-out)": 1}


def test_a_shadow_that_is_not_at_the_end_is_compared_as_far_as_it_is() -> None:
    facts = FactLog(0, seed=4).take(100)
    report = compared(facts, [one for one in facts if one.envelope.offset < 60])
    assert (report.commands, report.same) == (60, 60)
