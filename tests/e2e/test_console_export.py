"""The console shows the export of messages as an edge of its own, where it is switched on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from ops.run.platform import Platform
from tests.harness import browser as browsers
from tests.harness.browser import DESKTOP, PHONE, barriers, is_too_wide, page_of
from tests.harness.shop import Person, Shop, done, open_shop

REPORT_MS = 30_000  # a report of ages, a look of monitoring, and a slow machine


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Platform, Shop]]:
    with open_shop(CIRCLE_EXPORT_NOTIFICATIONS="on") as found:
        yield found


@pytest.fixture
def exported(shop: Shop, buyer: Person) -> str:
    """A hold, whose message is exported."""
    event = shop.event(shop.organizer())
    found: str = done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_the_export_has_its_edge_with_rate_lag_and_latency(
    shop: Shop, chromium: Browser, token: str, exported: str, *, size: browsers.ViewportSize
) -> None:
    assert exported
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard")
        edge = page.locator("[data-node='export']")
        await expect(edge).to_contain_text("messages → notifications.outbound", timeout=REPORT_MS)
        await expect(edge).to_contain_text("half / 99 %≤", timeout=REPORT_MS)
        await expect(edge).to_contain_text("waiting0 messages")
        await expect(edge).to_have_class("flowing")
        await expect(page.locator(".topology > li")).to_have_count(11)
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []
