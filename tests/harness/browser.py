"""Debian's Chromium, driven by Playwright, on pages of the platform. Axe's rules say whether everybody can use them.

Chromium is found on the PATH, or installed by apt-get where the tests run as root. Where neither works, a test is
skipped, and says so; in a gate it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import axe_playwright_python
from playwright.async_api import Browser, HttpCredentials, Page, ViewportSize, async_playwright, expect

from tests.harness.missing_tools import missing

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
DESKTOP, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
WAIT_MS = 20_000


def chromium() -> str:
    """The path of Chromium. The test ends as `missing` says when there is none and none can be had."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-qq", NAMES[0]], check=False, capture_output=True)
        found = shutil.which(NAMES[0])
    if found is None:
        missing("Chromium is missing: install Debian's package chromium")
    return found


@asynccontextmanager
async def running() -> AsyncIterator[Browser]:
    """A browser without a window."""
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def page_of(
    browser: Browser, *, password: str = "", size: ViewportSize = DESKTOP, dark: bool = False
) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page of a new visitor, and the errors that it reports: of scripts, of the content policy, of loading.

    `password` is the operator's token, as a browser asks for it.
    """
    scheme: Literal["dark", "light"] = "dark" if dark else "light"
    credentials: HttpCredentials | None = {"username": "operator", "password": password} if password else None
    context = await browser.new_context(viewport=size, color_scheme=scheme, http_credentials=credentials)
    context.set_default_timeout(WAIT_MS)
    page, errors = await context.new_page(), list[str]()
    expect.set_options(timeout=WAIT_MS)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    try:
        yield page, errors
    finally:
        await context.close()


async def barriers(page: Page) -> list[str]:
    """What axe finds wrong on a page: each rule with the elements that break it."""
    await page.evaluate(AXE)
    found = (await page.evaluate("axe.run()"))["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found]


async def is_too_wide(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
