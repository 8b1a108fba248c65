"""The demo's verdict: it does not pass with any one finding."""

from collections.abc import Callable
from typing import Any

import pytest

from ops.proof.checker import Report as Audit
from ops.proof.demo.api_view import ApiView, compare
from ops.proof.demo.report import DemoOptions, DemoReport, make
from ops.proof.demo.tally import OwnTicket, Tally
from ops.statistics import ProcessCpu

ANN, BEN = "ann", "ben"


def report(
    *, tally: Tally | None = None, outside: ApiView | None = None, audit: Audit | None = None, **changes: Any
) -> DemoReport:
    figures: dict[str, Any] = {
        "seats": 2,
        "seconds": 2.0,
        "requests": 10,
        "cpu": [ProcessCpu("api", 0.001, 100.0, True), ProcessCpu("postgres", 0.002, 200.0, False)],
        "findings": [],
        "encore": [],
    }
    return make(
        DemoOptions(),
        tally=tally or Tally(),
        outside=outside or ApiView(tickets=2),
        audit=audit or Audit(),
        **figures | changes,
    )


def audit_of(rule: str) -> Audit:
    audit = Audit()
    audit.add(rule, "0-1-0", "is wrong")
    return audit


def test_a_sold_out_house_with_nothing_wrong_passes() -> None:
    made = report()
    assert made.passed
    assert (made.requests_per_s, made.our_cpu_us_per_request) == (5.0, 100.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: report(outside=ApiView(tickets=1)),
        lambda: report(outside=ApiView(tickets=2, oversold=1)),
        lambda: report(outside=ApiView(tickets=2, lost=1)),
        lambda: report(outside=ApiView(tickets=2, duplicates=1)),
        lambda: report(outside=ApiView(tickets=2, wrong=["the seat map"])),
        lambda: report(tally=Tally(wrong=["two answers"])),
        lambda: report(findings=["not settled"]),
        lambda: report(audit=audit_of("redis")),
    ],
)
def test_anything_wrong_fails(wrong: Callable[[], DemoReport]) -> None:
    assert not wrong().passed


def test_the_checkers_rules_are_counted_as_what_they_mean() -> None:
    assert report(audit=audit_of("two-claims")).oversold == 1
    assert report(audit=audit_of("lost-command")).lost == 1
    assert report(audit=audit_of("outcomes")).duplicates == 1


def tickets(**seats: str) -> list[tuple[str, OwnTicket]]:
    return [(ticket, OwnTicket(ANN, "r1", seat)) for ticket, seat in seats.items()]


def told(*listed: tuple[str, OwnTicket]) -> Tally:
    tally = Tally(confirmed={"r1": ANN})
    for ticket_id, ticket in listed:
        tally.ticket(ticket_id, ticket)
    return tally


def seen(listed: list[tuple[str, OwnTicket]], tally: Tally, seats: int = 2) -> ApiView:
    outside = ApiView()
    compare(listed, tally, seats, outside)
    return outside


def test_tickets_as_told_are_right() -> None:
    listed = tickets(t1="A-1", t2="A-2")
    assert seen(listed, told(*listed)) == ApiView(tickets=2)


def test_a_seat_on_two_tickets_is_oversold() -> None:
    listed = tickets(t1="A-1", t2="A-2", t3="A-2")
    assert seen(listed, told(*listed)).oversold == 1


def test_a_ticket_that_was_given_and_is_not_listed_is_lost() -> None:
    assert seen(tickets(t1="A-1"), told(*tickets(t1="A-1", t2="A-2"))).lost == 1


def test_a_confirmed_reservation_without_tickets_is_lost() -> None:
    outside = seen([("t9", OwnTicket(BEN, "r9", "A-1"))], told())
    assert outside.lost == 1


def test_a_ticket_listed_twice_is_a_duplicate() -> None:
    listed = tickets(t1="A-1", t2="A-2")
    assert seen([*listed, listed[0]], told(*listed)).duplicates == 1


def test_a_ticket_for_two_buyers_is_wrong() -> None:
    tally = told(("t1", OwnTicket(ANN, "r1", "A-1")))
    tally.ticket("t1", OwnTicket(BEN, "r2", "A-1"))
    assert len(tally.wrong) == 1
