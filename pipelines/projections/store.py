"""Writes projections: the rows of a batch, in the transaction of the read side.

Guarantee: a partial unique index on live seat claims is a tripwire. If facts sell a seat twice, nothing of the batch is
written, and the process stops with `TripwireBroken`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from connectors.errors import CircleError
from connectors.logs import Log
from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.branches.branch import FailedFact
from pipelines.columns import columns, filled, term_columns
from pipelines.projections.changes import (
    Changes,
    CheckInChange,
    ChoreChange,
    CodeChange,
    DisputeChange,
    EventChange,
    InvitationChange,
    PaymentChange,
    PaymentSettled,
    PoolChange,
    RefundChange,
    ScheduleChange,
    SeatClaimChange,
    SeatLockChange,
    StaffChange,
    TicketChange,
    TicketPatch,
    TicketsVoided,
    TicketTypeChange,
    TransferChange,
    WaitlistEntryChange,
)
from schemas.event_terms import EVENT_TERMS, EventTerms
from schemas.ids import EventId
from schemas.statuses import SeatClaimStatus
from schemas.ticket_type_terms import TICKET_TYPE_CHANGES, TICKET_TYPE_TERMS, TicketTypeTerms

C = TypeVar("C")

TRIPWIRE = "seat_claims_live"  # the partial unique index on live seat claims

SQL = filled(
    queries(Path(__file__).parent / "sql" / "projections.sql")
    | queries(Path(__file__).parent / "sql" / "organizing.sql")
)
log = Log("projections")

_POSITION = ("updated_offset", "updated_index")
_EVENT = ("id", "partition", "organizer_id", "status", "reminded_for", "created_at", "published_at", "cancelled_at",
          "cancel_reason", *_POSITION)  # fmt: skip
_EVENT_PATCH = tuple(name for name in _EVENT if name not in ("partition", "organizer_id", "created_at"))
_TICKET_TYPE = ("id", "event_id", "partition", "ordinal", *_POSITION)
_TICKET_TYPE_PATCH = ("id", "event_id", *_POSITION)
_RESERVATION = ("id", "event_id", "partition", "offset", "user_id", "ticket_type_id", "status", "quantity", "seats",
                "amount_minor", "currency", "expires_at", "fingerprint", "reason", "detail", "attempt_id", "payment",
                "payment_id", "payment_token", "refund_id", "ticket_ids", "created_at", "updated_at",
                *_POSITION, "mailbox", "detail_at")  # fmt: skip
_RESERVATION_PATCH = ("id", "event_id", "status", "reason", "attempt_id", "payment", "payment_id", "payment_token",
                      "refund_id", "ticket_ids", "updated_at", *_POSITION)  # fmt: skip
_AMENDED = ("amended.promo_code", "amended.access_code", "amended.discount_minor", "amended.extended",
            "amended.warned", "amended.kept_minor", "amended.owed_minor", "amended.void_places",
            "amended.refunds_open_json")  # fmt: skip
_RESERVATION_COMPLETED = ("id", "event_id", *_AMENDED, *_POSITION)
_RESERVATION_AMENDED = (*_RESERVATION_PATCH, "expires_at", *_AMENDED, "amended.refunds_gone_json",
                        "amended.seats_gone", "amended.tickets_gone", "amended.quantity_less", "amended.amount_less",
                        "amended.refund_asked", "amended.refund_made")  # fmt: skip
_PAYMENT = PaymentChange.__struct_fields__
_PAYMENT_PATCH = ("event_id", "attempt_id", "status", "reason", "payment_id", *_POSITION)
_REFUND = RefundChange.__struct_fields__
_REFUND_PATCH = (
    "event_id",
    "refund_key",
    "status",
    "refund_id",
    "refunded_minor",
    "refunded_at",
    "failure",
    *_POSITION,
)
_SEAT_CLAIM = SeatClaimChange.__struct_fields__
_SEAT_BLOCK = ("event_id", "id", "partition", "offset", "ticket_type_id", "seats", "quantity", "until_at", "label",
               "releases", "created_at", *_POSITION)  # fmt: skip
_SEAT_BLOCK_PATCH = ("event_id", "id", "seats_gone", "quantity_less", "releases", *_POSITION)
_CODE_PATCH = ("event_id", "id", "disabled", *_POSITION)
_ENTRY_PATCH = ("event_id", "id", "status", "reservation_id", "expires_at", "reason", "updated_at", *_POSITION)
_TRANSFER_PATCH = ("event_id", "id", "status", "ended_at", *_POSITION)
_INVITATION_PATCH = ("event_id", "member_id", "status", "ended_at", *_POSITION)
_CHORE_PATCH = ("event_id", "kind", "told_id", "finished", *_POSITION)


class TripwireBroken(CircleError):
    """The facts sell a seat twice. Nothing of the batch is written; the projection stops until a person looks at it."""


@dataclass(frozen=True, slots=True)
class FactSetAside:
    """A row of facts_set_aside: this event's rows are incomplete."""

    event_id: EventId
    partition: int
    offset: int
    index: int
    fact: str
    error: str


