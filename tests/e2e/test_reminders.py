"""Workers killed while reminders go out: every holder is reminded once for each date, and the checker finds nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.proof.checker import wait_until_settled
from ops.proof.checker.reading import reader, records
from ops.run.services.stack import Stack
from schemas import commands as c
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import UserId, attempt_id, fingerprint, reservation_id
from schemas.placement import partition_of
from schemas.topics import FACTS
from tests.harness.drop import ORGANIZER, Drop
from tests.harness.flows import eventually, rows_of
from tests.harness.stage import PARTITIONS, Stage

pytestmark = pytest.mark.timeout(180)

HOLDERS = 2_500  # five commands' worth of reminders
ROUNDS_MAX = 4  # dates; a kill may come too late to hit anything


@pytest.fixture(scope="module")
def stage(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(stack, tmp_path_factory.mktemp("workers"), strict=False)
    try:
        yield made.start()
    finally:
        made.close()


def sold_out(stage: Stage) -> tuple[Drop, str]:
    """An event with many holders of one free ticket each."""
    drop = stage.drop(events=1, rows=1)
    (event,) = drop.events
    hall = c.AddTicketType(
        event_id=event,
        user_id=ORGANIZER,
        command_id="hall",
        ticket_type_id="hall",
        name="Hall",
        price_minor=0,
        currency="EUR",
        kind="general",
        rows=0,
        seats_per_row=0,
        capacity=HOLDERS,
        sales_open_at=0,
        sales_close_at=0,
    )
    drop.send(hall)
    for number in range(HOLDERS):
        user = UserId(f"00000000-0000-4000-9000-{number:012}")
        key = reservation_id(user, "one")
        drop.send(
            c.ReserveTickets(
                event_id=event,
                user_id=user,
                command_id=f"r{number}",
                reservation_id=key,
                ticket_type_id="hall",
                quantity=1,
                seats=[],
                fingerprint=fingerprint("hall", 1, []),
            )
        )
        drop.send(
            c.ConfirmReservation(
                event_id=event,
                user_id=user,
                command_id=f"c{number}",
                reservation_id=key,
                attempt_id=attempt_id(key, "pay"),
                payment_token="tok_ok",
            )
        )
    drop.flush()
    wait_until_settled(stage.settings, timeout_s=60)
    return drop, event


def told(stage: Stage, event: str) -> list[tuple[str, int]]:
    """The reminded users and dates, fact by fact. A fact that the embedded broker shows twice counts once."""
    codec, client = stage.drops[-1].codec, reader(stage.settings)
    found: dict[tuple[int, int], tuple[str, int]] = {}
    try:
        for message in records(client, FACTS, partition_of(event, PARTITIONS)):
            one = codec.decode(message.value())
            if isinstance(one, RecordedFact) and isinstance(one.fact, f.HolderNotified):
                found[one.envelope.offset, one.envelope.index] = (one.fact.user_id, one.fact.cause)
    finally:
        client.close()
    return list(found.values())


def test_killed_while_reminders_go_out_every_holder_is_reminded_once(stage: Stage) -> None:
    drop, event = sold_out(stage)
    read_side, _ = stage.others
    delivered = "SELECT count(*) FROM notifications WHERE event_id = $1 AND kind = 'event.reminder'"
    met, date = {"reservations": False, "read-side": False}, 0
    with rows_of(stage.settings) as query:

        def reminded() -> int:
            count: int = query(delivered, event)[0][0]
            return count

        while not all(met.values()):
            assert date < ROUNDS_MAX, f"no kill met reminders under way: {met}"
            former, date = date * HOLDERS, date + 1
            decided = stage.committed()
            drop.send(c.UpdateEvent(event, ORGANIZER, f"date{date}", reminder_at=date))
            drop.flush()
            eventually(lambda decided=decided: stage.committed() > decided, "reminders begin")  # type: ignore[misc]
            stage.reservations.kill()
            met["reservations"] |= sum(cause == date for _, cause in told(stage, event)) < HOLDERS
            stage.reservations.start()
            eventually(lambda former=former: reminded() > former, "the first are delivered")  # type: ignore[misc]
            read_side.kill()
            met["read-side"] |= reminded() < former + HOLDERS
            read_side.start()
            stage.ensure_running()
            eventually(lambda all_of=date * HOLDERS: reminded() >= all_of, "everybody is reminded", 60)  # type: ignore[misc]
        stage.settled(no_holds=False)
        every = told(stage, event)
        assert len(set(every)) == len(every) == date * HOLDERS
        each = f"SELECT min(n), max(n), count(*) FROM ({delivered} GROUP BY user_id) AS of_user (n)"
        assert query(each, event) == [(date, date, HOLDERS)]
