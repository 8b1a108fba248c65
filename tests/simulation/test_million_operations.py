"""A million operations of the pure core: the same log gives the same facts, whatever happens while it is read."""

from __future__ import annotations

import pytest

from tests.simulation.world import Simulation

OPERATIONS = 1_000_000
SEEDS = (2026, 11, 23, 5)

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_core_does_as_the_model_says_and_a_replay_gives_the_same_bytes(seed: int) -> None:
    simulation = Simulation(seed)
    simulation.run(OPERATIONS // len(SEEDS))
    assert simulation.replayed() == simulation.digest
    # A run that did not meet these proves nothing about them.
    rare = ("TicketsHeld", "ReservationConfirmed", "RefundRequested", "PaymentDeclined", "ReservationCancelled")
    rare += ("HoldReleased", "CommandDuplicated", "unreadable", "ReservationRejected", "PaymentRefunded")
    assert all(simulation.counts[what] > 100 for what in rare), simulation.counts
    assert simulation.counts["reloads"] > 20
    assert len(simulation.observed) > 100