_SET_ASIDE = ("event_id", "partition", "offset", "index", "fact", "error")


def _set_aside(failed: FailedFact) -> FactSetAside:
    at = failed.fact.envelope
    return FactSetAside(
        event_id=at.event_id,
        partition=at.partition,
        offset=at.offset,
        index=at.index,
        fact=type(failed.fact.fact).__name__,
        error=failed.error,
    )


async def write_facts_set_aside(connection: Connection, failed: Sequence[FailedFact]) -> None:
    """Note facts whose rows are missing."""
    await connection.execute(SQL["put_facts_set_aside"], *columns(map(_set_aside, failed), _SET_ASIDE))


def _tripwire(error: asyncpg.UniqueViolationError) -> TripwireBroken | None:
    """The alarm, if the index on live seat claims was violated."""
    if error.constraint_name != TRIPWIRE:
        return None
    log.error("tripwire", index=TRIPWIRE, found=error.detail)
    return TripwireBroken(
        f"a seat has two live claims, so the projection stops before it is written: {error.detail}; "
        "compare tickets.facts with seat_claims for that seat"
    )


class _Rows:
    """Writes changes, one statement for each kind of change. `unchecked` is the test switch no-dedupe."""

    def __init__(self, connection: Connection, *, unchecked: bool) -> None:
        self._connection, self._unchecked = connection, unchecked

    async def put(self, query: str, rows: Iterable[Any], fields: tuple[str, ...]) -> None:
        """Run a statement that compares positions; with `unchecked` it does not."""
        await self._put(query, columns(rows, fields))

    async def put_event(self, query: str, rows: list[EventChange], fields: tuple[str, ...]) -> None:
        """`put` with the event's terms after the fields."""
        terms = term_columns(EventTerms, [row.terms for row in rows], EVENT_TERMS)
        await self._put(query, columns(rows, fields), terms)

    async def put_ticket_type(
        self, query: str, rows: list[TicketTypeChange], fields: tuple[str, ...], names: tuple[str, ...]
    ) -> None:
        """`put` with these terms of the ticket type after the fields."""
        terms = term_columns(TicketTypeTerms, [row.terms for row in rows], names)
        await self._put(query, columns(rows, fields), terms)

    async def _put(self, query: str, table: list[list[Any]], terms: Sequence[list[Any]] = ()) -> None:
        if table:
            await self._connection.execute(SQL[query], self._unchecked, *table, *terms)

    async def always(self, query: str, rows: Iterable[Any], fields: tuple[str, ...]) -> None:
        """Run a statement that is idempotent by itself."""
        table = columns(rows, fields)
        if table:
            await self._connection.execute(SQL[query], *table)


async def write_rows(connection: Connection, changes: Changes, *, unchecked: bool) -> None:
    """Write the changes in the transaction of `connection`. Raises TripwireBroken."""
    try:
        await _write_all(_Rows(connection, unchecked=unchecked), changes)
    except asyncpg.UniqueViolationError as error:
        raise _tripwire(error) or error from None


async def _write_all(rows: _Rows, changes: Changes) -> None:
    await _write_reservations(rows, changes)
    claims = list(changes.seat_claims.values())
    await rows.put("put_seat_claims", (row for row in claims if row.status == SeatClaimStatus.ENDED), _SEAT_CLAIM)
    await rows.put("put_seat_claims", (row for row in claims if row.status != SeatClaimStatus.ENDED), _SEAT_CLAIM)
    issued = (ticket for tickets in changes.tickets.values() for ticket in tickets)
    await rows.put("put_tickets", issued, TicketChange.__struct_fields__)
    await rows.put("patch_tickets", changes.ticket_patches.values(), TicketPatch.__struct_fields__)
    await rows.always("void_tickets", changes.tickets_voided.values(), TicketsVoided.__struct_fields__)
    await rows.always("put_check_ins", changes.check_ins, CheckInChange.__struct_fields__)
    entries = list(changes.waitlist.values())
    whole, patches = _apart(entries, lambda row: row.quantity is not None)
    await rows.put("put_waitlist_entries", whole, WaitlistEntryChange.__struct_fields__)
    await rows.put("patch_waitlist_entries", patches, _ENTRY_PATCH)
    offers, answers = _apart(changes.transfers.values(), lambda row: row.ticket_id is not None)
    await rows.put("put_transfers", offers, TransferChange.__struct_fields__)
    await rows.put("patch_transfers", answers, _TRANSFER_PATCH)
    await _write_organizing(rows, changes)


async def _write_reservations(rows: _Rows, changes: Changes) -> None:
    whole, patches = _apart(changes.reservations.values(), lambda row: row.fingerprint is not None)
    await rows.put("put_reservations", whole, _RESERVATION)
    await rows.put("complete_reservations", (row for row in whole if row.amended), _RESERVATION_COMPLETED)
    await rows.put("patch_reservations", (row for row in patches if not row.amended), _RESERVATION_PATCH)
    await rows.put("amend_reservations", (row for row in patches if row.amended), _RESERVATION_AMENDED)
    payments, payment_patches = _apart(changes.payments.values(), lambda row: row.amount_minor is not None)
    await rows.put("put_payments", payments, _PAYMENT)
    await rows.put("patch_payments", payment_patches, _PAYMENT_PATCH)
    refunds, refund_patches = _apart(changes.refunds.values(), lambda row: row.amount_minor is not None)
    await rows.put("put_refunds", refunds, _REFUND)
    await rows.put("patch_refunds", refund_patches, _REFUND_PATCH)
    await rows.put("put_disputes", changes.disputes.values(), DisputeChange.__struct_fields__)
    await rows.always("settle_payments", changes.payments_settled.values(), PaymentSettled.__struct_fields__)


async def _write_organizing(rows: _Rows, changes: Changes) -> None:
    events, event_patches = _apart(changes.events.values(), lambda row: row.created_at is not None)
    await rows.put_event("put_events", events, _EVENT)
    await rows.put_event("patch_events", event_patches, _EVENT_PATCH)
    types, type_patches = _apart(changes.ticket_types.values(), lambda row: row.ordinal is not None)
    await rows.put_ticket_type("put_ticket_types", types, _TICKET_TYPE, TICKET_TYPE_TERMS)
    await rows.put_ticket_type("patch_ticket_types", type_patches, _TICKET_TYPE_PATCH, TICKET_TYPE_CHANGES)
    await rows.put("put_seat_locks", changes.seat_locks.values(), SeatLockChange.__struct_fields__)
    await rows.put("put_pools", changes.pools.values(), PoolChange.__struct_fields__)
    codes, code_patches = _apart(changes.codes.values(), lambda row: row.kind is not None)
    await rows.put("put_codes", codes, CodeChange.__struct_fields__)
    await rows.put("patch_codes", code_patches, _CODE_PATCH)
    blocks, block_patches = _apart(changes.seat_blocks.values(), lambda row: row.seats is not None)
    await rows.put("put_seat_blocks", blocks, _SEAT_BLOCK)
    await rows.put("patch_seat_blocks", block_patches, _SEAT_BLOCK_PATCH)
    await rows.put("put_event_staff", changes.staff.values(), StaffChange.__struct_fields__)
    invited, answered = _apart(changes.invitations.values(), lambda row: row.expires_at is not None)
    await rows.put("put_staff_invitations", invited, InvitationChange.__struct_fields__)
    await rows.put("patch_staff_invitations", answered, _INVITATION_PATCH)
    await rows.put("put_schedules", changes.schedules.values(), ScheduleChange.__struct_fields__)
    chores, chore_patches = _apart(changes.chores.values(), lambda row: row.changed_json is not None)
    await rows.put("put_chores", chores, ChoreChange.__struct_fields__)
    await rows.put("patch_chores", chore_patches, _CHORE_PATCH)


def _apart(changes: Iterable[C], is_whole: Callable[[C], bool]) -> tuple[list[C], list[C]]:
    """Whole rows, and patches of existing rows."""
    whole: list[C] = []
    patches: list[C] = []
    for change in changes:
        (whole if is_whole(change) else patches).append(change)
    return whole, patches
