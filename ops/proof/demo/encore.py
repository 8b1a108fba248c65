"""After the drop, a small show: a promo code, a waiting list's offer, a transferred ticket, a refused second scan.

A box of two seats, four people, over HTTP. The module compares each answer with the expected one; the checker reads the
history afterwards like everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ops.proof.load.accounts import Account
from ops.proof.load.http_client import HttpClient
from ops.proof.load.organizer import Organizer, expect
from schemas.money import formatted
from schemas.statuses import CodeKind, WaitlistStatus

PRICE = 4_250
PROMO = "ENCORE"
PROMO_PERCENT = 20
SHOWN_S_MAX = 20.0
LOOK_S = 0.1


@dataclass(slots=True)
class Encore:
    """What happened, a line each, and what went wrong."""

    told: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def note(self, line: str, *, went_well: bool) -> None:
        """Note a line; if it is wrong, it is also a finding."""
        self.told.append(line)
        if not went_well:
            self.wrong.append(f"encore: {line}")


async def play(client: HttpClient, organizer: Organizer, accounts: list[Account]) -> Encore:
    """The whole show. Raises CircleError when a request gets another answer than expected."""
    ada, ben, cleo = accounts[:3]
    seen = Encore()
    box = await organizer.publish(
        "Encore", sections=1, rows=1, seats_per_row=2, hold_ttl_s=600, tickets_per_user_max=2
    )  # fmt: skip
    path, box_type = f"/v1/events/{box.event_id}", box.ticket_type_ids[0]
    code = {"code": PROMO, "kind": CodeKind.PERCENT, "value": PROMO_PERCENT}
    await expect(client, 201, "POST", f"{path}/codes", token=organizer.token, body=code)

    order = {"ticket_type_id": box_type, "quantity": 2, "promo_code": PROMO}
    held = await _ask(client, 201, f"{path}/reservations", ada, order)
    due = 2 * PRICE * (100 - PROMO_PERCENT) // 100
    seen.note(
        f"promo code {PROMO}: 2 seats for {formatted(held['amount'], held['currency'])}",
        went_well=held["amount"] == due,
    )
    bought = await _ask(client, 200, f"/v1/reservations/{held['id']}/confirm", ada, {"payment_token": "tok_ok"})
    first, second = bought["tickets"]

    entry = await _ask(client, 201, f"{path}/waitlist", ben, {"ticket_type_id": box_type, "quantity": 1})
    await _ask(client, 200, f"/v1/reservations/{held['id']}/cancel-tickets", ada, {"ticket_ids": [first["id"]]})
    offered = await _shown(
        client, f"/v1/waitlist/{entry['id']}", ben, lambda one: one["status"] == WaitlistStatus.OFFERED
    )
    mine = await _ask(
        client, 200, f"/v1/reservations/{offered['reservation_id']}/confirm", ben, {"payment_token": "tok_ok"}
    )
    seat = mine["tickets"][0]["seat"]
    seen.note(f"waiting list: {first['seat']} was given back, offered and bought", went_well=seat == first["seat"])

    offer = await _ask(client, 200, f"/v1/tickets/{second['id']}/transfer", ada, {"to": cleo.user_id})
    await _ask(client, 200, f"/v1/transfers/{offer['transfer_id']}/accept", cleo, {})
    ticket = await _shown(client, f"/v1/tickets/{second['id']}", cleo, lambda _: True)
    scans = [
        await client.request(
            "POST", f"{path}/check-ins", token=organizer.token, body={"code": code, "gate": gate}, key=uuid4().hex,
            prefer="wait=30",
        )
        for code, gate in ((second["code"], "north"), (ticket["code"], "north"), (ticket["code"], "south"))
    ]  # fmt: skip
    statuses = [scan.problem or str(scan.status) for scan in scans]
    seen.note(
        f"transfer: {second['seat']}'s former code is {statuses[0]}", went_well=statuses[0] == "ticket-superseded"
    )
    seen.note(f"door: the new code is let in ({statuses[1]})", went_well=scans[1].status in (200, 201))
    refused = scans[2].json()
    again = statuses[2] == "already-checked-in" and (refused.get("first") or {}).get("gate") == "north"
    seen.note(f"second scan: {statuses[2]}, {refused.get('detail', '')}", went_well=again)
    return seen


async def _ask(client: HttpClient, status: int, path: str, who: Account, body: object) -> Any:
    return await expect(client, status, "POST", path, token=who.token, body=body, key=uuid4().hex)


async def _shown(client: HttpClient, path: str, who: Account, ready: Callable[[Any], bool]) -> Any:
    """Wait for rows of another user's act: it is decided on the log at once, and projected a moment later."""
    async with asyncio.timeout(SHOWN_S_MAX):
        while True:
            answer = await client.request("GET", path, token=who.token)
            if answer.status == 200 and ready(shown := answer.json()):
                return shown
            await asyncio.sleep(LOOK_S)
