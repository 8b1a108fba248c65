"""The projection's tables as dicts: the changes of `pipelines.projections.project`, applied without a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from pipelines.projections import changes as p
from pipelines.projections.project import project
from pipelines.reservations import snapshot_rows as r
from pipelines.reservations.core.entities import Reservation
from schemas.facts import RecordedFact
from schemas.ticket_type_terms import FIXED

Row = dict[str, Any]
UNSEEN_FIELDS = (
    "offset", "index", "user_id", "ticket_type_id", "created_at", "reservation_id", "seat", "to_user_id", "offered_at",
)  # fmt: skip
AS_IT_IS = {
    "promo_code": "", "access_code": "", "extended": False, "warned": False, "kept_minor": 0, "owed_minor": 0,
    "void_places": [], "refunds_open": [],
}  # fmt: skip


class Rows:
    """Tables of one partition. `snapshot` reads an event as a reservations worker reads it from Postgres."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, dict[str, Row]]] = {}

    def apply(self, facts: list[RecordedFact]) -> None:
        """Fold a batch of facts into the rows."""
        changes = project(facts)
        for event in changes.events.values():
            _merge(self._row("events", event.id, ""), event, but=("terms",))
            if event.terms is not None:
                _merge(self._row("events", event.id, ""), event.terms)
        self._put("ticket_types", changes.ticket_types.values(), lambda type_: type_.ordinal is not None)
        for type_ in changes.ticket_types.values():
            but = () if type_.ordinal is not None else FIXED
            _merge(self._row("ticket_types", type_.event_id, type_.id), type_.terms, but=but)
        for change in changes.reservations.values():
            self._reservation(change)
        self._payments(changes)
        self._tickets(changes)
        for lock in changes.seat_locks.values():
            self._row("locks", lock.event_id, lock.place)["locked"] = lock.locked
        self._put("pools", changes.pools.values(), lambda _: True)
        self._codes(changes)
        for block in changes.seat_blocks.values():
            self._block(block)
        for member in changes.staff.values():
            self._row("staff", member.event_id, member.member_id)["active"] = member.active
        for schedule in changes.schedules.values():
            activities = msgspec.json.decode(schedule.activities_json)
            self._row("schedules", schedule.event_id, "")["activities"] = activities
        self._offers(changes)
        self._money(changes)
        self._put("waitlist", changes.waitlist.values(), lambda entry: entry.quantity is not None)
        for chore in changes.chores.values():
            self._chore(chore)

    def _money(self, changes: p.Changes) -> None:
        for refund in changes.refunds.values():
            if refund.amount_minor is not None:
                self._table("refunds", refund.event_id)[refund.refund_key] = {}
            if refund.refund_key in self._table("refunds", refund.event_id):
                untold = ("origin", "requested_at") if refund.amount_minor is None else ()
                _merge(self._row("refunds", refund.event_id, refund.refund_key), refund, but=untold)
        for dispute in changes.disputes.values():
            row = self._row("disputes", dispute.event_id, dispute.dispute_id)
            charged = row.get("charged_minor", 0)
            _merge(row, dispute)
            row["charged_minor"] += charged

    def _chore(self, chore: p.ChoreChange) -> None:
        if chore.changed_json is not None:
            self._table("chores", chore.event_id)[chore.kind] = {}
        if chore.kind in self._table("chores", chore.event_id):
            untold = () if chore.changed_json else ("cause",)
            _merge(self._row("chores", chore.event_id, chore.kind), chore, but=untold)

    def forget(self, event_id: str) -> None:
        """Drop an event that is not needed any more."""
        for table in self._tables.values():
            table.pop(event_id, None)

    def snapshot(self, event_id: str) -> r.EventSnapshot:
        """The event's rows."""
        events = self._table("events", event_id)
        reservations = self._table("reservations", event_id)
        types = sorted(self._table("ticket_types", event_id).values(), key=lambda row: row["ordinal"])
        declined = dict[str, list[str]]()
        for attempt_id, row in sorted(self._table("payments", event_id).items()):
            if row.get("status") == "declined":
                declined.setdefault(row["reservation_id"], []).append(attempt_id)
        chores = [
            row | {
                "changed": msgspec.json.decode(row["changed_json"]),
                "told_offset": reservations[row["told_id"]]["offset"] if row["told_id"] else -1,
            }
            for row in self._table("chores", event_id).values()
            if not row["finished"]
        ]  # fmt: skip
        codes = [
            row | {"ticket_type_ids": msgspec.json.decode(row["ticket_type_ids_json"])}
            for row in self._table("codes", event_id).values()
        ]
        tickets = [
            row | {"place": row["seat"] or str(row["ordinal"]), "undone": self._undone(event_id, row["id"])}
            for row in self._table("tickets", event_id).values()
            if row["has_history"] and row["status"] == "valid"
        ]
        return r.EventSnapshot(
            event_id=event_id,
            position=r.AppliedPosition(),
            event=_pick(r.EventRow, events[""]) if events else None,
            ticket_types=[_pick(r.TicketTypeRow, row) for row in types],
            reservations=[_pick(Reservation, _as_fields(row, declined)) for row in _in_order(reservations.values())],
            locked_places=sorted(place for place, row in self._table("locks", event_id).items() if row["locked"]),
            pools=[_pick(r.PoolRow, row) for row in self._table("pools", event_id).values()],
            codes=[_pick(r.CodeRow, row) for row in codes],
            seat_blocks=[
                _pick(r.SeatBlockRow, row) for row in _in_order(self._table("seat_blocks", event_id).values())
            ],
            tickets=[_pick(r.TicketRow, row) for row in tickets],
            waitlist=[_pick(r.WaitlistEntryRow, row) for row in _in_order(self._table("waitlist", event_id).values())],
            chores=[_pick(r.ChoreRow, row) for row in chores],
            staff=sorted(member for member, row in self._table("staff", event_id).items() if row["active"]),
            schedule=self._table("schedules", event_id).get("", {"activities": []})["activities"],
            transfers=[
                _pick(r.TransferRow, row)
                for _, row in sorted(self._table("transfers", event_id).items())
                if row["status"] == "offered"
            ],
            invitations=[
                _pick(r.InvitationRow, row)
                for _, row in sorted(self._table("invitations", event_id).items())
                if row["status"] == "invited"
            ],
            refunds=[_pick(r.RefundRow, _as_refund(row)) for row in self._table("refunds", event_id).values()],
            disputes=[
                _pick(r.DisputeRow, row | {"id": row["dispute_id"]})
                for row in self._table("disputes", event_id).values()
            ],
        )

    def _table(self, table: str, event_id: str) -> dict[str, Row]:
        return self._tables.setdefault(table, {}).setdefault(event_id, {})

    def _row(self, table: str, event_id: str, key: str) -> Row:
        return self._table(table, event_id).setdefault(key, {})

    def _put(self, table: str, changes: Iterable[Any], is_whole: Callable[[Any], bool]) -> None:
        """Whole rows, and patches in which None means "unchanged"."""
        for change in changes:
            if is_whole(change):
                self._table(table, change.event_id)[change.id] = {}
            untold = () if is_whole(change) else UNSEEN_FIELDS
            _merge(self._row(table, change.event_id, change.id), change, but=untold)

    def _reservation(self, change: p.ReservationChange) -> None:
        table, amended = self._table("reservations", change.event_id), change.amended
        if change.fingerprint is not None:
            table[change.id] = dict(AS_IT_IS)
        row = table[change.id]
        former = row.get("status"), row.get("payment")
        _merge(row, change, but=("amended",))
        if amended is None:
            return
        row |= {
            name: value
            for name in ("promo_code", "access_code", "extended", "warned")
            if (value := getattr(amended, name)) is not None
        }
        row["kept_minor"] += amended.kept_minor
        row["owed_minor"] += amended.owed_minor
        row["void_places"] = row["void_places"] + amended.void_places
        row["refunds_open"] = _without(row["refunds_open"], amended.refunds_gone) + amended.refunds_open
        if change.fingerprint is None:
            row["seats"] = _without(row["seats"], amended.seats_gone)
            row["ticket_ids"] = _without(row["ticket_ids"], amended.tickets_gone)
            row["quantity"] -= amended.quantity_less
            row["amount_minor"] -= amended.amount_less
            if amended.refund_asked and former[0] != "confirmed":
                row["payment"] = "refund-requested"
            if amended.refund_made and row["payment"] == "refund-requested" and not row["refunds_open"]:
                row["payment"] = "refund-failed" if row["owed_minor"] > 0 else "refunded"

    def _codes(self, changes: p.Changes) -> None:
        for code in changes.codes.values():
            if code.kind is not None:
                _merge(self._row("codes", code.event_id, code.id), code)
            self._row("codes", code.event_id, code.id)["disabled"] = code.disabled

    def _offers(self, changes: p.Changes) -> None:
        self._put("transfers", changes.transfers.values(), lambda one: one.ticket_id is not None)
        for invited in changes.invitations.values():
            table = self._table("invitations", invited.event_id)
            if invited.expires_at is not None:
                table[invited.member_id] = msgspec.structs.asdict(invited)
            elif invited.member_id in table:
                table[invited.member_id]["status"] = invited.status

    def _payments(self, changes: p.Changes) -> None:
        for payment in changes.payments.values():
            row = self._row("payments", payment.event_id, payment.attempt_id)
            if payment.reservation_id is not None:
                row["reservation_id"] = payment.reservation_id
            if payment.status is not None and (payment.status != "refused" or row.get("status") == "requested"):
                row["status"] = payment.status

    def _tickets(self, changes: p.Changes) -> None:
        for issued in changes.tickets.values():
            for ticket in issued:
                row = msgspec.structs.asdict(ticket)
                row |= {"checked_in_at": 0, "gate": "", "scanner": "", "checked_in_by": "", "has_history": False}
                self._table("tickets", ticket.event_id)[ticket.id] = row
        for scan in changes.check_ins:
            self._row("check_ins", scan.event_id, f"{scan.offset}/{scan.index}")["scan"] = scan
        for patch in changes.ticket_patches.values():
            row = next(table[patch.id] for table in self._tables["tickets"].values() if patch.id in table)
            _merge(row, patch, but=("has_history", "void"))
            if patch.has_history is not None:
                row["has_history"] = patch.has_history or row["version"] > 1
            if patch.void:
                row["status"], row["version"] = "void", row["version"] + 1
        for voided in changes.tickets_voided.values():
            tickets = self._table("tickets", voided.event_id)
            for ticket_id in self._table("reservations", voided.event_id)[voided.reservation_id]["ticket_ids"]:
                row = tickets[ticket_id]
                if row["status"] != "void":
                    row["status"], row["version"] = "void", row["version"] + 1

    def _undone(self, event_id: str, ticket_id: str) -> list[str]:
        scans = [row["scan"] for row in self._table("check_ins", event_id).values()]
        scans = sorted((one.offset, one.index, one) for one in scans if one.ticket_id == ticket_id)
        undone: list[str] = []
        accepted: list[str] = []
        for *_, one in scans:
            if one.kind == "accepted":
                accepted.append("\x1f".join((str(one.scanned_at), one.gate, one.scanner, one.by_user_id)))
            elif one.kind == "reversed":
                undone, accepted = undone + accepted, []
        return undone

    def _block(self, change: p.SeatBlockChange) -> None:
        row = self._row("seat_blocks", change.event_id, change.id)
        if change.seats is not None:
            _merge(row, change)
            return
        row["seats"] = _without(row["seats"], change.seats_gone)
        row["quantity"] -= change.quantity_less
        row["releases"] = row["releases"] + change.releases


def _merge(row: Row, change: msgspec.Struct, *, but: tuple[str, ...] = ()) -> None:
    for name in change.__struct_fields__:
        value = getattr(change, name)
        if value is not None and name not in but:
            row[name] = value


def _without(texts: list[str], gone: list[str]) -> list[str]:
    return [text for text in texts if text not in set(gone)]


def _in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["offset"], row["id"]))


def _as_fields(row: Row, declined: dict[str, list[str]]) -> Row:
    """A row of reservations as the snapshot's query reads it."""
    return row | {
        "asked_at": row["created_at"], "extended": int(row["extended"]), "warned": int(row["warned"]),
        "void_places": tuple(row["void_places"]), "refunds_open": tuple(row["refunds_open"]),
        "declined": tuple(declined.get(row["id"], ())),
    }  # fmt: skip


def _as_refund(row: Row) -> Row:
    amount = row["refunded_minor"] if row["status"] == "refunded" else row["amount_minor"]
    return row | {"key": row["refund_key"], "amount_minor": amount}


def _pick(kind: type[Any], row: Row) -> Any:
    return kind(**{name: row[name] for name in kind.__struct_fields__})
