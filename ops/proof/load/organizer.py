"""An organizer over HTTP, step by step as a person would: an account, the role, an event, ticket types, publication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from connectors.errors import CircleError
from ops.proof.load.http_client import HttpClient
from schemas.ids import EventId, TicketTypeId
from schemas.statuses import EventStage, LayoutKind

CURRENCY = "EUR"
PASSWORD = "correct-horse-7"  # noqa: S105 - of an account that lives as long as its stack


class Drop(NamedTuple):
    """An event on sale."""

    event_id: EventId
    ticket_type_ids: list[TicketTypeId]


class Organizer:
    """An organizer who is logged in. Make one with `Organizer.join`."""

    def __init__(self, client: HttpClient, token: str) -> None:
        self._client, self.token = client, token

    @classmethod
    async def join(cls, client: HttpClient) -> Organizer:
        """Registers, logs in and becomes an organizer."""
        email = f"organizer-{uuid4().hex}@example.org"
        account = {"email": email, "password": PASSWORD, "name": "Olga Organizer"}
        await expect(client, 201, "POST", "/v1/auth/register", body=account)
        login = {"email": email, "password": PASSWORD}
        tokens = await expect(client, 200, "POST", "/v1/auth/login", body=login)
        made = await expect(client, 200, "POST", "/v1/users/me/become-organizer", token=tokens["access_token"])
        return cls(client, made["access_token"])

    async def publish(
        self, title: str, *, sections: int, rows: int, seats_per_row: int, hold_ttl_s: int, tickets_per_user_max: int,
        capacity: int = 0,
    ) -> Drop:  # fmt: skip
        """A published event with seated sections, or with sections of so much general `capacity` each."""
        starts_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
        event = await self._ask(
            201, "POST", "/v1/events",
            body={
                "title": title,
                "venue": "Round Hall",
                "starts_at": starts_at.isoformat(),
                "ends_at": (starts_at + timedelta(hours=3)).isoformat(),
                "timezone": "Europe/Vienna",
                "hold_ttl_s": hold_ttl_s,
                "max_tickets_per_user": tickets_per_user_max,
            },
        )  # fmt: skip
        path = f"/v1/events/{event['id']}"
        seated = {"kind": LayoutKind.SEATED, "rows": rows, "seats_per_row": seats_per_row}
        layout = {"kind": LayoutKind.GENERAL, "capacity": capacity} if capacity else seated
        ticket_types = [
            await self._ask(
                201, "POST", f"{path}/ticket-types",
                body={"name": f"Section {n}", "price": {"amount": 4_250, "currency": CURRENCY}, "layout": layout},
            )
            for n in range(1, sections + 1)
        ]  # fmt: skip
        published = await self._ask(200, "POST", f"{path}/publish")
        if published["status"] != EventStage.PUBLISHED:
            raise CircleError(f"event {event['id']} is {published['status']} after its publication")
        return Drop(event["id"], [one["id"] for one in ticket_types])

    async def _ask(self, status: int, method: str, path: str, *, body: object = None) -> Any:
        key = uuid4().hex if method == "POST" else ""
        return await expect(self._client, status, method, path, token=self.token, body=body, key=key)


async def expect(
    client: HttpClient, status: int, method: str, path: str, *, token: str = "", body: object = None, key: str = ""
) -> Any:
    """The answer's JSON. Raises CircleError that names the request when its status is another."""
    answer = await client.request(method, path, token=token, body=body, key=key, prefer="wait=30")
    if answer.status != status:
        text = answer.body.decode(errors="replace")[:300]
        raise CircleError(f"{method} {path} answered {answer.status}, not {status}: {text}")
    return answer.json()
