"""People and events over HTTP: the shortest way to a caller, an event on sale, a reservation."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pyotp

from api.auth.tokens import Role
from connectors.settings import Settings
from ops.operate.users import enrol, promote, verify
from ops.run.platform import Platform
from tests.harness.plain_http import PLAIN

PASSWORD = "correct-horse-7"
EVENT = {
    "title": "Night of the open circle",
    "description": "An evening.",
    "venue": "Great Hall",
    "starts_at": "2030-05-01T20:00:00+02:00",
    "ends_at": "2030-05-01T23:00:00+02:00",
    "timezone": "Europe/Vienna",
    "sales_open_at": "2020-01-01T00:00:00Z",
    "sales_close_at": "2030-05-01T18:00:00Z",
    "hold_ttl_s": 600,
    "max_tickets_per_user": 6,
}
SEATED = {
    "name": "Stalls",
    "price": {"amount": 4250, "currency": "EUR"},
    "layout": {"kind": "seated", "rows": 4, "seats_per_row": 10},
}
GENERAL = {
    "name": "Floor",
    "price": {"amount": 1500, "currency": "EUR"},
    "layout": {"kind": "general", "capacity": 100},
}


@dataclass(frozen=True)
class Person:
    """A caller with an account."""

    http: httpx.Client
    id: str
    email: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access_token}"}

    def call(
        self, method: str, path: str, *, key: str | bytes | None = None, prefer: str | None = None, **options: Any
    ) -> httpx.Response:
        headers: dict[str, str | bytes] = self.headers | options.pop("headers", {})
        if key is not None:
            headers["idempotency-key"] = key
        if prefer is not None:
            headers["prefer"] = prefer
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.call("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.call("POST", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.call("DELETE", path, **options)

    def reserve(
        self, event_id: str, *, key: str | None = None, prefer: str | None = "wait=10", **body: Any
    ) -> httpx.Response:
        return self.post(f"/v1/events/{event_id}/reservations", key=key or unique(), prefer=prefer, json=body)

    def confirm(self, reservation_id: str, token: str = "tok_ok", *, key: str | None = None) -> httpx.Response:
        path = f"/v1/reservations/{reservation_id}/confirm"
        return self.post(path, key=key or unique(), prefer="wait=20", json={"payment_token": token})


@dataclass(frozen=True)
class OnSale:
    """A published event with one seated and one general ticket type."""

    id: str
    seated: str
    general: str
    organizer: Person


class Shop:
    """A running platform, seen through HTTP."""

    def __init__(self, url: str, settings: Settings | None = None) -> None:
        self.url, self._settings = url, settings
        self.operator = {"authorization": f"Bearer {settings.operator_token if settings is not None else ''}"}
        self.http = httpx.Client(base_url=url, timeout=40, verify=PLAIN)

    def person(self, email: str = "", *, verified: bool = True) -> Person:
        """A new buyer. If this knows the platform, an operator has verified their address."""
        email = email or f"{uuid.uuid4().hex}@example.org"
        account = {"email": email, "password": PASSWORD, "name": "Ada"}
        user = done(self.http.post("/v1/auth/register", json=account), 201)
        tokens = done(self.http.post("/v1/auth/login", json={"email": email, "password": PASSWORD}), 200)
        if verified and self._settings is not None:
            asyncio.run(verify(self._settings, email))
        return Person(
            http=self.http,
            id=user["id"],
            email=email,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
        )

    def organizer(self) -> Person:
        """A new organizer."""
        person = self.person()
        token = done(person.post("/v1/users/me/become-organizer"), 200)["access_token"]
        return Person(
            http=self.http, id=person.id, email=person.email, access_token=token, refresh_token=person.refresh_token
        )

    def admin(self) -> Person:
        """A new administrator, made by the operator, with the second factor that an administrator needs."""
        assert self._settings is not None
        person = self.person()
        asyncio.run(promote(self._settings, person.email, Role.ADMIN))
        secret = asyncio.run(enrol(self._settings, person.email)).secret
        login = {"email": person.email, "password": PASSWORD, "otp": pyotp.TOTP(secret).now()}
        tokens = done(self.http.post("/v1/auth/login", json=login), 200)
        return Person(
            http=self.http,
            id=person.id,
            email=person.email,
            access_token=tokens["access_token"],
            refresh_token=tokens["refresh_token"],
        )

    def event(self, organizer: Person, *, publish: bool = True, prefer: str = "wait=20", **changes: Any) -> OnSale:
        """An event of `organizer`, on sale by default. Each step waits for its decision as `prefer` says."""
        event_id = done(organizer.post("/v1/events", prefer=prefer, json=EVENT | changes), 201)["id"]
        types = [
            done(organizer.post(f"/v1/events/{event_id}/ticket-types", prefer=prefer, json=body), 201)["id"]
            for body in (SEATED, GENERAL)
        ]
        if publish:
            done(organizer.post(f"/v1/events/{event_id}/publish", prefer=prefer), 200)
        return OnSale(event_id, *types, organizer)


@contextmanager
def open_shop(**env: str) -> Iterator[tuple[Platform, Shop]]:
    """The whole platform, embedded, with rate limits off by default (see `env`)."""
    with Platform(env={"CIRCLE_RATE_LIMIT_SCALE": "0"} | env) as platform:
        shop = Shop(platform.url, platform.settings)
        try:
            yield platform, shop
        finally:
            shop.http.close()


def done(response: httpx.Response, status: int) -> Any:
    """The answer's JSON, after a check of its status."""
    assert response.status_code == status, f"{response.request.method} {response.request.url}: {response.text}"
    return response.json()


def problem(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document, after a check of its shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"/problems/{slug}", document
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return document


def unique() -> str:
    """A new key."""
    return uuid.uuid4().hex
