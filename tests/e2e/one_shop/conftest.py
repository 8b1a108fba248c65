"""One platform for all tests of this folder: none of them stops a service, and each makes the events that it needs.

A test that counts all records, or needs that no other hold is open, has a platform of its own, one folder higher.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.run.platform import Platform
from tests.harness.shop import Shop, open_shop


@pytest.fixture(scope="package")
def running() -> Iterator[tuple[Platform, Shop]]:
    with open_shop() as opened:
        yield opened


@pytest.fixture(scope="package")
def platform(running: tuple[Platform, Shop]) -> Platform:
    return running[0]


@pytest.fixture(scope="package")
def shop(running: tuple[Platform, Shop]) -> Shop:
    return running[1]
