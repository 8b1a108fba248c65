"""The explanation of a reservation's later facts: own words for each kind of fact, and no other user in them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from pipelines.history import aftermath
from pipelines.history.explain import OFFERED_FIRST, Explanation, FreeThen, Later
from pipelines.history.moment import EventFold
from pipelines.reservations.core.limits import TRANSFER_TTL_S
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, offer_id, ticket_id, transfer_id
from schemas.times import rfc3339
from tests.harness.command_logs import BothLogs
from tests.harness.words import (
    ALICE,
    BOB,
    EVENT,
    ORGANIZER,
    R1,
    R2,
    R3,
    STALLS,
    T,
    add_type,
    confirm,
    create,
    declined,
    paid,
    publish,
    refunded,
    release,
    reserve,
    tick,
)

ONE = ticket_id(R1, "A-3")  # of two in the middle of six
OFFER = offer_id("w1")
Step = c.Command | int
"""A command, or how many seconds pass."""
BOUGHT: tuple[Step, ...] = (reserve(2), confirm(), paid(amount=5_000))
CALLED_OFF = c.CancelEvent(EVENT, ORGANIZER, "cmd", "rain")
EXTEND = c.ExtendHold(EVENT, ALICE, "cmd", R1)
OFFERED_UNTIL = rfc3339(T + (7 + TRANSFER_TTL_S) * US_PER_S)  # the log's seventh second
HAND = c.TransferTicket(
    event_id=EVENT, user_id=ALICE, command_id="cmd", reservation_id=R1, ticket_id=ONE, to_user_id=BOB
)
ANSWER = c.AnswerTransfer(
    event_id=EVENT,
    user_id=BOB,
    command_id="cmd",
    reservation_id=R1,
    ticket_id=ONE,
    transfer_id=transfer_id(ONE, "cmd"),
    answer="accept",
)
HAND_ON = (HAND, ANSWER)
UNDO = c.UndoCheckIn(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", reservation_id=R1, ticket_id=ONE)


def scan(ticket: str = ONE, *, version: int = 1, gate: str = "north", at: int = T) -> c.CheckIn:
    return c.CheckIn(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        reservation_id=R1,
        ticket_id=ticket,
        version=version,
        gate=gate,
        scanner="",
        scanned_at=at,
    )


def log_of(*steps: Step, **terms: Any) -> BothLogs:
    """A published event with one row of six seats, then these steps, a second apart."""
    log = BothLogs(partition=0, seed=1)
    for step in (create(**terms), add_type(rows=1), publish(), *steps):
        if isinstance(step, int):
            log.now += step * US_PER_S
        else:
            log.now += US_PER_S
            log.put(step)
    return log


def explained(log: BothLogs, reservation_id: str = R1) -> Explanation:
    found = Explanation(reservation_id=reservation_id, event_id=EVENT)
    commands = [command for _, command in log.commands]
    EventFold(EVENT).take(
        enumerate(log.facts), lambda state, fact: found.hear(state, fact, commands[fact.envelope.offset])
    )
    return found


def last(log: BothLogs, what: type[f.Fact], reservation_id: str = R1) -> Later:
    return [one for one in explained(log, reservation_id).later if one.what == what.__name__][-1]


LATE: tuple[Step, ...] = (reserve(2), confirm(), 90)
GONE: tuple[Step, ...] = (*LATE, reserve(0, ["A-4"], rid=R2, by=BOB), paid(amount=5_000))
SMALL = c.UpdateTicketType(EVENT, ORGANIZER, "cmd", STALLS, seats_per_row=2)
NARROWER: tuple[Step, ...] = (*LATE, tick(), SMALL, paid(amount=5_000))
SOLD: dict[str, Any] = {}
DEADLINE, SCANNED = "2027-01-15T08:01:04.000Z", "2027-01-15T08:00:00.000Z"
OVER = f"the hold's deadline had passed at this position ({DEADLINE})"
TERMS = "the buyer cancelled within the terms"
DIFFERS = "another amount or currency than was asked for had arrived, and sells nothing"
TOO_LATE = "the payment came after the hold's deadline, and its places could not be had again"
ONE_GONE: tuple[Step, ...] = (
    *BOUGHT,
    c.CancelTickets(event_id=EVENT, user_id=ALICE, command_id="cmd", reservation_id=R1, ticket_ids=[ONE]),
)
BY_ORGANIZER: tuple[Step, ...] = (
    *BOUGHT,
    c.CancelTickets(event_id=EVENT, user_id=ORGANIZER, command_id="cmd", reservation_id=R1, ticket_ids=[ONE]),
)

STORIES: list[tuple[tuple[Step, ...], dict[str, Any], type[f.Fact], str, int | None]] = [
    (
        (reserve(2), confirm()), SOLD, f.PaymentRequested,
        f"a hold that stands, good until {DEADLINE}, is paid for: 50.00 EUR to be charged", None,
    ),
    (
        (reserve(2), confirm(), declined()), SOLD, f.PaymentDeclined,
        "the payment provider declined; the hold stands until its deadline", None,
    ),
    (BOUGHT, SOLD, f.ReservationConfirmed, "paid before the hold's deadline: A-3, A-4 are the buyer's", None),
    (
        (*LATE, tick(), paid(amount=5_000)), SOLD, f.HoldReacquired,
        "paid after the deadline, but A-3, A-4 were still free and within the limit: held again", 6,
    ),
    (
        (*LATE, tick(), paid(amount=5_000)), SOLD, f.ReservationConfirmed,
        "the payment came late and the places were had again: confirmed all the same", None,
    ),
    (
        GONE, SOLD, f.ConfirmationRefused,
        f"{OVER}, and A-4 had gone to the request at 0-5 (held)", 5,
    ),
    (
        NARROWER, SOLD, f.ConfirmationRefused,
        f"{OVER}, and A-3 was not in the layout any more; A-4 was not in the layout any more", 2,
    ),
    (
        GONE, SOLD, f.RefundRequested,
        f"{TOO_LATE}: 50.00 EUR to be given back", None,
    ),
    (
        (*LATE, tick(), paid(amount=1)), SOLD, f.PaymentDeclined,
        f"{DIFFERS}; another attempt may pay until the deadline", None,
    ),
    (
        (reserve(2), confirm(), paid(amount=1)), SOLD, f.RefundRequested,
        f"{DIFFERS}: 0.01 EUR to be given back", None,
    ),
    (
        (reserve(2), 90, confirm()), SOLD, f.ConfirmationRefused,
        f"{OVER}; nothing was charged", 6,
    ),
    (
        (reserve(2), release(), confirm()), SOLD, f.ConfirmationRefused,
        "nothing was held for it any more: it was given back, turned down or cancelled before", 6,
    ),
    (
        (*BOUGHT, release(), refunded(amount=5_000)), SOLD, f.PaymentRefunded,
        "the payment provider has given the money back", None,
    ),
    (
        (reserve(2), 250, tick()), {"hold_ttl_s": 300}, f.HoldWarned,
        "not paid for, and a minute or less before the deadline 2027-01-15T08:05:04.000Z", None,
    ),
    (
        (reserve(2), EXTEND), {"hold_extension_s": 30}, f.HoldExtended,
        "a hold is extended once, where the event allows it: to 2027-01-15T08:01:34.000Z", None,
    ),
    ((reserve(2), EXTEND), SOLD, f.CommandRefused, "ExtendHold: this event does not extend holds", None),
    (
        (*BOUGHT, release()), {"refund_until_at": T + 1}, f.CommandRefused,
        "ReleaseReservation: the event's terms let buyers cancel until a time, which had passed", None,
    ),
    (
        (reserve(2), 90, tick()), SOLD, f.HoldExpired,
        f"log time reached the deadline {DEADLINE} and nothing was paid: A-3, A-4 free again", None,
    ),
    ((reserve(2), release()), SOLD, f.HoldReleased, "the buyer gave the hold back: A-3, A-4 free again", None),
    ((reserve(2), CALLED_OFF, tick()), SOLD, f.HoldReleased, "the event was cancelled: A-3, A-4 free again", None),
    (
        (*BOUGHT, release()), {"refund_percent": 80}, f.ReservationCancelled,
        f"{TERMS}: 80 % go back, 10.00 EUR are kept; A-3, A-4 free again", None,
    ),
    (
        (*BOUGHT, CALLED_OFF, tick()), SOLD, f.ReservationCancelled,
        "the event was cancelled, and then all that was paid goes back; A-3, A-4 free again", None,
    ),
    (
        ONE_GONE, {"refund_percent": 80}, f.TicketsCancelled,
        f"{TERMS}: 80 % go back, 5.00 EUR are kept; 1 of its tickets are void, A-3 free again",
        None,
    ),
    (
        BY_ORGANIZER, SOLD, f.TicketsCancelled,
        "the organizer cancelled, and then all that was paid goes back; 1 of its tickets are void, A-3 free again",
        None,
    ),
    (
        (*BOUGHT, HAND), SOLD, f.TransferOffered,
        f"the ticket for A-3 was offered to another user until {OFFERED_UNTIL}; its holder keeps it till then", None,
    ),
    (
        (*BOUGHT, HAND, replace(ANSWER, answer="decline")), SOLD, f.TransferEnded,
        "the offer of the ticket for A-3 came to nothing: it was declined", None,
    ),
    (
        (*BOUGHT, *HAND_ON), SOLD, f.TicketTransferred,
        "the ticket for A-3 was handed on: its code of version 2 opens the door, no earlier one", None,
    ),
    (
        (*BOUGHT, *HAND_ON, CALLED_OFF, tick()), SOLD, f.HolderNotified,
        "all ticket holders of a cancelled event get a message", None,
    ),
    (
        (*BOUGHT, scan()), SOLD, f.CheckInAccepted,
        f"the first scan of the ticket for A-3 lets in: gate north, {SCANNED}", None,
    ),
    (
        (*BOUGHT, scan(), scan(gate="south", at=T + 1)), SOLD, f.CheckInRefused,
        f"a ticket opens the door once, and an earlier scan on the log had opened it: gate north, {SCANNED}", None,
    ),
    (
        (*BOUGHT, *HAND_ON, scan()), SOLD, f.CheckInRefused,
        "the code was of an earlier holder: only the newest code of a ticket opens the door", None,
    ),
    ((*ONE_GONE, scan()), SOLD, f.CheckInRefused, "the ticket was void: cancelled before this position", None),
    (
        (*BOUGHT, scan(), UNDO), SOLD, f.CheckInReversed,
        "the door took a check-in back: the ticket opens the door again", None,
    ),
    (
        (reserve(2), reserve(2)), SOLD, f.CommandDuplicated,
        "the same request (ReserveTickets) came again: one key, one outcome, nothing changes", None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "terms", "what", "rule", "available"), STORIES)
def test_each_fact_is_explained_in_words_of_its_own_and_nobody_else_is_named(
    steps: tuple[Step, ...], terms: dict[str, Any], what: type[f.Fact], rule: str, available: int | None
) -> None:
    log = log_of(*steps, **terms)
    found = last(log, what)
    assert found.rule == rule
    assert (None if found.free_then is None else found.free_then.available) == available
    text = msgspec.json.encode(explained(log)).decode()
    assert BOB not in text
    assert ORGANIZER not in text


def test_there_are_words_for_every_fact_that_can_be_about_a_reservation() -> None:
    decided = (f.TicketsHeld, f.ReservationRejected)
    names = {"reservation_id", "subject_id"}
    about_one = {kind for kind in f.FACTS if names & set(kind.__struct_fields__)} - set(decided)
    assert about_one == set(aftermath._WORDS)


def test_an_offer_is_explained_by_the_place_in_the_line() -> None:
    full = (reserve(4, rid=R2, by=BOB), reserve(2, rid=R3, by=BOB))
    line = (
        c.JoinWaitlist(event_id=EVENT, user_id=BOB, command_id="cmd", entry_id="w0", ticket_type_id=STALLS, quantity=3),
        c.JoinWaitlist(
            event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=2
        ),
    )
    log = log_of(*full, *line, release(R3, by=BOB), max_tickets_per_user=10)
    words = (
        "freed places are offered to the longest waiting entry that fits: in the line since offset 6; "
        "1 earlier entries asked for more than was free"
    )
    found = explained(log, OFFER)
    assert [(one.what, one.rule, one.position) for one in found.later] == [("WaitlistOffered", words, "0-7-1")]
    assert found.later[0].free_then is not None
    assert (found.later[0].free_then.available, found.later[0].free_then.waiting) == (2, 2)
    (hold,) = found.decisions
    assert (hold.outcome, hold.seats_granted, hold.position) == ("held", ["A-5", "A-6"], "0-7-2")
    assert hold.rule.startswith(words)
    assert BOB not in msgspec.json.encode(found).decode()


def test_who_comes_past_those_who_wait_is_told_that_it_is_offered_to_them() -> None:
    line = c.JoinWaitlist(
        event_id=EVENT, user_id=BOB, command_id="cmd", entry_id="w0", ticket_type_id=STALLS, quantity=2
    )
    found = explained(log_of(reserve(6, rid=R2, by=BOB), line, 90, reserve(1)))
    (one,) = found.decisions
    assert (one.reason, one.rule) == ("sold-out", OFFERED_FIRST)
    assert one.free_then == FreeThen(
        total=6, available=6, held=0, sold=0, blocked=0, waiting=1, longest_together=6
    )  # fmt: skip


def test_seats_that_the_organizer_holds_back_are_not_called_another_buyers() -> None:
    block = c.BlockSeats(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        block_id="b1",
        ticket_type_id=STALLS,
        seats=["A-1", "A-2"],
        quantity=0,
        until_at=0,
        label="for Bob",
    )
    found = explained(log_of(block, reserve(0, ["A-2"])))
    (one,) = found.decisions
    assert (one.reason, [(other.place, other.position, other.status) for other in one.had_by]) == (
        "seat-taken", [("A-2", "", "held back by the organizer")],
    )  # fmt: skip
    assert one.free_then is not None
    assert (one.free_then.available, one.free_then.blocked) == (4, 2)
    assert "for Bob" not in msgspec.json.encode(found).decode()


@pytest.mark.parametrize(
    ("kind", "uses_max", "sent", "reason", "rule"),
    [
        ("percent", 1, "SPRING", Reason.CODE_USED_UP, "and they had been used before this position"),
        ("percent", 0, "WINTER", Reason.CODE_INVALID, "while it is enabled"),
    ],
)
def test_a_code_that_does_not_work_is_explained_by_its_rule(
    kind: str, uses_max: int, sent: str, reason: str, rule: str
) -> None:
    code = c.AddCode(
        event_id=EVENT,
        user_id=ORGANIZER,
        command_id="cmd",
        code_id="c1",
        code="SPRING",
        kind=kind,
        value=10,
        uses_max=uses_max,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
    )
    theirs, mine = (
        msgspec.structs.replace(order, promo_code=text)
        for order, text in ((reserve(1, rid=R2, by=BOB), "SPRING"), (reserve(1), sent))
    )
    (one,) = explained(log_of(code, theirs, mine)).decisions
    assert (one.reason, one.rule.endswith(rule)) == (reason, True)
