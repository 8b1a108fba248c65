"""Derived data that differs from the log is named, thing by thing; the same facts agree."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from pipelines.history.agreement import claims_differ, rows_differ, tickets_differ
from pipelines.reservations.core.claims import live_claims
from pipelines.reservations.core.counters import availability_of
from pipelines.reservations.core.state import EventState
from pipelines.reservations.seat_locks import claim_text
from schemas import facts as f
from schemas.statuses import ClaimStatus
from tests.harness.words import (
    ALICE,
    BOB,
    EVENT,
    ORGANIZER,
    R1,
    R2,
    STALLS,
    T,
    confirmed,
    folded,
    held,
    on_sale,
    payment_requested,
)

(TICKET,) = confirmed(["A-1"]).ticket_ids
LOG = (
    f.PoolChanged(ORGANIZER, "pool", "House", 9),
    *on_sale(layout={"pool_id": "pool"}),
    f.CodeAdded(
        user_id=ORGANIZER,
        code_id="c1",
        code="SPRING",
        kind="percent",
        value=10,
        uses_max=5,
        ticket_type_ids=[],
        valid_from_at=0,
        valid_until_at=0,
    ),
    f.SeatsBlocked(
        user_id=ORGANIZER,
        block_id="b1",
        ticket_type_id=STALLS,
        seats=["C-1", "C-2"],
        quantity=2,
        until_at=T + 5,
        label="press",
    ),
    f.StaffAdded(ORGANIZER, BOB),
    f.StaffInvited(ORGANIZER, ALICE, T),
    f.ScheduleChanged(ORGANIZER, ['{"title":"Doors"}']),
    msgspec.structs.replace(held(["A-1"]), promo_code="SPRING"),
    payment_requested(),
    confirmed(["A-1"]),
    f.TicketTransferred(
        reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, ticket_id=TICKET, seat="A-1", to_user_id=BOB, version=2
    ),
    f.TransferOffered(
        transfer_id="offer",
        reservation_id=R1,
        user_id=BOB,
        ticket_type_id=STALLS,
        ticket_id=TICKET,
        seat="A-1",
        to_user_id=ALICE,
        expires_at=T,
    ),
    f.CheckInAccepted(
        reservation_id=R1,
        user_id=BOB,
        ticket_id=TICKET,
        seat="A-1",
        by_user_id=ORGANIZER,
        gate="North",
        scanner="",
        scanned_at=T,
    ),
    f.WaitlistJoined("w1", ALICE, STALLS, 4),
    f.ChoreStarted("event-changed", 3, ["venue"]),
    held(["B-1"], rid=R2, by=BOB),
)


def state() -> EventState:
    return folded(*LOG)


def test_the_same_facts_agree() -> None:
    assert rows_differ(state(), state()) == []


def _set(table: str, key: str, **changes: object) -> Callable[[EventState], None]:
    def change(rows: EventState) -> None:
        entries = getattr(rows, table)
        entries[key] = msgspec.structs.replace(entries[key], **changes)

    return change


def _assign(name: str, value: object) -> Callable[[EventState], None]:
    return lambda rows: setattr(rows, name, value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("codes", "SPRING", disabled=1), "code SPRING: disabled is 0 by the log, 1 in Postgres"),
        (_set("blocks", "b1", label="vip"), "block b1: label is 'press' by the log, 'vip' in Postgres"),
        (_set("waitlist", "w1", status="ended"), "place in the waiting list w1: status is 'waiting'"),
        (_set("tickets", TICKET, user_id=ALICE), f"ticket {TICKET}: user_id is {BOB!r}"),
        (_set("chores", "event-changed", told_id=R1), "chore event-changed: told_id is ''"),
        (_set("reservations", R1, kept_minor=5), f"reservation {R1}: kept_minor is 0 by the log, 5 in Postgres"),
        (lambda rows: rows.codes.clear(), "code SPRING: only on the log"),
        (lambda rows: rows.uses.clear(), "uses of codes differ"),
        (lambda rows: rows.staff.clear(), f"staff differ: ['{BOB}']"),
        (lambda rows: rows.invitations.clear(), f"invitation of {ALICE}: only on the log"),
        (lambda rows: rows.transfers.clear(), f"offer of ticket {TICKET}: only on the log"),
        (_assign("schedule", []), "the programme differs"),
        (_assign("reminded_for", 7), "reminded for 0 by the log, 7 in Postgres"),
        (lambda rows: setattr(rows.pools["pool"], "capacity", 8), "pool pool: capacity is 9"),
        (lambda rows: setattr(rows.sections[STALLS], "hidden", 1), f"ticket type {STALLS}: hidden is 0"),
        (lambda rows: setattr(rows.sections[STALLS], "pool", None), f"ticket type {STALLS}: pool_id is 'pool'"),
    ],
)
def test_what_rows_say_otherwise_is_named(change: Callable[[EventState], None], told: str) -> None:
    rows = state()
    change(rows)
    assert any(text.startswith(told) for text in rows_differ(state(), rows)), rows_differ(state(), rows)


def test_texts_that_postgresql_cannot_hold_are_no_difference() -> None:
    odd = state()
    odd.schedule, rows = ["a\x00b"], state()
    rows.schedule = ["a\ufffdb"]
    assert rows_differ(odd, rows) == []


def test_a_ticket_in_other_hands_or_of_another_version_differs() -> None:
    assert tickets_differ(state(), {TICKET: (BOB, 2)}) == []
    for known in ((ALICE, 2), (BOB, 1)):
        (difference,) = tickets_differ(state(), {TICKET: known})
        assert difference.startswith(f"ticket {TICKET} is ('{BOB}', 2) by the log, {known} in Postgres")
    assert len(tickets_differ(state(), {"other": (BOB, 1)})) == 2


def test_blocked_places_are_claims_like_others() -> None:
    found = state()
    claims = {}
    for place, claim in live_claims(found).items():
        assert claim is not None
        since = found.blocks[claim[1]] if claim[0] == ClaimStatus.BLOCKED else None
        one = found.reservations.get(claim[1])
        until = since.until_at if since is not None else one.expires_at if one is not None else 0
        offset = since.offset if since is not None else one.offset if one is not None else 0
        claims[place] = claim_text(*claim, until, 7, offset)
    assert {place for place, text in claims.items() if text.startswith("b|b1|")} == {"stalls/C-1", "stalls/C-2"}
    assert claims_differ(found, claims, availability_of(found)) == []
    del claims["stalls/C-2"]
    assert len(claims_differ(found, claims, availability_of(found))) == 1
    assert found.event_id == EVENT
