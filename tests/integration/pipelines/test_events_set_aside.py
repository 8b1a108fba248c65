"""A fact that cannot be folded sets its event aside: the partition and its other events go on, and it comes back."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from connectors.settings import PARTITIONS_DEFAULT, Settings
from ops.explain.event_past import CannotFold, explain, past_of
from ops.progress import ProgressBars
from ops.proof.checker.check import check
from pipelines.history.moment import EventFold
from pipelines.reservations import flow as reservations
from pipelines.reservations.core import evolve
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Reason, RecordedFact
from schemas.ids import US_PER_S
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS, dead_letters
from tests.harness.command_logs import CODEC, BothLogs, write_both
from tests.harness.flows import Flow, read, write
from tests.harness.words import EVENT, R1, R2, add_type, create, dispute, hold_expired, publish, reserve, tick

HOME = partition_of(EVENT, PARTITIONS_DEFAULT)
REFUSED = f"a fact of this event cannot be folded: HoldExpired at {HOME}-6 (KeyError)"


def of(event_id: str, command: Any) -> Any:
    return msgspec.structs.replace(command, event_id=event_id)


@pytest.fixture
def log(settings: Settings) -> BothLogs:
    """Two events of one partition on both topics; the last fact of EVENT is about an unknown hold."""
    log = BothLogs(partition=HOME, seed=1, now=(int(time.time()) - 60) * US_PER_S)
    for event_id in (EVENT, log._ids[0]):
        for command in (create(), add_type(), publish()):
            log.put(of(event_id, command))
    (told,) = log.put(tick())
    log.facts[-1] = RecordedFact(told.envelope, hold_expired(["A-1"], rid="never there"))
    write_both(settings, [log])
    return log


def decided(settings: Settings, log: BothLogs, *commands: c.Command) -> list[f.Fact]:
    """The decisions of a new owner of the partition on these commands."""
    there = len(log.facts)
    with Flow(reservations.run, settings):
        write(settings, COMMANDS, [(HOME, CODEC.encode(one), []) for one in commands])
        found = [CODEC.decode(one.value()) for one in read(settings, FACTS, PARTITIONS_DEFAULT, there + len(commands))]
    new = [one for one in found[there:] if isinstance(one, RecordedFact)]
    log.facts += new
    return [one.fact for one in new]


def test_the_partition_and_its_other_events_go_on_and_a_build_that_can_fold_it_takes_it_up(
    settings: Settings, log: BothLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [reserve(), of(log._ids[0], reserve(rid=R2)), tick()]
    refused, held, ticked = decided(settings, log, *commands)
    assert refused == f.CommandRefused(
        command_type="ReserveTickets",
        subject_id=EVENT,
        user_id=commands[0].user_id,
        reason=Reason.COMMAND_FAILED,
        detail=REFUSED,
        unfolded=1,
    )
    assert isinstance(held, f.TicketsHeld)
    assert held.reservation_id == R2
    assert ticked == f.CommandRefused(
        command_type="Tick",
        subject_id=EVENT,
        user_id="",
        reason=Reason.COMMAND_FAILED,
        detail=REFUSED,
        unfolded=1,
    )
    letters = [dict(one.headers() or []) for one in read(settings, dead_letters(COMMANDS), 1, 2)]
    assert [one["origin_offset"] for one in letters] == [b"7", b"9"]
    assert {one["error"] for one in letters} == {
        f"reservations: NotFolded: event {EVENT}: HoldExpired at {HOME}-6 (KeyError)".encode()
    }
    monkeypatch.setitem(evolve._CHANGES, f.HoldExpired, lambda *_: None)
    (held,) = decided(settings, log, reserve())
    assert isinstance(held, f.TicketsHeld)
    assert held.reservation_id == R1


def test_what_reads_an_events_past_says_which_fact_it_cannot_fold(settings: Settings, log: BothLogs) -> None:
    past = EventFold(EVENT)
    past.take((offset, one) for offset, one in enumerate(log.facts) if one.envelope.event_id == EVENT)
    assert past.state.unfolded == f"HoldExpired at {HOME}-6 (KeyError)"
    assert past.facts == 3
    with pytest.raises(CannotFold, match=f"event {EVENT}: this build cannot fold HoldExpired at {HOME}-6"):
        past_of(settings, EVENT, None, ProgressBars(quiet=True))
    with pytest.raises(CannotFold, match="HoldExpired"):
        explain(settings, R1, EVENT, ProgressBars(quiet=True))
    assert past_of(settings, log._ids[0], None, ProgressBars(quiet=True)).facts == 3


def test_a_dispute_of_a_payment_that_no_reservation_is_paid_by_goes_to_the_dead_letters(settings: Settings) -> None:
    stray = dispute(rid=R2, payment="pay-9")
    with Flow(reservations.run, settings):
        write(settings, COMMANDS, [(HOME, CODEC.encode(one), []) for one in (create(), stray, publish())])
        read(settings, FACTS, PARTITIONS_DEFAULT, 3)
        (letter,) = read(settings, dead_letters(COMMANDS), 1, 1)
    headers = dict(letter.headers() or [])
    assert CODEC.decode(letter.value()) == stray
    assert headers["error"] == (
        b"reservations: dispute dp-1 (open) of payment pay-9 is of nothing here: a payment for no reservation"
    )
    assert headers["origin_offset"] == b"1"
    report = check(settings, postgres=False, show=False, bank=False, inbox=False)
    assert report.ok, report.text()
