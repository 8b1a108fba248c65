"""Operators by role sign in to the console, and find there alerts with runbooks, pages of records, one request by its
key, and rows that were set aside. In a real browser, on a desktop and on a phone.
"""

from __future__ import annotations

import asyncio
import json
import re

import pyotp
import pytest
from playwright.async_api import Browser, Page, expect

from api.auth.tokens import Role
from connectors.postgres import connect
from ops.operate.users import enrol, promote, reset_factor
from ops.run.platform import Platform
from schemas.placement import partition_of
from schemas.topics import COMMANDS
from tests.harness import browser as browsers
from tests.harness.browser import DESKTOP, PHONE, barriers, is_too_wide, page_of
from tests.harness.flows import eventually, rows_of, write
from tests.harness.shop import PASSWORD, OnSale, Person, Shop, done, problem

SIZES = (DESKTOP, PHONE)
RELOAD_MS = 60_000  # the API reads from PostgreSQL every 30 s which sessions have ended
ALERT_MS = 40_000  # a look of monitoring, and a slow machine
RECORDS = 120  # more than two pages of 50
LATENCY = re.compile(r"half / 99 %≤ \d+ m?s / ≤ \d")
KEY = "key of the buyer / 7"


@pytest.fixture(scope="module")
def event(shop: Shop) -> OnSale:
    return shop.event(shop.organizer(), max_tickets_per_user=1_000)


@pytest.fixture(scope="module")
def held(buyer: Person, event: OnSale) -> str:
    """A reservation with a key of its own, after more refusals than two pages have, and a purchase."""
    bought = done(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["A-1"]), 201)["id"]
    done(buyer.confirm(bought), 200)
    for _ in range(RECORDS):
        done(buyer.reserve(event.id, ticket_type_id=event.seated, seats=["A-1"]), 409)
    found: str = done(buyer.reserve(event.id, key=KEY, ticket_type_id=event.general, quantity=1), 201)["id"]
    return found


@pytest.fixture
def stranger(shop: Shop) -> Person:
    """A person with an account, and nothing else."""
    return shop.person()


@pytest.fixture
def administrator(opened: tuple[Platform, Shop]) -> tuple[Person, pyotp.TOTP]:
    """An administrator who has not signed in with the second factor yet."""
    platform, shop = opened
    person = shop.person()
    asyncio.run(promote(platform.settings, person.email, Role.ADMIN))
    return person, pyotp.TOTP(asyncio.run(enrol(platform.settings, person.email)).secret)


