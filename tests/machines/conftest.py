"""The tier of more machines than one: hosts as network namespaces. It says why it skips where they cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import hosts
from tests.harness.machines import Machines


@pytest.fixture(scope="session")
def possible() -> None:
    """Skips the test where this machine can have no hosts, or no Apache Kafka."""
    why = hosts.why_none() or hosts.why_no_brokers()
    if why is not None:
        pytest.skip(why)


@pytest.fixture(scope="module")
def machines(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Three brokers, two API hosts behind a proxy, three workers, two read sides, payments, PostgreSQL and Redis."""
    with Machines(tmp_path_factory.mktemp("machines")) as running:
        yield running
