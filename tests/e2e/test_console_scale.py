"""The console with 10,000 events, with a seat map of 50,000 seats, and while each single service is away.

In a real browser. Bytes are counted where the browser gets them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from ops.run.platform import Platform
from tests.harness import browser as browsers
from tests.harness.browser import DESKTOP, PHONE, barriers, is_too_wide, page_of
from tests.harness.drop import Drop
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import SEATED, OnSale, Person, Shop, done, unique

EVENTS = 10_000
ARENA = SEATED | {"name": "Arena", "layout": {"kind": "seated", "rows": 125, "seats_per_row": 400}}
SEATS = 50_000
WHOLE_BYTES_MAX = 60_000  # a byte for each seat, and its frame
CHANGE_BYTES_MAX = 2_000  # of some seats
AWAY_MS = 40_000  # the API's own limits for an answer, twice
NAMES = {"kafka": "Kafka", "postgres": "PostgreSQL", "redis": "Redis"}
VIEWS = ("#/overview", "#/alerts", "#/events", "#/topics", "#/groups", "#/follow", "#/letters", "#/requests")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def arena(shop: Shop) -> tuple[OnSale, str]:
    """An event with a section of 50,000 seats, and that section."""
    event = shop.event(shop.organizer(), max_tickets_per_user=200)
    path = f"/v1/events/{event.id}/ticket-types"
    return event, done(event.organizer.post(path, prefer="wait=20", json=ARENA), 201)["id"]


@pytest.fixture
def sought(shop: Shop) -> str:
    """The title of one event more."""
    title = f"Evening of {unique()}"
    shop.event(shop.organizer(), title=title)
    return title


class Received:
    """The bytes of the seats' stream as the browser gets them, and how often they came."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._of: set[str] = set()

    async def watch(self, page: Page) -> CDPSession:
        """Count from now on."""
        session = await page.context.new_cdp_session(page)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.dataReceived", self._came)
        await session.send("Network.enable")
        return session

    def _answered(self, event: dict[str, Any]) -> None:
        if event["response"]["url"].endswith("/seats/stream"):
            self._of.add(event["requestId"])

    def _came(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self._of:
            self.sizes.append(event["dataLength"])


@pytest.mark.long
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_map_of_fifty_thousand_seats_comes_once_and_then_its_changes(
    shop: Shop, chromium: Browser, token: str, arena: tuple[OnSale, str], buyer: Person, *, size: browsers.ViewportSize
) -> None:
    (event, section), received = arena, Received()
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await received.watch(page)
        await page.goto(f"{shop.url}/dashboard#/events/{event.id}")
        canvas = page.get_by_role("img", name="Seat map of Arena")
        await expect(canvas).to_be_visible()
        before = int(await canvas.get_attribute("data-held") or 0)
        whole = sum(received.sizes)
        assert SEATS < whole < WHOLE_BYTES_MAX
        held = await asyncio.to_thread(lambda: done(buyer.reserve(event.id, ticket_type_id=section, quantity=6), 201))
        await expect(canvas).to_have_attribute("data-held", str(before + 6))
        await asyncio.to_thread(lambda: done(buyer.confirm(held["id"]), 200))
        await expect(canvas).to_have_attribute("data-held", str(before))
        assert 0 < sum(received.sizes) - whole < CHANGE_BYTES_MAX, "only what has changed"
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []


@pytest.fixture(scope="module")
def ten_thousand(opened: tuple[Platform, Shop]) -> None:
    """Events on sale, made by commands."""
    settings = opened[0].settings
    Drop(settings, events=EVENTS, rows=1).open()
    with rows_of(settings) as query:
        eventually(
            lambda: query("SELECT count(*) FROM events WHERE status = 'published'")[0][0] >= EVENTS, "the rows", 240
        )


@pytest.mark.long
@pytest.mark.usefixtures("ten_thousand")
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_among_ten_thousand_events_one_is_found(
    shop: Shop, chromium: Browser, token: str, sought: str, *, size: browsers.ViewportSize
) -> None:
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard#/events")
        items = page.locator("ul.list li")
        await expect(items).to_have_count(20)
        await page.get_by_role("button", name="Show more").click()
        await expect(items).to_have_count(40)
        await page.get_by_label("Search events").fill(sought)
        await expect(items).to_have_count(1)
        await items.get_by_role("button").click()
        await expect(page.get_by_role("heading", name=sought)).to_be_visible()
        await expect(page.locator("[data-type]").first).to_be_visible()
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []


@pytest.mark.parametrize(("name", "size"), [("kafka", DESKTOP), ("postgres", PHONE), ("redis", DESKTOP)])
async def test_the_console_says_which_service_is_away_and_comes_back(
    opened: tuple[Platform, Shop],
    shop: Shop,
    chromium: Browser,
    token: str,
    arena: tuple[OnSale, str],
    *,
    name: str,
    size: browsers.ViewportSize,
) -> None:
    stack = opened[0].stack
    service = {"kafka": stack.kafka, "postgres": stack.postgres, "redis": stack.valkey}[name]
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard")
        chip = page.locator("#health .chips li").filter(has_text=NAMES[name])
        await expect(chip).to_have_text(f"{NAMES[name]} answers")
        await asyncio.to_thread(service.pause)
        try:
            await expect(chip).to_contain_text("does not answer", timeout=AWAY_MS)
            for view in VIEWS:
                await page.goto(f"{shop.url}/dashboard{view}")
                await expect(page.locator("#content h2").first).to_be_visible()
                await expect(page.locator("#connection")).to_have_text("live")
            assert [one for one in errors if "status of 5" not in one] == [], "no script breaks"
            assert await barriers(page) == []
        finally:
            await asyncio.to_thread(service.resume)
        await expect(chip).to_have_text(f"{NAMES[name]} answers", timeout=AWAY_MS)
        for view, awaited in (("#/topics", "tbody tr"), ("#/events", "ul.list li"), ("#/groups", "tbody tr")):
            await page.goto(f"{shop.url}/dashboard{view}")
            await expect(page.locator(awaited).first).to_be_visible(timeout=AWAY_MS)
