"""An event ends once, by log time or by its organizer: it sells nothing after it, and each person concerned gets one
message.
"""

from __future__ import annotations

import msgspec
import pytest

from pipelines.reservations.core import limits
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.rules.due import due
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S, LogTime
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    DETAILS,
    EVENT,
    ORGANIZER,
    R1,
    R2,
    R3,
    STALLS,
    T,
    confirm,
    confirmation_refused,
    confirmed,
    created,
    duplicate,
    folded,
    given,
    held,
    hold_released,
    on_sale,
    paid,
    payment_requested,
    publish,
    published,
    refund_requested,
    refused,
    rejected,
    reserve,
    tick,
    type_added,
    update,
    updated,
)

CANCELLED = f.EventCancelled(ORGANIZER, "rain")
SOLD = (held(["A-3"]), payment_requested(), confirmed(["A-3"]))
STARTS, ENDS = DETAILS["starts_at"], DETAILS["ends_at"]


def cancel(by: str = ORGANIZER) -> c.CancelEvent:
    return c.CancelEvent(EVENT, by, "cmd", "rain")


def delete(by: str = ORGANIZER) -> c.DeleteEvent:
    return c.DeleteEvent(EVENT, by, "cmd")


def void(seats: list[str], rid: str, by: str) -> f.ReservationCancelled:
    return f.ReservationCancelled(
        reservation_id=rid,
        user_id=by,
        ticket_type_id=STALLS,
        quantity=len(seats),
        seats=seats,
        reason=Reason.EVENT_CANCELLED,
    )


def notified(kind: str, cause: int, rid: str, user: str, changed: list[str]) -> f.HolderNotified:
    return f.HolderNotified(
        kind=kind,
        cause=cause,
        reservation_id=rid,
        user_id=user,
        changed=changed,
        title=DETAILS["title"],
        venue=DETAILS["venue"],
        starts_at=STARTS,
        ends_at=ENDS,
        timezone=DETAILS["timezone"],
    )


# --- deleting and cancelling --------------------------------------------------------------------------------------


def test_a_draft_is_deleted_and_nothing_of_it_can_be_had_any_more() -> None:
    given(created()).when(delete()).then(f.EventDeleted(ORGANIZER))
    gone = created(), type_added(), f.EventDeleted(ORGANIZER)
    given(*gone).when(reserve()).then(rejected(Reason.EVENT_NOT_FOUND, f"there is no event {EVENT}"))
    given(*gone).when(publish()).then(refused(publish(), Reason.EVENT_NOT_FOUND, f"there is no event {EVENT}"))
    given(*gone).when(delete()).then(duplicate(delete(), EVENT))


def test_what_the_public_has_seen_is_not_deleted() -> None:
    detail = "the event is published; a published event can be cancelled"
    given(*on_sale()).when(delete()).then(refused(delete(), Reason.NOT_DRAFT, detail))


def test_what_is_over_is_not_published() -> None:
    given(created()).at(ENDS - 1).when(publish()).then(published())
    given(created()).at(ENDS).when(publish()).then(refused(publish(), Reason.EVENT_ENDED, "the event is over"))


def test_only_its_organizer_calls_an_event_off_and_only_once() -> None:
    detail = "only the event's organizer may do this"
    given(*on_sale()).when(cancel(ALICE)).then(refused(cancel(ALICE), Reason.NOT_OWNER, detail))
    given(created()).when(cancel()).then(refused(cancel(), Reason.EVENT_NOT_PUBLISHED, "a draft can be deleted"))
    given(*on_sale()).when(cancel()).then(CANCELLED)
    given(*on_sale(), CANCELLED).when_decided(cancel()).then(duplicate(cancel(), EVENT))
    given(*on_sale(), f.EventEnded()).when(cancel()).then(refused(cancel(), Reason.EVENT_ENDED, "the event is over"))


def test_the_next_command_of_a_cancelled_event_undoes_what_lives_in_the_order_it_was_asked_for() -> None:
    facts = (*on_sale(), *SOLD, held(["B-1"], rid=R2, by=BOB), CANCELLED)
    given(*facts).when(tick()).then(
        msgspec.structs.replace(void(["A-3"], R1, ALICE), refund_minor=2_500),
        refund_requested(Reason.EVENT_CANCELLED),
        hold_released(["B-1"], rid=R2, by=BOB),
        f.TickObserved(),
    )


