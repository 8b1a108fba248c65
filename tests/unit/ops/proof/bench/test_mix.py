"""The same seed preloads the same commands: as many as asked for, and no more places than the house has."""

from collections import Counter

import pytest

from ops.proof.bench.mix import GRANTED, SOLD_OUT, Mix, layout, phase_of, rows_of
from schemas.commands import AddTicketType, ReleaseReservation, ReserveTickets

NOW = 1_800_000_000_000_000


def test_the_same_seed_makes_the_same_commands() -> None:
    one, two = (
        [*mix.setup(), *mix.load(500)] for mix in (Mix(layout(500, 2, 100, 0), now_us=NOW, seed=3) for _ in range(2))
    )
    assert one == two


def test_exactly_as_many_commands_are_made_as_asked_for() -> None:
    assert len(list(Mix(layout(777, 3, 50, 0), now_us=NOW, seed=1).load(777))) == 777


def test_most_commands_are_of_the_granted_phase_and_the_rest_comes_after_it() -> None:
    phases = [phase_of(command.command_id) for command in Mix(layout(4_000, 4, 200, 0), now_us=NOW, seed=1).load(4_000)]
    assert phases == sorted(phases)
    assert 0.5 < Counter(phases)[GRANTED] / len(phases) < 0.9
    assert Counter(phases)[SOLD_OUT] > 0


def test_no_more_places_are_asked_for_in_the_granted_phase_than_there_are() -> None:
    shape = layout(4_000, 4, 200, 0)
    net = 0
    for command in Mix(shape, now_us=NOW, seed=2).load(4_000):
        if isinstance(command, ReserveTickets) and phase_of(command.command_id) == GRANTED:
            assert 1 <= command.quantity <= 4
            net += command.quantity
            last = command
        elif isinstance(command, ReleaseReservation):
            assert command.reservation_id == last.reservation_id
            net -= last.quantity
    assert shape.places <= net < shape.places + 4


@pytest.mark.parametrize("seats", [1, 7, 100, 1_000, 2_000, 10_000, 49_999])
def test_a_section_has_as_many_seats_as_asked_for(seats: int) -> None:
    rows, per_row = rows_of(seats)
    assert rows * per_row == seats


def test_pending_holds_widen_the_house() -> None:
    assert layout(1_000, 1, 100, 1_000).places > layout(1_000, 1, 100, 0).places


def test_setup_adds_every_section_once() -> None:
    mix = Mix(layout(1_000, 2, 100, 0), now_us=NOW, seed=1)
    added = [command.ticket_type_id for command in mix.setup() if isinstance(command, AddTicketType)]
    assert sorted(added) == sorted(section for house in mix.houses for section in house.sections)
