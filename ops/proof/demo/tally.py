"""The crowd's requests, answers and tickets. Buyers fill it; progress, checks and report read it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from ops.proof.checker import ToldOutcome
from schemas.ids import ReservationId, TicketId, UserId


class OwnTicket(NamedTuple):
    """A ticket that a buyer was given."""

    user_id: UserId
    reservation_id: ReservationId
    seat: str


@dataclass(slots=True)
class Tally:
    """Counts and times. Times are seconds."""

    outcomes: Counter[str] = field(default_factory=Counter)  # of reservations, by reason
    payments: Counter[str] = field(default_factory=Counter)
    payment_tokens: Counter[str] = field(default_factory=Counter)
    told: list[ToldOutcome] = field(default_factory=list)
    tickets: dict[str, OwnTicket] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)  # reservation to buyer
    to_outcome_s: list[float] = field(default_factory=list)
    to_payment_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # what no buyer should ever see
    first_asked: int = 0  # buyers who had the outcome of their first request
    first_wave_s: float = 0.0  # from the start to the last of those
    walked_away: int = 0
    retried: int = 0  # the same request sent again, after a 503, a 429 or no answer
    sent_twice: int = 0
    available: int = 0
    held: int = 0
    sold: int = 0

    def ticket(self, ticket_id: TicketId, ticket: OwnTicket) -> None:
        """Note a buyer's ticket. A ticket that another buyer has already is noted as wrong."""
        former = self.tickets.setdefault(ticket_id, ticket)
        if former != ticket:
            self.wrong.append(f"ticket {ticket_id} was given to {former.user_id} and to {ticket.user_id}")
