"""Facts to counts. Pure. Every fact is counted by its type; facts about places and refusals also by their meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from schemas import facts as f
from schemas.facts import RecordedFact

FACT, PLACES, REFUSED = "fact", "places", "refused"
HELD, SOLD, FREED = "held", "sold", "freed"
LABEL_CHARS_MAX = 100  # a reason is a word; any other text must still fit into an index
PLACES_OF: dict[type[f.Fact], str] = {
    f.TicketsHeld: HELD,
    f.ReservationConfirmed: SOLD,
    f.HoldExpired: FREED,
    f.HoldReleased: FREED,
    f.ReservationCancelled: FREED,
    f.TicketsCancelled: FREED,
}
REFUSALS = (f.ReservationRejected, f.CommandRefused, f.ConfirmationRefused)


class Series(NamedTuple):
    """A counted series: facts by type, places by outcome, or refusals by reason."""

    partition: int
    measure: str
    label: str


def tally(facts: Iterable[RecordedFact]) -> Counter[Series]:
    """How much the facts add to each series."""
    counts: Counter[Series] = Counter()
    for recorded in facts:
        fact, partition = recorded.fact, recorded.envelope.partition
        counts[Series(partition, FACT, type(fact).__name__)] += 1
        places = PLACES_OF.get(type(fact))
        if places is not None:
            counts[Series(partition, PLACES, places)] += _places(fact)
        if isinstance(fact, REFUSALS):
            counts[Series(partition, REFUSED, str(fact.reason)[:LABEL_CHARS_MAX])] += 1
    return counts


def _places(fact: f.Fact) -> int:
    """How many places a fact is about: its quantity, else its tickets."""
    quantity: int = getattr(fact, "quantity", 0) or len(getattr(fact, "ticket_ids", ()))
    return quantity