async def sign_in(page: Page, person: Person, otp: str = "") -> None:
    await page.get_by_label("Mail address").fill(person.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Code of your second factor").fill(otp)
    await page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("size", SIZES)
async def test_an_operator_by_role_signs_in_stays_over_a_reload_and_signs_out(
    shop: Shop, chromium: Browser, administrator: tuple[Person, pyotp.TOTP], held: str, *, size: browsers.ViewportSize
) -> None:
    assert held
    admin, factor = administrator
    async with page_of(chromium, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard/sign-in#/topics")
        assert errors == [], "every file of the page has come"
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        await sign_in(page, admin, factor.now())
        await expect(page.locator("#connection")).to_have_text("live")
        await expect(page.locator("tbody tr").first).to_be_visible()
        for _ in range(2):
            assert await page.evaluate("sessionStorage.length + localStorage.length") == 0, "only during a reload"
            assert await page.context.cookies() == []
            assert "token" not in page.url
            await page.reload()
            await expect(page.locator("#connection")).to_have_text("live")
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_text("You have signed out")).to_be_visible()
        await expect(page.locator("#tabs a")).to_have_count(0)
        await page.reload()
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert errors == []


async def test_a_buyer_is_refused_at_the_sign_in_and_no_password_is_asked_for(
    shop: Shop, chromium: Browser, buyer: Person
) -> None:
    async with page_of(chromium) as (page, errors):
        await page.goto(f"{shop.url}/dashboard/sign-in")
        await sign_in(page, buyer)
        await expect(page.get_by_role("status").filter(has_text="needs the role admin")).to_be_visible()
        await expect(page.locator("#tabs a")).to_have_count(0)
        assert all("403" in one for one in errors), "the browser reports the refusal, and nothing else"


@pytest.mark.parametrize("size", SIZES)
async def test_an_operator_whose_sessions_have_ended_is_signed_out(
    opened: tuple[Platform, Shop],
    chromium: Browser,
    administrator: tuple[Person, pyotp.TOTP],
    *,
    size: browsers.ViewportSize,
) -> None:
    (platform, shop), (admin, factor) = opened, administrator
    async with page_of(chromium, size=size) as (page, _):
        await page.goto(f"{shop.url}/dashboard/sign-in#/groups")
        await sign_in(page, admin, factor.now())
        await expect(page.locator("#connection")).to_have_text("live")
        await reset_factor(platform.settings, admin.email)
        await expect(page.get_by_text("Your session has ended")).to_be_visible(timeout=RELOAD_MS)
        await expect(page.locator("#tabs a")).to_have_count(0)


@pytest.mark.parametrize("size", SIZES)
async def test_an_alert_is_on_top_with_its_runbook_and_later_in_the_history(
    opened: tuple[Platform, Shop],
    shop: Shop,
    chromium: Browser,
    token: str,
    event: OnSale,
    *,
    size: browsers.ViewportSize,
) -> None:
    settings = opened[0].settings
    write(settings, COMMANDS, [(partition_of(event.id, settings.partitions), b"no record of ours", [])])
    mended = {"type": "PublishEvent", "event_id": event.id, "user_id": event.organizer.id, "command_id": "mended"}
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard")
        firing = page.locator("#health .alerts li")
        await expect(firing).to_contain_text("CircleDeadLetters: tickets.commands", timeout=ALERT_MS)
        assert await barriers(page) == []
        await firing.get_by_role("link", name="What to do: CircleDeadLetters").click()
        book = page.locator(".runbook")
        await expect(book.get_by_role("heading", name="CircleDeadLetters")).to_be_visible()
        await expect(book).to_contain_text("A command, a mail, or a payment that was given up: circle dlq redrive")
        rows = page.locator("tbody tr").filter(has_text="CircleDeadLetters: tickets.commands")
        await expect(rows.first).to_contain_text("fires")
        for letter in done(shop.http.get("/v1/operator/dead-letters", headers=shop.operator), 200)["items"]:
            if letter["redriven"]:
                continue
            path = f"/v1/operator/dead-letters/{COMMANDS}/{letter['offset']}/redrive"
            done(shop.http.post(path, headers=shop.operator, json={"edited": mended}), 200)
        await expect(page.locator("#health").get_by_text("No alert fires.")).to_be_visible(timeout=ALERT_MS)
        await expect(rows.first).to_contain_text("resolved")
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []


@pytest.mark.parametrize("size", SIZES)
async def test_each_edge_says_how_long_its_records_take(
    shop: Shop, chromium: Browser, token: str, held: str, *, size: browsers.ViewportSize
) -> None:
    assert held
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard")
        for node in (
            "http",
            "circle.reservations",
            "circle.payments",
            "circle.projections",
            "circle.notifications",
            "circle.monitoring",
        ):
            await expect(page.locator(f"[data-node='{node}']")).to_contain_text(LATENCY)
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []


@pytest.mark.parametrize("size", SIZES)
async def test_records_are_browsed_by_pages_and_partitions_and_exported_whole(
    shop: Shop, chromium: Browser, token: str, event: OnSale, held: str, *, size: browsers.ViewportSize
) -> None:
    assert held
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard#/topics")
        rows, places = page.locator("tbody tr"), page.locator("tbody button")
        await expect(rows.first).to_be_visible()
        await page.get_by_label("Key").fill(event.id)
        await page.get_by_label("Record type").fill("ReservationRejected")
        await page.get_by_role("button", name="Find").click()
        await expect(rows.first).to_contain_text("ReservationRejected")
        await expect(page.get_by_text("page 1")).to_be_visible()
        await expect(rows).to_have_count(50)
        first = await places.all_inner_texts()
        await page.get_by_role("button", name="Next page").click()
        await expect(page.get_by_text("page 2")).to_be_visible()
        second = await places.all_inner_texts()
        await page.get_by_role("button", name="Next page").click()
        await expect(page.get_by_text("page 3")).to_be_visible()
        await expect(rows).to_have_count(RECORDS - 100)
        third = await places.all_inner_texts()
        await expect(page.get_by_role("button", name="Next page")).to_be_disabled()
        offsets = [int(place.partition("-")[2]) for place in [*first, *second, *third]]
        assert offsets == sorted(set(offsets), reverse=True), "each record once, the latest first"
        assert len(offsets) == RECORDS
        await page.get_by_role("button", name="Previous page").click()
        await expect(page.get_by_text("page 2")).to_be_visible()
        assert await places.all_inner_texts() == second
        home = first[0].partition("-")[0]
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_text("page 1")).to_be_visible()
        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="Export as JSON").click()
        file = await (await downloading.value).path()
        exported = json.loads(file.read_text())
        assert [f"{one['partition']}-{one['offset']}" for one in exported] == [*first, *second, *third]
        await page.locator("#partition").select_option(str(1 - int(home)))
        await expect(page.get_by_text("No record matches")).to_be_visible()
        await page.locator("#partition").select_option(home)
        await expect(rows).to_have_count(50)
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []


