"""One seed's share of the million operations, with every condition that must hold."""

from __future__ import annotations

import gc

from tests.simulation.world import Simulation

OPERATIONS = 1_000_000
SEEDS = (2026, 11, 23, 5)
# A run without one of these cases proves nothing about it.
RARE = (
    "TicketsHeld",
    "ReservationConfirmed",
    "RefundRequested",
    "PaymentDeclined",
    "PaymentRefunded",
    "ReservationCancelled",
    "ReservationRejected",
    "HoldReleased",
    "CommandDuplicated",
    "unreadable",
    "in turn",
)


def a_share_of_the_million(seed: int) -> None:
    """Run it, and replay its log one record at a time."""
    simulation = Simulation(seed)
    gc.disable()  # there are no reference cycles here, and the search for them takes a fifth of the time
    try:
        simulation.run(OPERATIONS // len(SEEDS))
    finally:
        gc.enable()
    assert simulation.replayed() == simulation.digest
    assert all(simulation.counts[what] > 100 for what in RARE), simulation.counts
    assert simulation.counts["reloads"] > 20
    assert len(simulation.observed) > 100
