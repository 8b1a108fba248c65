"""Facts about issued tickets, scans at the door and waiting lists as row changes. Pure."""

from __future__ import annotations

from pipelines.projections.changes import Changes, CheckInChange, TicketPatch, TransferChange, WaitlistEntryChange
from schemas import facts as f
from schemas.facts import Envelope
from schemas.ids import NO_RESERVATION, NOBODY, EntryId, TicketId, TransferId
from schemas.statuses import CheckInKind, TransferStatus, WaitlistStatus


def patch_of(changes: Changes, at: Envelope, ticket_id: TicketId) -> TicketPatch:
    """The ticket's change in this batch."""
    patch = changes.ticket_patches.get(ticket_id)
    if patch is None:
        patch = changes.ticket_patches[ticket_id] = TicketPatch(ticket_id)
    patch.updated_offset, patch.updated_index = at.offset, at.index
    return patch


def transferred(changes: Changes, at: Envelope, fact: f.TicketTransferred) -> None:
    """The ticket's row gets its new holder and version. An offer of the ticket, if there was one, is accepted."""
    patch = patch_of(changes, at, fact.ticket_id)
    patch.user_id, patch.version = fact.to_user_id, fact.version
    patch.transferred_at, patch.has_history = at.log_time, True
    if fact.transfer_id is not None:
        _ended(changes, at, fact.transfer_id, TransferStatus.ACCEPTED)


def transfer_offered(changes: Changes, at: Envelope, fact: f.TransferOffered) -> None:
    """The offer's row."""
    changes.transfers[at.event_id, fact.transfer_id] = TransferChange(
        event_id=at.event_id,
        id=fact.transfer_id,
        partition=at.partition,
        status=TransferStatus.OFFERED,
        reservation_id=fact.reservation_id,
        ticket_id=fact.ticket_id,
        ticket_type_id=fact.ticket_type_id,
        seat=fact.seat,
        user_id=fact.user_id,
        to_user_id=fact.to_user_id,
        expires_at=fact.expires_at,
        offered_at=at.log_time,
        ended_at=0,
        updated_offset=at.offset,
        updated_index=at.index,
    )


def transfer_ended(changes: Changes, at: Envelope, fact: f.TransferEnded) -> None:
    """The offer's row gets its outcome and its end."""
    _ended(changes, at, fact.transfer_id, TransferStatus(fact.outcome))


def _ended(changes: Changes, at: Envelope, transfer_id: TransferId, status: TransferStatus) -> None:
    key = (at.event_id, transfer_id)
    change = changes.transfers.get(key)
    if change is None:
        change = changes.transfers[key] = TransferChange(at.event_id, transfer_id, at.partition, status)
    change.status, change.ended_at = status, at.log_time
    change.updated_offset, change.updated_index = at.offset, at.index


def check_in_accepted(changes: Changes, at: Envelope, fact: f.CheckInAccepted) -> None:
    """The ticket's row is checked in, and the scan gets a row."""
    patch = patch_of(changes, at, fact.ticket_id)
    patch.checked_in_at, patch.checked_in_by, patch.has_history = fact.scanned_at, fact.by_user_id, True
    patch.gate, patch.scanner = fact.gate, fact.scanner
    changes.check_ins.append(
        CheckInChange(
            event_id=at.event_id,
            offset=at.offset,
            index=at.index,
            partition=at.partition,
            kind=CheckInKind.ACCEPTED,
            reservation_id=fact.reservation_id,
            ticket_id=fact.ticket_id,
            user_id=fact.user_id,
            seat=fact.seat,
            by_user_id=fact.by_user_id,
            reason="",
            gate=fact.gate,
            scanner=fact.scanner,
            scanned_at=fact.scanned_at,
            first_scanned_at=0,
            first_gate="",
            first_scanner="",
            decided_at=at.log_time,
        )
    )


def check_in_refused(changes: Changes, at: Envelope, fact: f.CheckInRefused) -> None:
    """The row of the refused scan. The ticket's row stays."""
    # The user of this row is the scanner: such a ticket may have no holder.
    changes.check_ins.append(
        CheckInChange(
            event_id=at.event_id,
            offset=at.offset,
            index=at.index,
            partition=at.partition,
            kind=CheckInKind.REFUSED,
            reservation_id=fact.reservation_id,
            ticket_id=fact.ticket_id,
            user_id=NOBODY,
            seat="",
            by_user_id=fact.user_id,
            reason=fact.reason,
            gate=fact.gate,
            scanner=fact.scanner,
            scanned_at=fact.scanned_at,
            first_scanned_at=fact.first_scanned_at,
            first_gate=fact.first_gate,
            first_scanner=fact.first_scanner,
            decided_at=at.log_time,
        )
    )


def check_in_reversed(changes: Changes, at: Envelope, fact: f.CheckInReversed) -> None:
    """The ticket's row is not checked in any more. The undoing gets a row among the scans."""
    patch = patch_of(changes, at, fact.ticket_id)
    patch.checked_in_at, patch.gate, patch.scanner, patch.checked_in_by = 0, "", "", ""
    patch.has_history = True  # what was undone stays so
    changes.check_ins.append(
        CheckInChange(
            event_id=at.event_id,
            offset=at.offset,
            index=at.index,
            partition=at.partition,
            kind=CheckInKind.REVERSED,
            reservation_id=fact.reservation_id,
            ticket_id=fact.ticket_id,
            user_id=fact.user_id,
            seat="",
            by_user_id=fact.by_user_id,
            reason="",
            gate="",
            scanner="",
            scanned_at=0,
            first_scanned_at=0,
            first_gate="",
            first_scanner="",
            decided_at=at.log_time,
        )
    )


def waitlist_joined(changes: Changes, at: Envelope, fact: f.WaitlistJoined) -> None:
    """The row of the place in the waiting list."""
    changes.waitlist[at.event_id, fact.entry_id] = WaitlistEntryChange(
        event_id=at.event_id,
        id=fact.entry_id,
        partition=at.partition,
        offset=at.offset,
        index=at.index,
        user_id=fact.user_id,
        ticket_type_id=fact.ticket_type_id,
        quantity=fact.quantity,
        status=WaitlistStatus.WAITING,
        reservation_id=NO_RESERVATION,
        expires_at=0,
        reason="",
        created_at=at.log_time,
        updated_at=at.log_time,
        updated_offset=at.offset,
        updated_index=at.index,
        mailbox=fact.mailbox or 0,
    )


def waitlist_offered(changes: Changes, at: Envelope, fact: f.WaitlistOffered) -> None:
    """The row of the place gets the reservation that was offered, and its deadline."""
    entry = _entry(changes, at, fact.entry_id)
    entry.status, entry.reservation_id, entry.expires_at = WaitlistStatus.OFFERED, fact.reservation_id, fact.expires_at


def waitlist_ended(changes: Changes, at: Envelope, fact: f.WaitlistEnded) -> None:
    """The row of the place has ended, with the reason."""
    entry = _entry(changes, at, fact.entry_id)
    entry.status, entry.reason = WaitlistStatus.ENDED, fact.reason


def _entry(changes: Changes, at: Envelope, entry_id: EntryId) -> WaitlistEntryChange:
    key = (at.event_id, entry_id)
    entry = changes.waitlist.get(key)
    if entry is None:
        entry = changes.waitlist[key] = WaitlistEntryChange(at.event_id, entry_id, at.partition)
    entry.updated_at, entry.updated_offset, entry.updated_index = at.log_time, at.offset, at.index
    return entry