def test_no_page_of_another_site_writes_with_the_operators_password(shop: Shop, token: str) -> None:
    path, password = "/v1/operator/set-aside-rows/no-row/redrive", ("operator", token)
    own = shop.url.removeprefix("http://")
    for foreign in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                    {"sec-fetch-site": "same-site", "origin": f"http://{own}"}):  # fmt: skip
        problem(shop.http.post(path, auth=password, headers=foreign), 403, "forbidden")
        problem(shop.http.post(path, headers=shop.operator | foreign), 404, "not-found")
        done(shop.http.get("/v1/operator/set-aside-rows", auth=password, headers=foreign), 200)
    for ours in ({}, {"origin": shop.url}, {"sec-fetch-site": "same-origin", "origin": shop.url}):
        problem(shop.http.post(path, auth=password, headers=ours), 404, "not-found")


def test_pages_go_forward_in_time_from_a_moment_on(shop: Shop, event: OnSale, held: str) -> None:
    assert held
    path, query = "/v1/operator/topics/tickets.facts/records", {"since": "2020-01-01T00:00:00Z", "key": event.id}
    seen: list[int] = []
    cursor: str | None = None
    while True:
        more = {"limit": "50"} | ({"cursor": cursor} if cursor else {})
        page = done(shop.http.get(path, headers=shop.operator, params=query | more), 200)
        seen += [one["offset"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert len(seen) > RECORDS
    wrong = shop.http.get(path, headers=shop.operator, params={"cursor": "bm9uZQ"})
    assert wrong.status_code == 422


@pytest.mark.parametrize("size", SIZES)
async def test_one_request_is_followed_by_the_key_that_the_buyer_sent(
    shop: Shop, chromium: Browser, token: str, buyer: Person, held: str, *, size: browsers.ViewportSize
) -> None:
    async with page_of(chromium, password=token, size=size) as (page, errors):
        await page.goto(f"{shop.url}/dashboard#/follow")
        await page.get_by_label("or its Idempotency-Key").fill(KEY)
        await page.get_by_label("and the id of its user").fill(buyer.id)
        await page.get_by_role("button", name="Follow").nth(1).click()
        steps = page.locator(".steps")
        await expect(steps.locator("li").first).to_contain_text("POST /v1/events/<event_id>/reservations")
        for stage in ("ReserveTickets", "TicketsHeld", "reservations held", "ms after the first step"):
            await expect(steps).to_contain_text(stage)
        await page.reload()
        await expect(steps).to_contain_text("TicketsHeld")
        assert held
        assert await barriers(page) == []
        assert not await is_too_wide(page)
        assert errors == []


@pytest.mark.parametrize("size", SIZES)
async def test_a_row_that_was_set_aside_is_sent_back_and_audited(
    opened: tuple[Platform, Shop],
    shop: Shop,
    chromium: Browser,
    token: str,
    stranger: Person,
    *,
    size: browsers.ViewportSize,
) -> None:
    settings, owner = opened[0].settings, stranger
    connection = await connect(settings.postgres_url)
    try:
        row = await connection.fetchval(
            "INSERT INTO direct_messages (user_id, kind, set_aside) VALUES ($1, 'password.changed', 'KeyError') "
            "RETURNING id::text",
            owner.id,
        )
        async with page_of(chromium, password=token, size=size) as (page, errors):
            await page.goto(f"{shop.url}/dashboard#/letters")
            await expect(page.get_by_text("KeyError")).to_be_visible()
            assert await barriers(page) == []
            await page.get_by_role("button", name=f"Send {row} back").click()
            await expect(page.get_by_text(f"{row} is due again")).to_be_visible()
            assert not await is_too_wide(page)
            assert errors == []
        noted = await connection.fetchval(
            "SELECT count(*) FROM security_events WHERE kind = 'dead-letter-redriven' AND detail->>'row' = $1", row
        )
        assert noted == 1
    finally:
        await connection.close()

    def taken() -> None:
        waiting = "SELECT count(*) FROM direct_messages WHERE id::text = $1"
        with rows_of(settings) as query:
            eventually(lambda: query(waiting, row) == [(0,)], "the postman has taken it")

    await asyncio.to_thread(taken)
