"""Seat claims: the places of an event that reservations and blocks take, and what a fact changes of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from pipelines.reservations.core import entities as s
from pipelines.reservations.core.state import EventState
from schemas import facts as f
from schemas.ids import BlockId, ReservationId, TicketTypeId
from schemas.statuses import ClaimStatus, ReservationStatus

HELD: Final = ClaimStatus.HELD  # a name of this module is read faster than a member

Claim = (
    tuple[Literal[ClaimStatus.HELD, ClaimStatus.CONFIRMED], ReservationId]
    | tuple[Literal[ClaimStatus.BLOCKED], BlockId]
)
Claims = dict[str, Claim | None]
"""Place ("ticket_type_id/seat", or "ticket_type_id/#reservation_id" for general admission) to status and reservation,
or to blocked and the block; None where a claim ends."""

_CLAIM_OF: dict[str, Literal[ClaimStatus.HELD, ClaimStatus.CONFIRMED]] = {
    ReservationStatus.HELD: ClaimStatus.HELD,
    ReservationStatus.CONFIRMED: ClaimStatus.CONFIRMED,
}


def live_claims(state: EventState) -> Claims:
    """Every live claim of an event, as `Group.claims` has them."""
    claims: Claims = {}
    for one in state.reservations.values():
        if one.status in s.LIVE:
            for place in places(one.ticket_type_id, one.id, one.seats):
                claims[place] = (_CLAIM_OF[one.status], one.id)
    for block in state.blocks.values():
        for place in places(block.ticket_type_id, block.id, block.seats):
            claims[place] = (ClaimStatus.BLOCKED, block.id)
    return claims


def places(ticket_type_id: TicketTypeId, owner: ReservationId | BlockId, seats: list[str]) -> list[str]:
    """The places that a reservation or a block claims: its seats, or one place of its own for general admission."""
    if seats:
        return [f"{ticket_type_id}/{seat}" for seat in seats]
    return [f"{ticket_type_id}/#{owner}"]


def _claim(claims: Claims, fact: f.TicketsHeld | f.HoldReacquired) -> None:
    claim: Claim = (HELD, fact.reservation_id)  # one for all its places, so that its text is made once
    for place in places(fact.ticket_type_id, fact.reservation_id, fact.seats):
        claims[place] = claim


def _sell(claims: Claims, fact: f.ReservationConfirmed) -> None:
    claim: Claim = (ClaimStatus.CONFIRMED, fact.reservation_id)
    for place in places(fact.ticket_type_id, fact.reservation_id, fact.seats):
        claims[place] = claim


def _end(claims: Claims, fact: f.HoldExpired | f.HoldReleased | f.ReservationCancelled) -> None:
    for place in places(fact.ticket_type_id, fact.reservation_id, fact.seats):
        claims[place] = None


def _some_end(claims: Claims, fact: f.TicketsCancelled) -> None:
    for seat in fact.seats:  # a general admission keeps its one place while any ticket of it is left
        claims[f"{fact.ticket_type_id}/{seat}"] = None


def _block(claims: Claims, fact: f.SeatsBlocked) -> None:
    for place in places(fact.ticket_type_id, fact.block_id, fact.seats):
        claims[place] = (ClaimStatus.BLOCKED, fact.block_id)


CLAIMED_ANEW = (f.HoldExtended, f.SeatsUnblocked)
"""Facts whose claims follow from the state, too."""

CLAIMS_OF: dict[type[f.Fact], Callable[..., None]] = {
    f.TicketsHeld: _claim,
    f.HoldReacquired: _claim,
    f.ReservationConfirmed: _sell,
    f.HoldExpired: _end,
    f.HoldReleased: _end,
    f.ReservationCancelled: _end,
    f.TicketsCancelled: _some_end,
    f.SeatsBlocked: _block,
}
"""By a fact's type: how it changes the claims of its event."""
