"""Facts to row changes: the change by each fact, and no loss when a batch merges changes."""

from __future__ import annotations

import msgspec

from pipelines.projections.changes import Changes
from pipelines.projections.project import project
from schemas import facts as f
from schemas.event_terms import EventTerms
from schemas.facts import Reason
from schemas.ticket_type_terms import TicketTypeTerms
from tests.harness.fact_logs import FactLog, log_of
from tests.harness.words import (
    ALICE,
    BOB,
    DETAILS,
    EVENT,
    LAYOUT,
    ORGANIZER,
    R1,
    R2,
    STALLS,
    TERMS,
    TRY1,
    TYPE_TERMS,
    T,
    cancelled,
    confirmation_refused,
    confirmed,
    created,
    held,
    hold_expired,
    locks,
    payment_declined,
    payment_refunded,
    payment_requested,
    published,
    refund_requested,
    rejected,
    type_added,
    updated,
)


def test_a_hold_and_its_confirmation_become_one_whole_reservation() -> None:
    changes = project(
        log_of(held(["A-1", "A-2"]), payment_requested(amount=5_000), confirmed(["A-1", "A-2"], price_minor=2_500))
    )
    row = changes.reservations[EVENT, R1]
    assert (row.status, row.payment, row.payment_id, row.seats) == ("confirmed", "captured", "pay-1", ["A-1", "A-2"])
    assert (row.offset, row.created_at, row.updated_offset, row.updated_at) == (0, T, 2, T + 2)
    assert [claim.status for claim in changes.seat_claims.values()] == ["sold", "sold"]
    assert [(ticket.seat, ticket.ordinal) for ticket in changes.tickets[EVENT, R1]] == [("A-1", 1), ("A-2", 2)]
    assert changes.payments[EVENT, TRY1].status == "captured"


def test_a_confirmation_of_an_earlier_hold_is_a_patch_that_names_only_what_changes() -> None:
    row = project(log_of(confirmed(["A-1"]), first=7)).reservations[EVENT, R1]
    assert (row.status, row.payment, row.reason) == ("confirmed", "captured", "")
    assert row.fingerprint is row.seats is row.expires_at is row.user_id is None
    assert (row.updated_offset, row.updated_index) == (7, 0)


def test_a_seat_that_changes_hands_in_a_batch_has_one_ended_and_one_live_claim() -> None:
    changes = project(log_of(held(["A-1"]), [hold_expired(["A-1"]), held(["A-1"], rid=R2, by=BOB)]))
    assert changes.seat_claims[EVENT, STALLS, "A-1", R1].status == "ended"
    assert changes.seat_claims[EVENT, STALLS, "A-1", R2].status == "held"
    assert changes.reservations[EVENT, R1].status == "expired"


def test_a_rejected_reservation_is_a_whole_row_without_seats() -> None:
    row = project(log_of(rejected(Reason.SOLD_OUT, "0 left"))).reservations[EVENT, R1]
    assert (row.status, row.reason, row.detail, row.seats, row.amount_minor) == (
        "rejected",
        "sold-out",
        "0 left",
        [],
        0,
    )


def test_an_event_is_created_described_anew_and_published_in_one_row() -> None:
    row = project(log_of(created(), updated(title="Second night"), published())).events[EVENT]
    assert row.terms == EventTerms(**DETAILS | TERMS | {"title": "Second night"})
    assert (row.status, row.created_at, row.published_at) == ("published", T, T + 2)
    assert row.updated_offset == 2


def test_publishing_an_earlier_event_leaves_its_description_alone() -> None:
    row = project(log_of(published())).events[EVENT]
    assert row.created_at is row.terms is row.organizer_id is None


def test_a_cancellation_voids_tickets_of_this_batch_and_of_earlier_ones() -> None:
    here = project(log_of(confirmed(["A-1"]), cancelled(["A-1"])))
    assert [(ticket.status, ticket.version) for ticket in here.tickets[EVENT, R1]] == [("valid", 1)]
    before = project(log_of(cancelled(["A-1"]), first=1))
    assert here.tickets_voided == before.tickets_voided  # written after the tickets, for any batch of these
    assert (here.tickets_voided[EVENT, R1].updated_offset, here.tickets_voided[EVENT, R1].updated_index) == (1, 0)


def test_a_late_capture_is_refused_and_refunded_and_the_refund_is_what_stands() -> None:
    refusal = [confirmation_refused(Reason.HOLD_EXPIRED), refund_requested(Reason.HOLD_EXPIRED)]
    changes = project(log_of(payment_requested(), refusal))
    assert changes.payments[EVENT, TRY1].status == "refund-requested"
    row = changes.reservations[EVENT, R1]
    assert row.amended is not None
    assert row.amended.refund_asked  # of a row that is not in this batch: refund-requested unless it is confirmed
    assert row.amended.refunds_open == ["refund-pay-1"]
    held_here = project(log_of(held(["A-1"]), payment_requested(), hold_expired(["A-1"]), refusal))
    assert held_here.reservations[EVENT, R1].payment == "refund-requested"


def test_a_refusal_does_not_hide_that_an_attempt_was_declined() -> None:
    changes = project(log_of(payment_requested(), payment_declined(), confirmation_refused(Reason.HOLD_EXPIRED)))
    assert changes.payments[EVENT, TRY1].status == "declined"


def test_a_refund_is_found_by_its_payment() -> None:
    changes = project(log_of(payment_refunded()))
    refund = changes.refunds[EVENT, "refund-pay-1"]
    assert (refund.status, refund.refund_id, refund.refunded_minor) == ("refunded", "ref-1", 2_500)
    assert (EVENT, "pay-1") in changes.payments_settled
    assert not changes.payments


def test_what_several_cancellations_take_away_adds_up_in_one_patch() -> None:
    first, second = confirmed(quantity=4).ticket_ids[:2]
    one = f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=[],
        ticket_ids=[first],
        amount_minor=900,
        kept_minor=400,
        reason=Reason.BUYER_CANCELLED,
    )
    two = f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=[],
        ticket_ids=[second],
        amount_minor=900,
        kept_minor=300,
        reason=Reason.BUYER_CANCELLED,
    )
    changes = project(log_of(one, two, first=7))
    row = changes.reservations[EVENT, R1].amended
    assert row is not None
    assert (row.quantity_less, row.amount_less, row.kept_minor) == (2, 1_800, 700)
    assert (row.void_places, row.tickets_gone) == (["1", "2"], [first, second])
    assert {ticket for ticket, patch in changes.ticket_patches.items() if patch.void} == {first, second}
    whole = project(log_of(held(quantity=4), confirmed(quantity=4), one, two)).reservations[EVENT, R1]
    assert whole.ticket_ids == confirmed(quantity=4).ticket_ids[2:]
    assert (whole.quantity, whole.amount_minor) == (2, 10_000 - 1_800)


def test_a_refund_that_is_made_in_the_batch_that_asks_for_it_is_not_open() -> None:
    changes = project(log_of(cancelled(["A-1"]), refund_requested(Reason.BUYER_CANCELLED), payment_refunded(), first=7))
    row = changes.reservations[EVENT, R1]
    assert row.amended is not None
    assert (row.payment, row.amended.refund_made, row.amended.refunds_open) == ("refund-requested", True, [])
    assert changes.refunds[EVENT, "refund-pay-1"].status == "refunded"


def test_a_chore_remembers_whom_it_told_last_and_a_cancelled_events_news_are_no_chore() -> None:
    started = f.ChoreStarted("reminder", 5, [])
    notified = f.HolderNotified(
        kind="reminder",
        cause=5,
        reservation_id=R1,
        user_id=ALICE,
        changed=[],
        title="T",
        venue="V",
        starts_at=1,
        ends_at=2,
        timezone="UTC",
    )
    changes = project(log_of(started, notified))
    chore = changes.chores[EVENT, "reminder"]
    assert (chore.changed_json, chore.told_id, chore.finished) == ("[]", R1, False)
    assert changes.events[EVENT].reminded_for == 5
    news = project(
        log_of(
            f.HolderNotified(
                kind="event-cancelled",
                cause=5,
                reservation_id=R1,
                user_id=ALICE,
                changed=[],
                title="T",
                venue="V",
                starts_at=1,
                ends_at=2,
                timezone="UTC",
            )
        )
    )
    assert news.chores[EVENT, "event-cancelled"].changed_json is None  # a patch of a row that is not in this batch


def test_a_deleted_event_keeps_its_row() -> None:
    row = project(log_of(created(), f.EventDeleted(ORGANIZER))).events[EVENT]
    assert (row.status, row.created_at) == ("deleted", T)


def test_a_term_that_a_record_does_not_have_is_its_default() -> None:
    terms = project(log_of(created(**dict.fromkeys(TERMS)))).events[EVENT].terms
    assert terms is not None
    assert (terms.refund_percent, terms.refund_until_at, terms.reminder_at) == (100, 0, 0)
    terms = project(log_of(created(refund_percent=0))).events[EVENT].terms
    assert terms is not None
    assert terms.refund_percent == 0


def test_lists_keep_their_commas_and_lose_what_postgresql_cannot_hold() -> None:
    changes = project(log_of(f.ScheduleChanged(ORGANIZER, ['{"a":1,"b":2}', "x\x00y"])))
    assert msgspec.json.decode(changes.schedules[EVENT].activities_json) == ['{"a":1,"b":2}', "x\ufffdy"]


def test_the_last_look_at_foreign_locks_counts() -> None:
    changes = project(log_of(locks(locked=["stalls/A-1", "stalls/A-2"]), locks(freed=["stalls/A-1"])))
    assert {place: row.locked for (_, place), row in changes.seat_locks.items()} == {
        "stalls/A-1": False,
        "stalls/A-2": True,
    }


def test_many_facts_become_few_rows() -> None:
    facts = FactLog(partition=0, seed=1).take(2_000)
    changes = project(facts)
    rows = sum(len(getattr(changes, table)) for table in Changes.__slots__)
    assert rows < len(facts)
    assert len(changes.reservations) == sum(len(state.reservations) for state in _states(facts))


def test_a_type_of_tickets_is_a_row() -> None:
    row = project(log_of(type_added(ordinal=3))).ticket_types[EVENT, STALLS]
    assert (row.ordinal, row.terms) == (3, TicketTypeTerms(**LAYOUT | TYPE_TERMS))


def test_the_user_of_a_hold_is_kept() -> None:
    assert project(log_of(held(["A-1"]))).reservations[EVENT, R1].user_id == ALICE


def _states(facts: list) -> list:
    log = FactLog(partition=0, seed=1)
    assert len(log.take(2_000)) == len(facts)
    return list(log.states.values())
