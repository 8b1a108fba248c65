"""Operators send facts back from the console: the read side applies them, and the page says what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from confluent_kafka import Message
from playwright.async_api import Browser, expect

from connectors.kafka import producer
from connectors.settings import Settings
from ops.run.platform import Platform
from pipelines.watch.rebuilt_letters import end_rebuilt
from schemas.codec import Codec
from schemas.facts import PaymentRequested, RecordedFact
from schemas.topics import FACTS
from sinks.dead_letters import DeadLetters
from tests.harness import browser as browsers
from tests.harness.browser import DESKTOP, PHONE, barriers, is_too_wide, page_of
from tests.harness.flows import eventually, everything, rows_of
from tests.harness.shop import OnSale, Person, Shop, done, problem

INBOX = 'SELECT partition, "offset", "index", template FROM notifications WHERE user_id = $1 AND partition >= 0'
CHARGES = "SELECT attempt_id, status, amount_minor, payment_id FROM payments WHERE reservation_id = $1"
NOTED = "SELECT detail->>'topic' FROM security_events WHERE kind = 'dead-letter-redriven' ORDER BY id DESC LIMIT 1"


@pytest.fixture(scope="module")
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer())


@pytest.fixture
def stranger(shop: Shop) -> Person:
    """A person with an account, and nothing else."""
    return shop.person()


@pytest.fixture
def lacking(opened: tuple[Platform, Shop], stranger: Person, event: OnSale) -> list[tuple[Any, ...]]:
    """The message that the person lacks: its fact is set aside, as if notifications could not take it."""
    settings = opened[0].settings
    done(stranger.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)
    eventually(lambda: len(rows(settings, INBOX, stranger.id)) == 1, "the hold's message is in the inbox")
    message = rows(settings, INBOX, stranger.id)
    rows(settings, "DELETE FROM notifications WHERE user_id = $1 AND partition >= 0", stranger.id)
    aside = DeadLetters(settings)
    fact = fact_at(everything(settings, FACTS), message[0][:3])
    aside.put(fact, f"notifications: KeyError: {stranger.id}", by="notifications")
    aside.flush()
    return message


def rows(settings: Settings, text: str, *arguments: object) -> list[tuple[Any, ...]]:
    with rows_of(settings) as query:
        return query(text, *arguments)


def fact_at(records: Iterable[Message], position: tuple[int, int, int]) -> Message:
    """The record of the fact at a position: partition and offset of its command, index."""
    for record in records:
        found = Codec().decode(record.value())
        if isinstance(found, RecordedFact):
            at = found.envelope
            if (at.partition, at.offset, at.index) == position:
                return record
    raise AssertionError(position)


def payment_of(records: Iterable[Message], reservation_id: str) -> Message:
    """The record of the fact that asks for a reservation's payment."""
    for record in records:
        found = Codec().decode(record.value())
        fact = found.fact if isinstance(found, RecordedFact) else None
        if isinstance(fact, PaymentRequested) and fact.reservation_id == reservation_id:
            return record
    raise AssertionError(reservation_id)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_a_fact_that_messages_lack_is_applied_again_and_the_page_says_so(
    opened: tuple[Platform, Shop],
    shop: Shop,
    chromium: Browser,
    token: str,
    stranger: Person,
    lacking: list[tuple[Any, ...]],
    *,
    size: browsers.ViewportSize,
) -> None:
    settings = opened[0].settings
    before = len(await asyncio.to_thread(everything, settings, FACTS))
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard#/letters")
        row = page.locator("tbody tr").filter(has_text=stranger.id)
        await expect(row).to_contain_text("open")
        await row.get_by_role("button").click()
        await expect(page.get_by_role("button", name="Apply again")).to_be_visible()
        await expect(page.get_by_role("button", name="Mend and send back")).to_have_count(0)
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        await page.get_by_role("button", name="Apply again").click()
        result = page.get_by_role("status").filter(has_text="Asked for by operator")
        await expect(result).to_contain_text("Applied")
        await expect(row).to_contain_text("applied")
        await expect(page.get_by_role("button", name="Apply again")).to_have_count(0)
        await page.reload()
        await expect(row).to_contain_text("applied")
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []
    assert await asyncio.to_thread(rows, settings, INBOX, stranger.id) == lacking, "the message is there once"
    assert await asyncio.to_thread(rows, settings, NOTED) == [(FACTS,)]
    assert len(await asyncio.to_thread(everything, settings, FACTS)) == before, "nothing is written to the log"


