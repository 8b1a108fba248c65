"""Everybody sees at `/status` whether selling works, in a real browser, also while services are away."""

from __future__ import annotations

import json
import time

import httpx
import pytest
import redis
from playwright.async_api import Browser, expect

from connectors.flow_health import DEATHS_MIN, Death, deaths_key
from ops.run.platform import Platform
from tests.harness import browser as browsers
from tests.harness.browser import DESKTOP, PHONE, barriers, is_too_wide, page_of
from tests.harness.flows import eventually
from tests.harness.shop import Shop, done

AWAY_MS = 40_000  # a look of the API, which waits for the service, a look of the page, and a slow machine


def shown(shop: Shop) -> dict[str, object]:
    found: dict[str, object] = done(shop.http.get("/v1/status"), 200)
    return found


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
async def test_everybody_can_read_it_without_an_account(
    shop: Shop, chromium: Browser, *, size: browsers.ViewportSize, dark: bool
) -> None:
    async with page_of(chromium, size=size, dark=dark) as (page, errors):
        await page.goto(f"{shop.url}/status")
        await expect(page.get_by_text("Selling works.")).to_be_visible()
        await expect(page.locator("tr", has_text="PostgreSQL")).to_contain_text("yes")
        await expect(page.locator("tr", has_text="reservations")).to_contain_text("no")
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == [], "also: nothing breaks the content policy"


def test_it_says_nothing_of_sales_or_of_errors(shop: Shop) -> None:
    answer = shop.http.get("/v1/status")
    assert {key for one in done(answer, 200)["services"] for key in one} == {"name", "answers", "since"}
    assert answer.headers["cache-control"] == "no-store"
    policy = httpx.get(f"{shop.url}/status").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy


async def test_the_page_says_that_the_platform_does_not_answer_and_comes_back(shop: Shop, chromium: Browser) -> None:
    async with page_of(chromium) as (page, _):
        await page.goto(f"{shop.url}/status")
        await expect(page.get_by_text("Selling works.")).to_be_visible()
        await page.context.set_offline(True)
        await expect(page.locator("#connection")).to_contain_text("does not answer")
        await expect(page.get_by_text("is unknown")).to_be_visible()
        await expect(page.get_by_text("Selling works.")).to_have_count(0)
        await page.context.set_offline(False)
        await expect(page.get_by_text("Selling works.")).to_be_visible()


async def test_a_service_that_is_away_is_named_and_selling_with_it(
    opened: tuple[Platform, Shop], shop: Shop, chromium: Browser
) -> None:
    stack = opened[0].stack
    before = shown(shop)
    async with page_of(chromium) as (page, errors):
        await page.goto(f"{shop.url}/status")
        stack.valkey.pause()
        try:
            await expect(page.get_by_text("Selling does not work")).to_be_visible(timeout=AWAY_MS)
            await expect(page.locator("tr", has_text="Redis")).to_contain_text("no", timeout=AWAY_MS)
            await expect(page.locator("tr", has_text="reservations")).to_contain_text("unknown")
            assert await barriers(page) == []
        finally:
            stack.valkey.resume()
        await expect(page.get_by_text("Selling works.")).to_be_visible(timeout=AWAY_MS)
        assert errors == []
    after = shown(shop)
    assert str(after["since"]) > str(before["since"]), "selling works again since the service is back"


async def test_a_dataflow_that_keeps_dying_is_named(
    opened: tuple[Platform, Shop], shop: Shop, chromium: Browser
) -> None:
    deaths = [json.dumps({"at": time.time(), "instance": "one", "kind": "Poison"}) for _ in range(DEATHS_MIN)]
    assert set(json.loads(deaths[0])) == set(Death.__struct_fields__)
    with redis.Redis.from_url(opened[0].settings.redis_url) as client:
        client.rpush(deaths_key("payments"), *deaths)
        try:
            async with page_of(chromium) as (page, _):
                await page.goto(f"{shop.url}/status")
                await expect(page.locator("tr", has_text="payments")).to_contain_text("yes", timeout=AWAY_MS)
                await expect(page.get_by_text("Selling works.")).to_be_visible()
                await expect(page.get_by_text("Poison")).to_have_count(0)
        finally:
            client.delete(deaths_key("payments"))
    eventually(lambda: not any(one["keeps_dying"] for one in shown(shop)["dataflows"]), "no flow keeps dying", 30)  # type: ignore[attr-defined]
