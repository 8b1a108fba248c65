"""What tests of pages share: an open platform, its operator's token, a buyer and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from ops.run.platform import Platform
from tests.harness import browser as browsers
from tests.harness.shop import Person, Shop, open_shop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs tests in a browser in their module's event loop: the browser belongs to it, and starts once."""
    for item in items:
        if isinstance(item, pytest.Function) and "chromium" in item.fixturenames:
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Platform, Shop]]:
    with open_shop() as found:
        yield found


@pytest.fixture(scope="module")
def shop(opened: tuple[Platform, Shop]) -> Shop:
    return opened[1]


@pytest.fixture(scope="module")
def token(opened: tuple[Platform, Shop]) -> str:
    return opened[0].settings.operator_token or ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with browsers.running() as browser:
        yield browser


@pytest.fixture(scope="module")
def buyer(shop: Shop) -> Person:
    return shop.person()
