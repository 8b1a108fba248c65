"""The console shows mail and webhook calls as edges of their own: a dead mail server is seen, and so is its return."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from ops.run.platform import Platform
from tests.harness.browser import barriers, is_too_wide, page_of
from tests.harness.hook_server import HookServer
from tests.harness.mail_server import MailServer
from tests.harness.shop import Person, Shop, done, open_shop

pytestmark = pytest.mark.timeout(420)
STALL_MS = 60_000  # ten seconds without a mail, two looks of monitoring, and a slow machine
BACK_MS = 2 * STALL_MS  # a mail is tried again after as long as it has waited already


@pytest.fixture(scope="module")
def mails() -> MailServer:
    """A mail server that does not run yet."""
    return MailServer()


@pytest.fixture(scope="module")
def opened(mails: MailServer) -> Iterator[tuple[Platform, Shop]]:
    with open_shop(CIRCLE_SMTP_URL=mails.url) as found:
        yield found


@pytest.fixture
def held(shop: Shop, buyer: Person) -> Iterator[HookServer]:
    """A hold, which makes a mail and a call of the organizer's webhook."""
    with HookServer() as hooks:
        organizer = shop.organizer()
        done(organizer.post("/v1/webhooks", json={"url": hooks.url}), 201)
        event = shop.event(organizer)
        done(buyer.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
        yield hooks


async def test_a_dead_mail_server_stalls_its_edge_alone_until_it_is_back(
    shop: Shop, chromium: Browser, token: str, mails: MailServer, held: HookServer
) -> None:
    async with page_of(chromium, password=token) as (page, errors):
        await page.goto(f"{shop.url}/dashboard")
        mail, webhook = page.locator("[data-node='mail']"), page.locator("[data-node='webhook']")
        await expect(mail).to_have_class("stalled", timeout=STALL_MS)
        await expect(mail).to_contain_text("Stalled: the oldest waits since")
        await expect(mail).not_to_contain_text("waiting0 messages")
        await expect(webhook).to_have_class("flowing")
        await expect(webhook).to_contain_text("waiting0 messages")
        await expect(webhook).to_contain_text("half / 99 %≤", timeout=STALL_MS)
        assert held.calls
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        with mails:
            await expect(mail).to_have_class("flowing", timeout=BACK_MS)
            await expect(mail).to_contain_text("waiting0 messages")
            await expect(mail).to_contain_text("half / 99 %", timeout=STALL_MS)
        assert mails.taken
        assert errors == []
