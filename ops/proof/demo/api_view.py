"""The API's view after the drop, compared with the answers that the buyers got. Over HTTP only."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ops.proof.demo.crowd import House
from ops.proof.demo.tally import OwnTicket, Tally
from ops.proof.load.accounts import Account
from ops.proof.load.http_client import HttpClient
from ops.proof.load.organizer import expect
from schemas.ids import EventId
from schemas.statuses import TicketStatus

AT_ONCE = 16
PAGE = 100
EXAMPLES = 5


@dataclass(slots=True)
class ApiView:
    """The result. `oversold`, `lost` and `duplicates` count places and tickets; `wrong` describes them."""

    tickets: int = 0
    oversold: int = 0
    lost: int = 0
    duplicates: int = 0
    wrong: list[str] = field(default_factory=list)


async def look(client: HttpClient, house: House, accounts: list[Account], tally: Tally) -> ApiView:
    """Availability, the seat map, and every buyer's tickets. Reads only."""
    seen = ApiView()
    path = f"/v1/events/{house.drop.event_id}"
    counters = (await expect(client, 200, "GET", f"{path}/availability"))["items"][0]
    wanted = {"total": house.seats, "available": 0, "held": 0, "sold": house.seats}
    differing = {name: counters[name] for name, number in wanted.items() if counters[name] != number}
    if differing:
        seen.wrong.append(f"availability says {differing}, not {wanted}")
    statuses = Counter(
        seat["status"] for seat in (await expect(client, 200, "GET", f"{path}/seats"))["items"][0]["seats"]
    )
    if statuses != {"sold": house.seats}:
        seen.wrong.append(f"the seat map says {dict(statuses)}")
    compare(await _tickets(client, accounts, tally, house.drop.event_id), tally, house.seats, seen)
    return seen


def compare(listed: list[tuple[str, OwnTicket]], tally: Tally, seats: int, seen: ApiView) -> None:
    """The tickets that the API lists against those that buyers were given. Pure."""
    seen.tickets = len(listed)
    owners = Counter(ticket.seat for _, ticket in listed)
    seen.oversold = sum(count - 1 for count in owners.values()) + max(0, len(owners) - seats)
    seen.duplicates = len(listed) - len({ticket_id for ticket_id, _ in listed})
    by_id = dict(listed)
    lost = [ticket_id for ticket_id, ticket in tally.tickets.items() if by_id.get(ticket_id) != ticket]
    lost += sorted(set(tally.confirmed) - {ticket.reservation_id for _, ticket in listed})
    seen.lost = len(lost)
    if lost:
        seen.wrong.append(f"answered as confirmed, but not listed so: {lost[:EXAMPLES]}")
    twice = [seat for seat, count in owners.items() if count > 1]
    if twice:
        seen.wrong.append(f"seats on two tickets: {twice[:EXAMPLES]}")
    if len(owners) < seats:
        seen.wrong.append(f"{len(owners)} of {seats} seats have a ticket")


async def _tickets(
    client: HttpClient, accounts: list[Account], tally: Tally, event_id: EventId
) -> list[tuple[str, OwnTicket]]:
    """All valid tickets of all buyers who ever had a hold."""
    buyers = {ticket.user_id for ticket in tally.tickets.values()} | set(tally.confirmed.values())
    turns = asyncio.Semaphore(AT_ONCE)

    async def of(account: Account) -> list[tuple[str, OwnTicket]]:
        found: list[tuple[str, OwnTicket]] = []
        cursor = ""
        async with turns:
            while True:
                query = f"/v1/tickets?event_id={event_id}&limit={PAGE}{cursor and '&cursor=' + cursor}"
                page: dict[str, Any] = await expect(client, 200, "GET", query, token=account.token)
                found += [
                    (one["id"], OwnTicket(account.user_id, one["reservation_id"], one["seat"]))
                    for one in page["items"]
                    if one["status"] == TicketStatus.VALID
                ]
                cursor = page["next_cursor"] or ""
                if not cursor:
                    return found

    pages = await asyncio.gather(*(of(account) for account in accounts if account.user_id in buyers))
    return [ticket for page in pages for ticket in page]
