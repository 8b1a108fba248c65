"""An event has SEATS_PER_EVENT_MAX numbered seats at most; older events keep their seats, and may have fewer."""

from __future__ import annotations

from pipelines.reservations.core import former_rules
from pipelines.reservations.core.entities import At
from schemas import commands as c
from schemas import facts as f
from schemas.facts import Fact, Reason
from schemas.ids import LogTime
from tests.harness.words import EVENT, ORGANIZER, T, add_type, created, folded, given, refused, type_added

FULL: list[Fact] = [created(), *(type_added(f"t{n}", n, rows=100, seats_per_row=500) for n in range(2))]
OLDER: list[Fact] = [*FULL, type_added("t2", 2)]  # 18 seats more than an event has now


def resize(type_id: str, rows: int) -> c.UpdateTicketType:
    return c.UpdateTicketType(EVENT, ORGANIZER, "cmd", type_id, rows=rows)


def test_no_further_seats_are_added_to_an_event_that_has_all() -> None:
    detail = "layout has 18 seats, the event 100000 others, and no event more than 100000"
    given(*FULL).when(add_type("more")).then(
        refused(add_type("more"), Reason.INVALID_TICKET_TYPE, detail, field="layout")
    )


def test_general_admission_has_no_seats() -> None:
    floor = {"kind": "general", "rows": 0, "seats_per_row": 0, "capacity": 9}
    given(*FULL).when(add_type("floor", **floor)).then(type_added("floor", 2, **floor))


def test_a_layout_grows_up_to_the_bound() -> None:
    nearly = [created(), *(type_added(f"t{n}", n, rows=99, seats_per_row=500) for n in range(2))]
    assert isinstance(given(*nearly).when(resize("t1", 100)).facts[0], f.TicketTypeUpdated)
    assert isinstance(given(*nearly, type_added("t2", 2, rows=2, seats_per_row=500)).when(resize("t2", 3)).facts[0],
                      f.CommandRefused)  # fmt: skip


def test_what_an_older_event_has_stays_and_may_shrink() -> None:
    assert isinstance(given(*OLDER).when(resize("t2", 4)).facts[0], f.CommandRefused)
    assert isinstance(given(*OLDER).when(resize("t2", 2)).facts[0], f.TicketTypeUpdated)


def test_former_versions_know_no_such_bound() -> None:
    for step in (former_rules.step_1, former_rules.step_2):
        (fact,) = step(folded(*FULL), add_type("more"), At(0, 99, LogTime(T)))
        assert isinstance(fact, f.TicketTypeAdded)
        (fact,) = step(folded(*OLDER), resize("t2", 4), At(0, 99, LogTime(T)))
        assert isinstance(fact, f.TicketTypeUpdated)
