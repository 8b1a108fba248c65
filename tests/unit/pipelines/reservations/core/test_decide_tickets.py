"""A ticket has one holder at a time: only the holder cancels or offers it, and its former code opens no door."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipelines.history.rules_by_version import rules
from pipelines.reservations.core import limits
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.entities import At
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime, offer_id, transfer_id
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    DETAILS,
    EVENT,
    ORGANIZER,
    R1,
    R2,
    STALLS,
    TTL_S,
    T,
    cancelled,
    confirmed,
    duplicate,
    folded,
    given,
    held,
    hold_expired,
    on_sale,
    payment_requested,
    refund_requested,
    refused,
    rejected,
    release,
    reserve,
    tick,
)

SEATS = ["A-3", "A-4"]
BOUGHT = (*on_sale(), held(SEATS), payment_requested(amount=5_000), confirmed(SEATS))
ONE, TWO = confirmed(SEATS).ticket_ids
MOVED = f.TicketTransferred(
    reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, ticket_id=ONE, seat="A-3", to_user_id=BOB, version=2
)
INSIDE = f.CheckInAccepted(
    reservation_id=R1,
    user_id=ALICE,
    ticket_id=ONE,
    seat="A-3",
    by_user_id=ORGANIZER,
    gate="north",
    scanner="",
    scanned_at=T,
)
SMALL = {"rows": 1, "seats_per_row": 2}
WAITING = f.WaitlistJoined("w1", BOB, STALLS, 2)


def some_cancelled(kept: int = 0, reason: Reason = Reason.BUYER_CANCELLED) -> f.TicketsCancelled:
    return f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-3"],
        ticket_ids=[ONE],
        amount_minor=2_500,
        kept_minor=kept,
        reason=reason,
    )


def part_back(amount: int, reason: Reason = Reason.BUYER_CANCELLED) -> f.RefundRequested:
    return f.RefundRequested(
        reservation_id=R1,
        user_id=ALICE,
        attempt_id="attempt-1",
        payment_id="pay-1",
        amount_minor=amount,
        currency="EUR",
        reason=reason,
        refund_key=f"refund-{ONE}",
    )


def cancel(*tickets: str, by: str = ALICE) -> c.CancelTickets:
    return c.CancelTickets(event_id=EVENT, user_id=by, command_id="cmd", reservation_id=R1, ticket_ids=list(tickets))


def transfer(ticket: str = ONE, *, by: str = ALICE, to: str = BOB) -> c.TransferTicket:
    return c.TransferTicket(
        event_id=EVENT, user_id=by, command_id="cmd", reservation_id=R1, ticket_id=ticket, to_user_id=to
    )


def scan(ticket: str = ONE, *, by: str = ORGANIZER, version: int = 1, gate: str = "north", at: int = T) -> c.CheckIn:
    return c.CheckIn(
        event_id=EVENT,
        user_id=by,
        command_id="cmd",
        reservation_id=R1,
        ticket_id=ticket,
        version=version,
        gate=gate,
        scanner="",
        scanned_at=at,
    )


def turned_away(reason: Reason, ticket: str = ONE, *, gate: str = "north", **first: Any) -> f.CheckInRefused:
    seen = {"first_scanned_at": 0, "first_gate": "", "first_scanner": ""} | first
    return f.CheckInRefused(
        reservation_id=R1,
        user_id=ORGANIZER,
        ticket_id=ticket,
        reason=reason,
        gate=gate,
        scanner="",
        scanned_at=first.pop("at", T),
        **seen,
    )


# --- extending ----------------------------------------------------------------------------------------------------


def test_a_hold_is_extended_once_where_the_event_allows_it() -> None:
    extend = c.ExtendHold(EVENT, ALICE, "cmd", R1)
    sale = on_sale(details={"hold_extension_s": 30})
    extended = f.HoldExtended(R1, ALICE, STALLS, DEADLINE + 30_000_000)
    given(*sale, held(["A-3"])).when(extend).then(extended)
    given(*sale, held(["A-3"]), extended).when(extend).then(duplicate(extend))
    given(*sale, held(["A-3"]), extended).at(DEADLINE).when(tick()).then(f.TickObserved())
    given(*sale, held(["A-3"]), extended).at(DEADLINE + 30_000_000).when(tick()).then(
        hold_expired(["A-3"]), f.TickObserved()
    )
    detail = "holds of this event are not extended"
    given(*on_sale(), held(["A-3"])).when(extend).then(refused(extend, Reason.EXTENSION_NOT_ALLOWED, detail, R1))


# --- cancelling and refunding -------------------------------------------------------------------------------------


def test_a_single_ticket_is_cancelled_and_its_part_refunded() -> None:
    given(*BOUGHT).when(cancel(ONE)).then(some_cancelled(), part_back(2_500))
    state = folded(*BOUGHT, some_cancelled(), part_back(2_500))
    left = state.reservations[R1]
    assert (left.quantity, left.seats, left.amount_minor, left.void_places) == (1, ["A-4"], 2_500, ("A-3",))
    assert (left.status, left.payment, state.tickets_of[ALICE], state.sections[STALLS].sold) == (
        "confirmed", "captured", 1, 1,
    )  # fmt: skip
    given(*BOUGHT, some_cancelled(), part_back(2_500)).when(cancel(ONE)).then(duplicate(cancel()))


def test_the_last_tickets_end_the_reservation() -> None:
    given(*BOUGHT, some_cancelled(), part_back(2_500)).when(cancel(TWO)).then(
        f.ReservationCancelled(
            reservation_id=R1,
            user_id=ALICE,
            ticket_type_id=STALLS,
            quantity=1,
            seats=["A-4"],
            reason=Reason.BUYER_CANCELLED,
            refund_minor=2_500,
        ),
        refund_requested(Reason.BUYER_CANCELLED),
    )


def test_the_terms_say_how_much_goes_back_and_until_when() -> None:
    half = (*on_sale(details={"refund_percent": 50}), *BOUGHT[3:])
    given(*half).when(cancel(ONE)).then(some_cancelled(kept=1_250), part_back(1_250))
    nothing = (*on_sale(details={"refund_percent": 0}), *BOUGHT[3:])
    given(*nothing).when(cancel(ONE)).then(some_cancelled(kept=2_500))
    until = (*on_sale(details={"refund_until_at": T + 5}), *BOUGHT[3:])
    given(*until).at(T + 4).when(release()).then(
        cancelled(SEATS, refund=5_000), refund_requested(Reason.BUYER_CANCELLED, amount=5_000)
    )
    given(*until).at(T + 5).when(release()).then(
        refused(release(), Reason.REFUND_NOT_ALLOWED, f"cancelling was possible until {T + 5}", R1, at=T + 5)
    )
    starts = DETAILS["starts_at"]
    given(*BOUGHT).at(starts).when(release()).then(
        refused(release(), Reason.REFUND_NOT_ALLOWED, f"cancelling was possible until {starts}", R1, at=starts)
    )


def test_the_organizer_refunds_whole_whatever_the_terms() -> None:
    nothing = (*on_sale(details={"refund_percent": 0}), *BOUGHT[3:])
    given(*nothing).when(cancel(ONE, by=ORGANIZER)).then(
        some_cancelled(reason=Reason.ORGANIZER_CANCELLED), part_back(2_500, Reason.ORGANIZER_CANCELLED)
    )


def test_tickets_that_were_handed_on_or_used_are_not_the_buyers_to_cancel() -> None:
    detail = "a ticket that was handed on is not yours any more"
    given(*BOUGHT, MOVED).when(cancel(ONE)).then(refused(cancel(), Reason.TRANSFER_NOT_ALLOWED, detail, R1))
    rest = f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-4"],
        ticket_ids=[TWO],
        amount_minor=2_500,
        kept_minor=0,
        reason=Reason.BUYER_CANCELLED,
    )
    assert given(*BOUGHT, MOVED).when(release()).facts[0] == rest
    used = "a ticket that was used is not refunded"
    given(*BOUGHT, INSIDE).when(release()).then(refused(release(), Reason.ALREADY_CHECKED_IN, used, R1))
    stranger = cancel(ONE, by=BOB)
    given(*BOUGHT).when(stranger).then(
        refused(stranger, Reason.RESERVATION_NOT_FOUND, "no such reservation of yours", R1)
    )


# --- transfers ----------------------------------------------------------------------------------------------------


UNTIL = min(T + limits.TRANSFER_TTL_S * US_PER_S, DETAILS["ends_at"])
OFFER = transfer_id(ONE, "cmd")
OFFERED = f.TransferOffered(
    transfer_id=OFFER,
    reservation_id=R1,
    user_id=ALICE,
    ticket_type_id=STALLS,
    ticket_id=ONE,
    seat="A-3",
    to_user_id=BOB,
    expires_at=UNTIL,
)
ACCEPTED = f.TicketTransferred(
    reservation_id=R1,
    user_id=ALICE,
    ticket_type_id=STALLS,
    ticket_id=ONE,
    seat="A-3",
    to_user_id=BOB,
    version=2,
    transfer_id=OFFER,
)
NO_OFFER = "there is no such offer of a ticket to you or from you"


def offer_ended(outcome: str) -> f.TransferEnded:
    return f.TransferEnded(
        transfer_id=OFFER,
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        ticket_id=ONE,
        seat="A-3",
        to_user_id=BOB,
        outcome=outcome,
    )


def answer(word: str, *, by: str = BOB, offer: str = OFFER) -> c.AnswerTransfer:
    return c.AnswerTransfer(
        event_id=EVENT, user_id=by, command_id="cmd", reservation_id=R1, ticket_id=ONE, transfer_id=offer, answer=word
    )


def test_a_ticket_is_offered_and_stays_its_holders_until_it_is_accepted() -> None:
    given(*BOUGHT).when(transfer()).then(OFFERED)
    given(*BOUGHT, OFFERED).when(transfer()).then(duplicate(transfer(), ONE))
    given(*BOUGHT, OFFERED).when(scan()).then(INSIDE)
    given(*BOUGHT, OFFERED).when(answer("accept")).then(ACCEPTED)
    given(*BOUGHT, OFFERED, ACCEPTED).when(answer("accept")).then(duplicate(answer("accept"), OFFER))
    assert folded(*BOUGHT, OFFERED, ACCEPTED).transfers == {}


def test_after_it_was_accepted_its_former_code_is_dead() -> None:
    given(*BOUGHT, MOVED).when(transfer()).then(duplicate(transfer(), ONE))
    given(*BOUGHT, MOVED).when(scan()).then(turned_away(Reason.TICKET_SUPERSEDED))
    given(*BOUGHT, MOVED).when(scan(version=2)).then(
        f.CheckInAccepted(
            reservation_id=R1,
            user_id=BOB,
            ticket_id=ONE,
            seat="A-3",
            by_user_id=ORGANIZER,
            gate="north",
            scanner="",
            scanned_at=T,
        )
    )
    back = transfer(by=BOB, to=ALICE)
    given(*BOUGHT, MOVED).when(back).then(
        f.TransferOffered(
            transfer_id=OFFER,
            reservation_id=R1,
            user_id=BOB,
            ticket_type_id=STALLS,
            ticket_id=ONE,
            seat="A-3",
            to_user_id=ALICE,
            expires_at=UNTIL,
        )
    )


def test_an_offer_is_declined_or_withdrawn_and_then_made_to_another() -> None:
    given(*BOUGHT, OFFERED).when(answer("decline")).then(offer_ended("declined"))
    given(*BOUGHT, OFFERED).when(answer("withdraw", by=ALICE)).then(offer_ended("withdrawn"))
    for outcome in ("declined", "withdrawn"):
        over = (*BOUGHT, OFFERED, offer_ended(outcome))
        given(*over).when(transfer(to=ORGANIZER)).then(
            f.TransferOffered(
                transfer_id=OFFER,
                reservation_id=R1,
                user_id=ALICE,
                ticket_type_id=STALLS,
                ticket_id=ONE,
                seat="A-3",
                to_user_id=ORGANIZER,
                expires_at=UNTIL,
            )
        )
        given(*over).when(answer("accept")).then(refused(answer("accept"), Reason.TRANSFER_NOT_FOUND, NO_OFFER, OFFER))


def test_a_ticket_is_offered_to_one_at_a_time() -> None:
    other = transfer(to=ORGANIZER)
    detail = "the ticket is offered to somebody else; withdraw that offer first"
    given(*BOUGHT, OFFERED).when(other).then(refused(other, Reason.ALREADY_OFFERED, detail, ONE))


@pytest.mark.parametrize(
    "command",
    [
        answer("accept", by=ALICE), answer("accept", by=ORGANIZER), answer("decline", by=ALICE),
        answer("withdraw", by=BOB), answer("accept", offer="another"), answer("maybe"),
    ],
    ids=["by its holder", "by a stranger", "declined by its holder", "withdrawn by its receiver", "another", "no word"],
)  # fmt: skip
def test_nobody_else_answers_an_offer(command: c.AnswerTransfer) -> None:
    given(*BOUGHT, OFFERED).when(command).then(
        refused(command, Reason.TRANSFER_NOT_FOUND, NO_OFFER, command.transfer_id)
    )


def test_an_offer_ends_by_log_time_and_another_may_follow() -> None:
    given(*BOUGHT, OFFERED).at(UNTIL - 1).when(answer("accept")).then(ACCEPTED)
    late = refused(answer("accept"), Reason.OFFER_EXPIRED, f"the offer ended at {UNTIL}", OFFER, at=UNTIL)
    given(*BOUGHT, OFFERED).at(UNTIL).when(answer("accept")).then(offer_ended("expired"), late)
    facts = given(*BOUGHT, OFFERED).at(UNTIL).when(transfer(to=ORGANIZER)).facts
    assert facts[0] == offer_ended("expired")
    assert isinstance(facts[1], f.TransferOffered)
    assert facts[1].expires_at <= DETAILS["ends_at"]


def test_an_offer_that_nobody_answers_in_time_ends_by_itself() -> None:
    given(*BOUGHT, OFFERED).at(UNTIL - 1).when(tick()).then(f.TickObserved())
    given(*BOUGHT, OFFERED).at(UNTIL).when(tick()).then(f.TickObserved(), offer_ended("expired"))
    given(*BOUGHT, OFFERED, offer_ended("expired")).at(UNTIL).when(tick()).then(f.TickObserved())
    declined = answer("decline")
    given(*BOUGHT, OFFERED).at(UNTIL).when(declined).then(offer_ended("declined"))
    state = folded(*BOUGHT, OFFERED)
    assert state.next_deadline() == UNTIL
    state.begin()
    assert step(state, tick(), At(0, 500, LogTime(UNTIL)))[1:] == [offer_ended("expired")]
    assert state.next_deadline() != UNTIL
    state.take_back()
    assert state.next_deadline() == UNTIL
    assert rules(2)(state, tick(), At(0, 500, LogTime(UNTIL))) == [f.TickObserved()], "version 2 did not"


def test_so_many_offers_end_with_one_command_and_the_rest_with_the_next() -> None:
    several = limits.EXPIRIES_PER_COMMAND_MAX + 1
    offered = [
        msgspec.structs.replace(OFFERED, transfer_id=f"o{number:03}", ticket_id=f"t{number:03}", expires_at=T + number)
        for number in range(several)
    ]
    state = folded(*BOUGHT, *offered)
    at = At(0, 500, LogTime(T + several))
    ended = [one.transfer_id for one in step(state, tick(), at) if isinstance(one, f.TransferEnded)]
    assert ended == [one.transfer_id for one in offered[:-1]]
    assert state.next_deadline() == offered[-1].expires_at
    (rest,) = [one.transfer_id for one in step(state, tick(), at) if isinstance(one, f.TransferEnded)]
    assert rest == offered[-1].transfer_id


def test_an_offer_ends_before_its_ticket_does() -> None:
    given(*BOUGHT, OFFERED).when(cancel(ONE)).then(offer_ended("cancelled"), some_cancelled(), part_back(2_500))
    whole = given(*BOUGHT, OFFERED).when(release()).facts
    assert [type(fact) for fact in whole] == [f.TransferEnded, f.ReservationCancelled, f.RefundRequested]
    off = given(*BOUGHT, OFFERED, f.EventCancelled(ORGANIZER, "rain")).when(tick()).facts
    assert offer_ended("cancelled") in off
    assert isinstance(given(*BOUGHT, OFFERED).when(cancel(TWO)).facts[0], f.TicketsCancelled)


def test_what_cannot_be_handed_on_is_not_accepted() -> None:
    command = answer("accept")
    used = "a ticket that was used cannot be handed on"
    given(*BOUGHT, OFFERED, INSIDE).when(command).then(refused(command, Reason.ALREADY_CHECKED_IN, used, OFFER))
    over = (*BOUGHT, OFFERED, f.EventEnded())
    given(*over).when(command).then(refused(command, Reason.TRANSFER_NOT_ALLOWED, "the event is ended", OFFER))


def test_only_who_has_a_ticket_hands_it_on() -> None:
    for command in (transfer(by=BOB, to=ORGANIZER), transfer("no-ticket")):
        given(*BOUGHT).when(command).then(
            refused(command, Reason.TICKET_NOT_FOUND, "you have no such ticket", command.ticket_id)
        )
    given(*BOUGHT, INSIDE).when(transfer()).then(
        refused(transfer(), Reason.ALREADY_CHECKED_IN, "a ticket that was used cannot be handed on", ONE)
    )


def test_limits_count_what_was_bought() -> None:
    assert folded(*BOUGHT, MOVED).tickets_of == {ALICE: 2}


# --- the door -----------------------------------------------------------------------------------------------------


def test_the_first_scan_lets_in_and_the_second_is_told_of_the_first() -> None:
    given(*BOUGHT).when(scan()).then(INSIDE)
    again = scan(gate="south", at=T + 5)
    given(*BOUGHT, INSIDE).when(again).then(
        f.CheckInRefused(
            reservation_id=R1,
            user_id=ORGANIZER,
            ticket_id=ONE,
            reason=Reason.ALREADY_CHECKED_IN,
            gate="south",
            scanner="",
            scanned_at=T + 5,
            first_scanned_at=T,
            first_gate="north",
            first_scanner="",
        )
    )
    given(*BOUGHT, INSIDE).when(scan()).then(duplicate(scan(), ONE))


def test_a_scan_without_a_time_lets_in_once() -> None:
    """A stranger on the log may write it; a check-in at 0 would mean "not inside"."""
    timeless = scan(at=0)
    given(*BOUGHT).when(timeless).then(INSIDE)
    seen = f.CheckInRefused(
        reservation_id=R1,
        user_id=ORGANIZER,
        ticket_id=ONE,
        reason=Reason.ALREADY_CHECKED_IN,
        gate="north",
        scanner="",
        scanned_at=0,
        first_scanned_at=T,
        first_gate="north",
        first_scanner="",
    )
    given(*BOUGHT, INSIDE).when(timeless).then(seen)


def test_a_rejected_request_has_no_tickets_however_many_it_asked_for() -> None:
    """The rules must not go through two billion tickets to see that the scanned or cancelled one is not among them."""
    no = rejected(Reason.INVALID_QUANTITY, "", quantity=2**31 - 1)
    given(*on_sale(), no).when(scan("any")).then(turned_away(Reason.TICKET_NOT_FOUND, "any"))
    command = cancel("any")
    given(*on_sale(), no).when(command).then(refused(command, Reason.NOT_HELD, "the reservation is rejected", R1))


@pytest.mark.parametrize(
    ("more", "command", "reason"),
    [
        ((), scan("no-ticket"), Reason.TICKET_NOT_FOUND),
        ((some_cancelled(),), scan(), Reason.TICKET_VOID),
        ((cancelled(SEATS),), scan(), Reason.TICKET_VOID),
        ((f.EventCancelled(ORGANIZER, ""),), scan(), Reason.EVENT_CANCELLED),
        ((), scan(version=2), Reason.TICKET_SUPERSEDED),
    ],
)
def test_the_door_says_why_it_turns_somebody_away(more: tuple[f.Fact, ...], command: c.CheckIn, reason: Reason) -> None:
    given(*BOUGHT, *more).when_decided(command).then(turned_away(reason, command.ticket_id))


def test_only_staff_scans_and_a_check_in_is_taken_back() -> None:
    mine = scan(by=BOB)
    detail = "only the event's organizer and staff check tickets in"
    given(*BOUGHT).when(mine).then(refused(mine, Reason.STAFF_ONLY, detail))
    hired = f.StaffAdded(ORGANIZER, BOB)
    given(*BOUGHT, hired).when(mine).then(
        f.CheckInAccepted(
            reservation_id=R1,
            user_id=ALICE,
            ticket_id=ONE,
            seat="A-3",
            by_user_id=BOB,
            gate="north",
            scanner="",
            scanned_at=T,
        )
    )
    undo = c.UndoCheckIn(event_id=EVENT, user_id=BOB, command_id="cmd", reservation_id=R1, ticket_id=ONE)
    undone = f.CheckInReversed(R1, ALICE, ONE, BOB)
    given(*BOUGHT, hired, INSIDE).when(undo).then(undone)
    anew = scan(at=T + 1)
    inside_again = f.CheckInAccepted(
        reservation_id=R1,
        user_id=ALICE,
        ticket_id=ONE,
        seat="A-3",
        by_user_id=ORGANIZER,
        gate="north",
        scanner="",
        scanned_at=T + 1,
    )
    given(*BOUGHT, hired, INSIDE, undone).when(anew).then(inside_again)
    given(*BOUGHT, hired).when(undo).then(refused(undo, Reason.NOT_CHECKED_IN, "the ticket is not checked in", ONE))


def test_a_scan_that_was_taken_back_does_not_let_in_again_when_it_is_sent_again() -> None:
    undone = f.CheckInReversed(R1, ALICE, ONE, ORGANIZER)
    later = f.CheckInAccepted(
        reservation_id=R1,
        user_id=ALICE,
        ticket_id=ONE,
        seat="A-3",
        by_user_id=ORGANIZER,
        gate="south",
        scanner="tablet-2",
        scanned_at=T + 5,
    )
    facts = (*BOUGHT, INSIDE, undone, later, undone)
    given(*facts).when(scan()).then(turned_away(Reason.CHECK_IN_UNDONE))
    merged = c.CheckIn(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        reservation_id=R1,
        ticket_id=ONE,
        version=1,
        gate="south",
        scanner="tablet-2",
        scanned_at=T + 5,
    )
    refused_scan = f.CheckInRefused(
        reservation_id=R1,
        user_id=ORGANIZER,
        ticket_id=ONE,
        reason=Reason.CHECK_IN_UNDONE,
        gate="south",
        scanner="tablet-2",
        scanned_at=T + 5,
        first_scanned_at=0,
        first_gate="",
        first_scanner="",
    )
    given(*facts).when(merged).then(refused_scan)
    given(*facts).when(scan(gate="south")).then(
        f.CheckInAccepted(
            reservation_id=R1,
            user_id=ALICE,
            ticket_id=ONE,
            seat="A-3",
            by_user_id=ORGANIZER,
            gate="south",
            scanner="",
            scanned_at=T,
        )
    )
    inside = f.CheckInAccepted(
        reservation_id=R1,
        user_id=ALICE,
        ticket_id=ONE,
        seat="A-3",
        by_user_id=ORGANIZER,
        gate="east",
        scanner="",
        scanned_at=T + 9,
    )
    first = {"first_scanned_at": T + 9, "first_gate": "east"}
    given(*facts, inside).when(scan()).then(turned_away(Reason.ALREADY_CHECKED_IN, **first))


def test_a_check_in_is_taken_back_only_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNDONE_SCANS_PER_TICKET_MAX", 1)
    undo = c.UndoCheckIn(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", reservation_id=R1, ticket_id=ONE)
    facts = (*BOUGHT, INSIDE, f.CheckInReversed(R1, ALICE, ONE, ORGANIZER), INSIDE)
    detail = "a ticket's check-in is taken back at most 1 times"
    given(*facts).when(undo).then(refused(undo, Reason.TOO_MANY, detail, ONE))


# --- waiting lists ------------------------------------------------------------------------------------------------


def join(entry: str = "w1", *, by: str = BOB, quantity: int = 2) -> c.JoinWaitlist:
    return c.JoinWaitlist(
        event_id=EVENT, user_id=by, command_id="cmd", entry_id=entry, ticket_type_id=STALLS, quantity=quantity
    )


def offered(entry: str = "w1", *, by: str = BOB, seats: list[str], until: int = DEADLINE) -> tuple[f.Fact, f.Fact]:
    rid = offer_id(entry)
    return (
        f.WaitlistOffered(
            entry_id=entry, user_id=by, ticket_type_id=STALLS, quantity=len(seats), reservation_id=rid, expires_at=until
        ),
        held(seats, rid=rid, by=by, fingerprint=0, until=until),
    )


FULL = (*on_sale(layout=SMALL), held(["A-1", "A-2"]))


def test_who_finds_nothing_waits_and_who_finds_something_does_not() -> None:
    given(*FULL).when(join()).then(WAITING)
    given(*FULL, WAITING).when(join()).then(duplicate(join(), "w1"))
    twice = join("w2")
    given(*FULL, WAITING).when(twice).then(
        refused(twice, Reason.TOO_MANY, "you wait for this ticket type already", "w2")
    )
    free = on_sale(layout=SMALL)
    given(*free).when(join()).then(
        refused(join(), Reason.NOT_SOLD_OUT, "2 are available: reserve them", "w1", amount=2)
    )


def test_what_is_freed_is_offered_at_once_with_a_deadline_of_its_own() -> None:
    sale = (*on_sale(layout=SMALL, details={"offer_ttl_s": 20}), held(["A-1", "A-2"]), WAITING)
    given(*sale).when(release()).then(
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=2, seats=["A-1", "A-2"]),
        *offered(seats=["A-1", "A-2"], until=T + 20_000_000),
    )


def test_a_reservation_with_an_offers_id_stands_and_the_entry_ends() -> None:
    """Callers choose the ids on the log: an offer never replaces an existing reservation."""
    theirs = held(["A-1"], rid=offer_id("w1"), by=ALICE)
    given(*on_sale(layout=SMALL), theirs, held(["A-2"]), f.WaitlistJoined("w1", BOB, STALLS, 1)).when(release()).then(
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=1, seats=["A-2"]),
        f.WaitlistEnded("w1", BOB, STALLS, Reason.IDEMPOTENCY_KEY_REUSED),
    )


def test_an_offer_that_runs_out_goes_to_the_next_in_line() -> None:
    more = f.WaitlistJoined("w2", ALICE, STALLS, 1)
    facts = (*FULL, WAITING, more, hold_expired(["A-1", "A-2"]), *offered(seats=["A-1", "A-2"]))
    given(*facts).at(DEADLINE).when(tick()).then(
        hold_expired(["A-1", "A-2"], rid=offer_id("w1"), by=BOB),
        f.TickObserved(),
        *offered("w2", by=ALICE, seats=["A-1"], until=DEADLINE + TTL_S * 1_000_000),
    )


def test_the_first_whose_number_fits_is_offered_first_and_the_rest_is_on_sale() -> None:
    singles = f.WaitlistJoined("w2", "carol", STALLS, 1)
    full = (*on_sale(layout=SMALL), held(["A-1"]), held(["A-2"], rid=R2, by=ALICE), WAITING, singles)
    given(*full).when(release()).then(
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=1, seats=["A-1"]),
        *offered("w2", by="carol", seats=["A-1"]),
    )


def test_nobody_buys_past_those_who_wait() -> None:
    unfolded = (*on_sale(layout=SMALL), held(["A-1", "A-2"]), WAITING, hold_expired(["A-1", "A-2"]))
    detail = "what is free is being offered to those who wait"
    given(*unfolded).when(reserve(by=ALICE, rid=R2)).then(
        rejected(Reason.SOLD_OUT, detail, rid=R2), *offered(seats=["A-1", "A-2"])
    )


def test_what_is_offered_belongs_to_the_mailbox_that_asked_to_wait() -> None:
    asked = c.JoinWaitlist(
        event_id=EVENT, user_id=BOB, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=2, mailbox=7
    )
    joined = f.WaitlistJoined(entry_id="w1", user_id=BOB, ticket_type_id=STALLS, quantity=2, mailbox=7)
    given(*FULL).when(asked).then(joined)
    offer, hold = offered(seats=["A-1", "A-2"])
    freed = given(*FULL, joined).when(release()).facts
    assert freed[1:] == (offer, msgspec.structs.replace(hold, mailbox=7))


def test_offers_are_bounded_and_ticks_are_asked_for_until_all_are_made() -> None:
    most = limits.OFFERS_PER_COMMAND_MAX
    house = {"kind": "general", "capacity": most + 1, "rows": 0, "seats_per_row": 0}
    everything = f.SeatsBlocked(
        user_id=ORGANIZER, block_id="b1", ticket_type_id=STALLS, seats=[], quantity=most + 1, until_at=0, label=""
    )
    waiting = [f.WaitlistJoined(f"w{n}", f"user{n}", STALLS, 1) for n in range(most + 1)]
    state = folded(*on_sale(layout=house), everything, *waiting)
    free = c.UnblockSeats(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", block_id="b1", seats=[], quantity=0)
    made = [sum(isinstance(fact, f.WaitlistOffered) for fact in step(state, free, At(0, 500, LogTime(T))))]
    assert state.next_deadline() == 0
    made.append(sum(isinstance(fact, f.WaitlistOffered) for fact in step(state, tick(), At(0, 501, LogTime(T)))))
    assert made == [most, 1]
    assert state.next_deadline() == DEADLINE
    state.more_work = True  # as after a step with exactly this number of offers
    step(state, tick(), At(0, 502, LogTime(T)))
    assert state.next_deadline() == DEADLINE


def test_leaving_after_an_offer_depends_on_what_became_of_it() -> None:
    leave = c.LeaveWaitlist(EVENT, BOB, "cmd", "w1")
    facts = (*FULL, WAITING, hold_expired(["A-1", "A-2"]), *offered(seats=["A-1", "A-2"]))
    detail = f"it was offered reservation {offer_id('w1')}, which can be released"
    still = refused(leave, Reason.ENTRY_NOT_FOUND, detail, "w1")
    given(*facts).when(leave).then(still)
    over = f.HoldReleased(
        reservation_id=offer_id("w1"), user_id=BOB, ticket_type_id=STALLS, quantity=2, seats=["A-1", "A-2"]
    )
    given(*facts, over).when(leave).then(duplicate(leave, "w1"))
    assert rules(2)(folded(*facts, over), leave, At(0, 500, LogTime(T))) == [still], "as version 2 answered"


def test_who_leaves_or_has_the_limit_by_now_is_passed_over() -> None:
    leave = c.LeaveWaitlist(EVENT, BOB, "cmd", "w1")
    left = f.WaitlistEnded("w1", BOB, STALLS, Reason.BUYER_LEFT)
    given(*FULL, WAITING).when(leave).then(left)
    given(*FULL, WAITING, left).when(release()).then(
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=2, seats=["A-1", "A-2"])
    )
    limited = (
        *on_sale(layout=SMALL, details={"max_tickets_per_user": 2}),
        held(["A-1"]),
        held(["A-2"], rid=R2, by=BOB),
    )
    one_more = f.WaitlistJoined("w1", BOB, STALLS, 2)
    given(
        *limited,
        one_more,
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=1, seats=["A-1"]),
    ).when(tick()).then(f.TickObserved())
    fewer = f.TicketTypeUpdated(
        user_id=ORGANIZER,
        ticket_type_id=STALLS,
        name="Stalls",
        price_minor=2_500,
        rows=1,
        seats_per_row=2,
        capacity=0,
        sales_open_at=0,
        sales_close_at=0,
        max_per_order=1,
        max_per_user=0,
        hidden=0,
    )
    given(*FULL, WAITING, fewer).when(release()).then(
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=2, seats=["A-1", "A-2"]),
        f.WaitlistEnded("w1", BOB, STALLS, Reason.LIMIT_EXCEEDED),
    )
    given(*FULL, WAITING, f.EventCancelled(ORGANIZER, "")).when(tick()).then(
        f.HoldReleased(reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, quantity=2, seats=["A-1", "A-2"]),
        f.WaitlistEnded("w1", BOB, STALLS, Reason.EVENT_CANCELLED),
        f.TickObserved(),
    )