def test_a_cancelled_event_asks_for_ticks_until_nothing_lives() -> None:
    state = folded(*on_sale(), *SOLD, CANCELLED)
    assert state.next_deadline() == 0
    step(state, tick(), At(0, 50, LogTime(T)))
    assert state.next_deadline() is None
    assert (state.live, state.sections[STALLS].available) == (0, 18)


def test_money_for_a_cancelled_event_goes_back_whole() -> None:
    paying = (*on_sale(), held(["A-3"]), payment_requested(), CANCELLED)
    given(*paying).when_decided(paid()).then(
        confirmation_refused(Reason.EVENT_CANCELLED, refund=2_500), refund_requested(Reason.EVENT_CANCELLED)
    )
    given(*on_sale(), held(["A-3"]), CANCELLED).when_decided(confirm()).then(
        confirmation_refused(Reason.EVENT_CANCELLED)
    )


def test_who_was_handed_a_ticket_is_told_that_the_event_is_cancelled() -> None:
    ticket = confirmed(["A-3"]).ticket_ids[0]
    moved = f.TicketTransferred(
        reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, ticket_id=ticket, seat="A-3", to_user_id=BOB, version=2
    )
    facts = step(folded(*on_sale(), *SOLD, moved, CANCELLED), tick(), At(0, 50, LogTime(T)))
    assert [(type(fact).__name__, getattr(fact, "user_id", "")) for fact in facts[:2]] == [
        ("HolderNotified", BOB),
        ("ReservationCancelled", ALICE),
    ]


# --- the end by log time ------------------------------------------------------------------------------------------


def test_an_event_ends_by_log_time_and_sells_nothing_after_it() -> None:
    given(*on_sale()).at(ENDS - 1).when(tick()).then(f.TickObserved())
    given(*on_sale()).at(ENDS).when(reserve()).then(f.EventEnded(), rejected(Reason.EVENT_ENDED, "the event is over"))
    given(created()).at(ENDS).when(tick()).then(f.TickObserved())


# --- telling everybody --------------------------------------------------------------------------------------------


def test_who_has_a_ticket_is_told_once_when_the_event_is_moved() -> None:
    command = update(venue="Garden")
    given(*on_sale(), *SOLD).when(command).then(updated(venue="Garden"), f.ChoreStarted("event-changed", T, ["venue"]))
    facts = (*on_sale(), *SOLD, held(["B-1"], rid=R2, by=BOB), f.ChoreStarted("event-changed", T, ["venue"]))
    given(*facts).when(tick()).then(
        notified("event-changed", T, R1, ALICE, ["venue"]), f.ChoreFinished("event-changed", T), f.TickObserved()
    )


def test_nobody_is_told_of_what_does_not_concern_them() -> None:
    given(*on_sale(), *SOLD).when(update(description="Long.")).then(updated(description="Long."))
    given(*on_sale(), held(["A-1"])).when(update(venue="Garden")).then(updated(venue="Garden"))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_however_many_are_told_at_a_time_each_is_told_once_and_in_order(limit: int) -> None:
    sold = [
        fact
        for rid, by, seat in ((R1, ALICE, "A-1"), (R2, BOB, "A-2"), (R3, ALICE, "A-3"))
        for fact in (held([seat], rid=rid, by=by), confirmed([seat], rid=rid, by=by))
    ]
    state = folded(*on_sale(), *sold, f.ChoreStarted("event-changed", T, ["venue"]))
    notified_ids: list[str] = []
    for offset in range(100, 110):
        for facts in due(state, LogTime(T), limit):
            for fact in facts:
                evolve(state, fact, At(0, offset, LogTime(T)))
                notified_ids += [fact.reservation_id] if isinstance(fact, f.HolderNotified) else []
    assert notified_ids == [R1, R2, R3]
    assert state.chores == {}


