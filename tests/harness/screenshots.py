"""Makes the pictures of the console that the guide shows: `make screenshots`. A small drop on a platform of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import expect

from tests.harness.browser import DESKTOP, PHONE, page_of, running
from tests.harness.flows import eventually
from tests.harness.hook_server import HookServer
from tests.harness.mail_server import MailServer
from tests.harness.shop import SEATED, OnSale, Shop, done, open_shop

PICTURES = Path(__file__).parents[2] / "ops" / "docs" / "guide" / "console"
LAYOUT = {"kind": "seated", "rows": 20, "seats_per_row": 30}
PURCHASES = 60
SAMPLES = 12  # a minute of figures


def main() -> None:
    """Sell, and take the pictures."""
    with MailServer() as mails, HookServer() as hooks, open_shop(CIRCLE_SMTP_URL=mails.url) as (platform, shop):
        event, reservation = sold(shop, hooks.url)
        path = "/v1/operator/figures"
        eventually(
            lambda: len(done(shop.http.get(path, headers=shop.operator), 200)["samples"]) >= SAMPLES, "figures", 120
        )
        asyncio.run(pictures(shop, platform.settings.operator_token or "", event, reservation))


def sold(shop: Shop, hook: str) -> tuple[OnSale, str]:
    """An event that is partly sold, and a reservation that was refused. Webhook calls go to `hook`."""
    organizer = shop.organizer()
    done(organizer.post("/v1/webhooks", json={"url": hook}), 201)
    event = shop.event(organizer, title="Night of the open circle", max_tickets_per_user=200)
    body = SEATED | {"name": "Balcony", "layout": LAYOUT}
    balcony = done(event.organizer.post(f"/v1/events/{event.id}/ticket-types", prefer="wait=20", json=body), 201)["id"]
    buyers = [shop.person() for _ in range(4)]
    for number in range(PURCHASES):
        buyer = buyers[number % len(buyers)]
        held = done(buyer.reserve(event.id, ticket_type_id=balcony, quantity=4 + number % 3), 201)
        if number % 4:
            done(buyer.confirm(held["id"]), 200)
    for buyer in buyers:
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=10), 201)
    refused = [one.reserve(event.id, ticket_type_id=event.seated, seats=["A-1"]) for one in buyers][-1]
    return event, str(refused.json()["reservation_id"])


async def pictures(shop: Shop, token: str, event: OnSale, reservation: str) -> None:
    """One file for each view, in the light and in the dark, on a desktop and on a phone."""
    PICTURES.mkdir(exist_ok=True)
    views = (
        ("overview", "#/overview", DESKTOP, False, "svg.chart"),
        ("drop", f"#/events/{event.id}", DESKTOP, True, "tbody tr"),
        ("topics", "#/topics", DESKTOP, False, "tbody tr"),
        ("follow", f"#/follow/{reservation}", DESKTOP, False, ".steps li"),
        ("phone", f"#/events/{event.id}", PHONE, False, "tbody tr"),
    )
    async with running() as browser:
        for name, view, size, dark, awaited in views:
            async with page_of(browser, password=token, size=size, dark=dark) as (page, _):
                await page.goto(f"{shop.url}/dashboard{view}")
                await expect(page.locator("#connection")).to_have_text("live")
                await expect(page.locator(awaited).first).to_be_visible()
                await expect(page.locator(".chips li").first).to_be_visible()
                if name == "overview":
                    await expect(page.locator("[data-node=commands]")).not_to_contain_text("–")
                await page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