def test_a_payment_that_was_given_up_goes_back_and_is_charged_once(
    opened: tuple[Platform, Shop], shop: Shop, stranger: Person, event: OnSale
) -> None:
    settings = opened[0].settings
    hold = done(stranger.reserve(event.id, ticket_type_id=event.general, quantity=1), 201)["id"]
    done(stranger.confirm(hold), 200)
    aside = DeadLetters(settings)
    aside.put(payment_of(everything(settings, FACTS), hold), f"payment provider: no answer about {hold}")
    aside.flush()

    def letter() -> dict[str, Any]:
        found = done(shop.http.get("/v1/operator/dead-letters", headers=shop.operator), 200)["items"]
        one: dict[str, Any] = next(one for one in found if one["error"].endswith(hold))
        return one

    charges = rows(settings, CHARGES, hold)
    assert letter()["applied_by"] == "payments"
    path = f"/v1/operator/dead-letters/{FACTS}/{letter()['offset']}/redrive"
    done(shop.http.post(path, headers=shop.operator, json={}), 200)
    eventually(lambda: (letter()["redrive"] or {}).get("state") == "applied", "payments has asked again")
    assert rows(settings, CHARGES, hold) == charges
    assert len(charges) == 1
    headers = [dict(one.headers() or []) for one in everything(settings, FACTS)]
    assert all("redriven_from" not in one for one in headers), "no fact is written once more"


def test_a_fact_of_no_branch_does_not_go_back_from_the_console(opened: tuple[Platform, Shop], shop: Shop) -> None:
    settings = opened[0].settings
    aside = DeadLetters(settings)
    aside.put(everything(settings, FACTS)[0], "payment provider: refused")
    aside.flush()
    found = done(shop.http.get("/v1/operator/dead-letters", headers=shop.operator), 200)["items"]
    letter = next(one for one in found if one["error"] == "payment provider: refused")
    path = f"/v1/operator/dead-letters/{FACTS}/{letter['offset']}/redrive"
    refused = problem(shop.http.post(path, headers=shop.operator, json={}), 422, "invalid-request")
    assert f"circle dlq redrive {FACTS} {letter['offset']}" in json.dumps(refused)


def with_rows(settings: Settings) -> Message:
    """A fact on the log that no earlier test has set aside."""
    with rows_of(settings) as query:
        aside = query('SELECT partition, "offset", "index" FROM facts_set_aside')
    codec = Codec()
    for record in everything(settings, FACTS):
        if isinstance(fact := codec.decode(record.value()), RecordedFact):
            at = fact.envelope
            if (at.partition, at.offset, at.index) not in aside:
                return record
    raise AssertionError("every fact is set aside")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
async def test_the_page_says_why_a_fact_does_not_go_back_and_which_command_to_run(
    opened: tuple[Platform, Shop], shop: Shop, chromium: Browser, token: str, *, size: browsers.ViewportSize
) -> None:
    settings = opened[0].settings
    width = size["width"]
    aside = DeadLetters(settings)
    record = await asyncio.to_thread(with_rows, settings)
    aside.put(record, f"projections: KeyError: lacks rows {width}", by="projections")
    aside.flush()
    client = producer(settings)
    client.produce(FACTS, f"no fact {width}".encode(), b"a key", 0)
    client.flush(10)
    rebuild = "circle replay projections --promote"
    async with page_of(chromium, password=token, size=size) as (page, errors):

        async def shown(text: str) -> str:
            await page.goto(f"{shop.url}/dashboard#/overview")
            await page.goto(f"{shop.url}/dashboard#/letters")
            row = page.locator("tbody tr").filter(has_text=text)
            await row.first.get_by_role("button").click()
            await expect(page.get_by_text(rebuild).first).to_be_visible()
            await expect(page.get_by_role("button", name="Apply again")).to_have_count(0)
            await expect(page.get_by_role("button", name="Mend and send back")).to_have_count(0)
            assert await barriers(page) == []
            assert not await is_too_wide(page)
            return await page.inner_text("main")

        lacking = await shown(f"lacks rows {width}")
        assert "needs a rebuild" in lacking
        assert "Rows of later facts rest on them" in lacking
        assert f"circle dlq redrive {FACTS}" not in lacking

        def unreadable() -> dict[str, Any]:
            found = done(shop.http.get("/v1/operator/dead-letters", headers=shop.operator), 200)["items"]
            return next((one for one in found if not one["record"]), {})

        await asyncio.to_thread(eventually, lambda: bool(unreadable()), "the unreadable record is set aside")
        letter = unreadable()
        page_text = await shown(letter["error"])
        assert "This build cannot read the fact" in page_text
        assert f"circle dlq redrive {FACTS} {letter['offset']}" in page_text
        assert errors == []
    rebuilt = await asyncio.to_thread(end_rebuilt, settings)
    assert rebuilt == 1, "no entry says that the fact lacks its rows"
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard#/letters")
        row = page.locator("tbody tr").filter(has_text=f"lacks rows {width}")
        await expect(row).to_contain_text("rows rebuilt")
        await row.get_by_role("button").click()
        await expect(page.get_by_role("status").filter(has_text="The rows were rebuilt")).to_be_visible()
        assert errors == []