def test_the_day_before_everybody_is_reminded_once() -> None:
    reminder = STARTS - 10
    sale = on_sale(details={"reminder_at": reminder})
    given(*sale, *SOLD).at(reminder - 1).when(tick()).then(f.TickObserved())
    given(*sale, *SOLD).at(reminder).when(tick()).then(
        f.ChoreStarted("reminder", reminder, []),
        notified("reminder", reminder, R1, ALICE, []),
        f.ChoreFinished("reminder", reminder),
        f.TickObserved(),
    )
    state = folded(*sale, *SOLD, f.ChoreStarted("reminder", reminder, []), f.ChoreFinished("reminder", reminder))
    assert step(state, tick(), At(0, 90, LogTime(reminder))) == [f.TickObserved()]


def test_a_reminder_that_comes_too_late_is_left_out_and_that_is_said() -> None:
    sale = on_sale(details={"reminder_at": STARTS - 10})
    given(*sale, *SOLD).at(STARTS).when(tick()).then(f.ChoreFinished("reminder", STARTS - 10), f.TickObserved())


def test_a_buyer_is_warned_a_minute_before_a_long_hold_ends_and_only_then() -> None:
    long_hold = held(["A-1"], until=T + 600_000_000)
    warned = f.HoldWarned(R1, ALICE, STALLS, T + 600_000_000)
    given(*on_sale(), long_hold).at(T + 539_999_999).when(tick()).then(f.TickObserved())
    given(*on_sale(), long_hold).at(T + 540_000_000).when(tick()).then(warned, f.TickObserved())
    given(*on_sale(), long_hold, warned).at(T + 541_000_000).when(tick()).then(f.TickObserved())
    given(*on_sale(), held(["A-1"])).at(DEADLINE - 1).when(tick()).then(f.TickObserved())


# --- programme and staff ------------------------------------------------------------------------------------------


def test_the_programme_is_set_whole() -> None:
    command = c.SetSchedule(EVENT, ORGANIZER, "cmd", ["one", "two"])
    changed = f.ScheduleChanged(ORGANIZER, ["one", "two"])
    given(created()).when(command).then(changed)
    given(created(), changed).when(command).then(duplicate(command, EVENT))


UNTIL = T + limits.INVITATION_TTL_S * US_PER_S
INVITED = f.StaffInvited(ORGANIZER, BOB, UNTIL)


def test_staff_is_invited_accepts_and_is_removed_by_the_owner() -> None:
    add, remove = c.AddStaff(EVENT, ORGANIZER, "cmd", BOB), c.RemoveStaff(EVENT, ORGANIZER, "cmd", BOB)
    yes, no = (c.AnswerInvitation(EVENT, BOB, "cmd", word) for word in ("accept", "decline"))
    hired = f.StaffAdded(ORGANIZER, BOB)
    given(created()).when(add).then(INVITED)
    given(created(), INVITED).when(add).then(duplicate(add, BOB))
    given(created(), INVITED).when(yes).then(hired)
    given(created(), INVITED).when(no).then(f.StaffInvitationEnded(ORGANIZER, BOB, "declined"))
    given(created(), INVITED).when(remove).then(f.StaffInvitationEnded(ORGANIZER, BOB, "withdrawn"))
    given(created(), INVITED, hired).when(add).then(duplicate(add, BOB))
    given(created(), INVITED, hired).when(yes).then(duplicate(yes, BOB))
    given(created(), INVITED, hired).when(remove).then(f.StaffRemoved(ORGANIZER, BOB))
    given(created()).when(remove).then(duplicate(remove, BOB))


def test_only_who_is_invited_accepts_and_only_in_time() -> None:
    nobody = c.AnswerInvitation(EVENT, ALICE, "cmd", "accept")
    detail = "there is no invitation of yours to this event's door"
    given(created(), INVITED).when(nobody).then(refused(nobody, Reason.INVITATION_NOT_FOUND, detail, ALICE))
    yes = c.AnswerInvitation(EVENT, BOB, "cmd", "accept")
    ended = f.StaffInvitationEnded(ORGANIZER, BOB, "expired")
    late = refused(yes, Reason.OFFER_EXPIRED, f"the invitation ended at {UNTIL}", BOB, at=UNTIL)
    given(created(), INVITED).at(UNTIL).when(yes).then(ended, late)
    assert folded(created(), INVITED).staff == {}, "who is only invited may nothing"
    again = given(created(), INVITED).at(UNTIL).when(c.AddStaff(EVENT, ORGANIZER, "cmd", BOB)).facts
    assert [type(fact) for fact in again] == [f.StaffInvitationEnded, f.StaffInvited]
