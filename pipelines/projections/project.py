"""Facts to row changes. Pure: no clock, no I/O, and no read of existing rows.

Guarantee: two batches applied one after the other give the same rows as one batch with the facts of both. A fact
changes the rows as `pipelines.reservations.core.evolve` changes the state, so a worker can rebuild the state from rows.
Ticks, duplicates and refused commands change no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pipelines.projections import organizing, reservations, tickets
from pipelines.projections.changes import Changes
from schemas import facts as f
from schemas.facts import Envelope, RecordedFact
from schemas.statuses import EventStage, ReservationStatus


def project(facts: Iterable[RecordedFact]) -> Changes:
    """The row changes of these facts. The facts of each partition come in order."""
    changes = Changes()
    for recorded in facts:
        change = _CHANGES.get(type(recorded.fact))
        if change is not None:
            change(changes, recorded.envelope, recorded.fact)
    return changes


_CHANGES: dict[type[f.Fact], Callable[[Changes, Envelope, Any], None]] = {
    f.EventCreated: organizing.event_created,
    f.EventUpdated: organizing.event_updated,
    f.EventPublished: organizing.event_published,
    f.EventCancelled: organizing.event_cancelled,
    f.EventEnded: organizing.event_is(EventStage.ENDED),
    f.EventDeleted: organizing.event_is(EventStage.DELETED),
    f.ScheduleChanged: organizing.schedule_changed,
    f.TicketTypeAdded: organizing.ticket_type_added,
    f.TicketTypeUpdated: organizing.ticket_type_updated,
    f.PoolChanged: organizing.pool_changed,
    f.CodeAdded: organizing.code_added,
    f.CodeDisabled: organizing.code_disabled,
    f.SeatsBlocked: organizing.seats_blocked,
    f.SeatsUnblocked: organizing.seats_unblocked,
    f.StaffAdded: organizing.staff_added,
    f.StaffRemoved: organizing.staff_removed,
    f.StaffInvited: organizing.staff_invited,
    f.StaffInvitationEnded: organizing.staff_invitation_ended,
    f.SeatLocksObserved: organizing.locks_observed,
    f.ChoreStarted: organizing.chore_started,
    f.HolderNotified: organizing.holder_notified,
    f.ChoreFinished: organizing.chore_finished,
    f.TicketsHeld: reservations.tickets_held,
    f.ReservationRejected: reservations.rejected,
    f.HoldWarned: reservations.warned,
    f.HoldExtended: reservations.extended,
    f.HoldReacquired: reservations.reacquired,
    f.HoldExpired: reservations.ended(ReservationStatus.EXPIRED),
    f.HoldReleased: reservations.ended(ReservationStatus.RELEASED),
    f.PaymentRequested: reservations.payment_requested,
    f.PaymentDeclined: reservations.payment_declined,
    f.ReservationConfirmed: reservations.confirmed,
    f.ConfirmationRefused: reservations.confirmation_refused,
    f.RefundRequested: reservations.refund_requested,
    f.PaymentRefunded: reservations.refunded,
    f.RefundFailed: reservations.refund_failed,
    f.DisputeOpened: reservations.dispute_opened,
    f.DisputeClosed: reservations.dispute_closed,
    f.ReservationCancelled: reservations.cancelled,
    f.TicketsCancelled: reservations.tickets_cancelled,
    f.TicketTransferred: tickets.transferred,
    f.TransferOffered: tickets.transfer_offered,
    f.TransferEnded: tickets.transfer_ended,
    f.CheckInAccepted: tickets.check_in_accepted,
    f.CheckInRefused: tickets.check_in_refused,
    f.CheckInReversed: tickets.check_in_reversed,
    f.WaitlistJoined: tickets.waitlist_joined,
    f.WaitlistOffered: tickets.waitlist_offered,
    f.WaitlistEnded: tickets.waitlist_ended,
}
