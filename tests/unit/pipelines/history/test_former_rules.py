"""A log of the first rules, written with the first schemas, verifies under the rules of its time."""

from __future__ import annotations

import json
from functools import partial

import pytest

from pipelines.history.rules_by_version import RULES
from pipelines.history.verification import PartitionVerifier
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.state import EventState
from schemas import commands as c
from schemas import facts as f
from schemas import former_details
from schemas.codec import HEADER_BYTES, MANIFEST
from schemas.ids import US_PER_S, LogTime, ReservationId, ticket_id
from schemas.record import LogRecord
from schemas.recorded_facts import envelopes
from tests.harness.command_logs import CODEC, ListFeed
from tests.harness.words import (
    ALICE,
    BOB,
    EVENT,
    ORGANIZER,
    R2,
    STALLS,
    TTL_S,
    T,
    add_type,
    confirm,
    create,
    paid,
    publish,
    refunded,
    release,
    reserve,
    tick,
    update,
)  # fmt: skip

TICKETS = [ticket_id(ReservationId(R2), seat) for seat in ("A-3", "A-2", "A-5", "B-3")]  # the seats that it got
STORY: list[tuple[int, c.Command]] = [
    (0, create()),
    (0, add_type()),
    (0, reserve(1, rid="draft")),  # of a draft
    (
        0,
        c.JoinWaitlist(
            event_id=EVENT, user_id=ALICE, command_id="cmd", entry_id="w1", ticket_type_id=STALLS, quantity=2
        ),
    ),
    (0, publish()),
    (0, add_type("box", hidden=1)),
    (0, reserve(1, rid="hidden", of="box")),
    (0, update(ends_at=1)),  # refused: its detail names a field
    (0, add_type("later", sales_open_at=T + 9 * US_PER_S)),
    (0, reserve(1, rid="early", of="later")),  # refused: its detail names a moment
    (1, reserve(2)),
    (2, confirm()),
    (TTL_S + 5, paid(amount=5_000)),  # too late: by these rules the money goes back, though the seats are free
    (TTL_S + 6, refunded(amount=5_000)),
    (TTL_S + 7, reserve(1, rid=R2)),
    (TTL_S + 8, confirm(R2)),
    (TTL_S + 9, paid(R2, payment="pay-2")),
    (TTL_S + 10, c.AddStaff(EVENT, ORGANIZER, "cmd", BOB)),
    *(
        (
            TTL_S + 11,
            c.TransferTicket(
                event_id=EVENT, user_id=ALICE, command_id="cmd", reservation_id=R2, ticket_id=ticket, to_user_id=BOB
            ),
        )
        for ticket in TICKETS
    ),
    (TTL_S + 12, c.RemoveStaff(EVENT, ORGANIZER, "cmd", BOB)),
    (2_000_000, release(R2)),  # long after the event began
    (2_000_001, update(venue="Garden")),
    (3_000_000, tick()),  # … and after it was over
]


def log_of(version: int) -> tuple[list[LogRecord], list[LogRecord]]:
    """Commands and facts as a build of that version left them."""
    state, commands, facts = EventState(EVENT), [], []
    decide = RULES[version]
    encode = partial(CODEC.encode_fact_under, version)
    for offset, (seconds, command) in enumerate(STORY):
        time_us = T + seconds * US_PER_S
        commands.append(LogRecord(offset, time_us // 1_000, EVENT.encode(), CODEC.encode(command)))
        decided = decide(state, command, At(0, offset, LogTime(time_us)))
        numbered = envelopes(
            len(decided), event_id=EVENT, partition=0, offset=offset, log_time=time_us, rules_version=version
        )
        for envelope, fact in zip(numbered, decided, strict=True):
            facts.append(LogRecord(len(facts), 0, None, encode(envelope, fact)))
    return commands, facts


@pytest.mark.parametrize("version", sorted(RULES))
def test_a_log_verifies_under_the_rules_of_its_day(version: int) -> None:
    commands, facts = log_of(version)
    verifier = PartitionVerifier(0, CODEC, ListFeed(facts))
    for record in commands:
        verifier.read(record)
    assert verifier.divergences == []
    assert verifier.facts == len(facts)


def test_the_first_rules_answered_otherwise_and_wrote_other_schemas() -> None:
    (_, first), (_, second) = log_of(1), log_of(2)
    kinds = [[type(CODEC.decode(record.value).fact).__name__ for record in log] for log in (first, second)]
    assert "RefundRequested" in kinds[0]
    assert "HoldReacquired" in kinds[1]
    assert "EventEnded" in set(kinds[1]) - set(kinds[0])
    ids = {int.from_bytes((record.value or b"")[1:HEADER_BYTES], "big") for record in first}
    newest = {entry["schema"]["name"]: entry["id"] for entry in json.loads(MANIFEST.read_text())["schemas"]}
    grown = {newest[name] for name in ("EventCreated", "TicketTypeAdded", "TicketsHeld", "RefundRequested")}
    assert not ids & grown


@pytest.mark.parametrize(("version", "asks"), [(1, False), (2, False), (3, True)])
def test_nobody_was_asked_before_the_third_rules(version: int, asks: bool) -> None:
    names = {type(CODEC.decode(record.value).fact).__name__ for record in log_of(version)[1]}
    assert names & {"TicketTransferred", "StaffAdded"} == (set() if asks else {"TicketTransferred", "StaffAdded"})
    assert ({"TransferOffered", "StaffInvited"} <= names) is asks


@pytest.mark.parametrize(("version", "named"), [(1, False), (2, False), (3, False), (4, True)])
def test_refusals_name_nothing_in_fields_before_the_fourth_rules(version: int, named: bool) -> None:
    facts = [CODEC.decode(record.value).fact for record in log_of(version)[1]]
    refusals = [fact for fact in facts if isinstance(fact, f.CommandRefused | f.ReservationRejected)]
    assert any(former_details.moment_in(fact.detail) for fact in refusals)
    assert {fact.at == former_details.moment_in(fact.detail) for fact in refusals if fact.at} == (
        {True} if named else set()
    )
    assert any(fact.amount is not None or fact.field is not None for fact in refusals) is named
