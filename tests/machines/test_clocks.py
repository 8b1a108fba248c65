"""Hosts whose clocks differ by minutes sell as others do: the brokers' time decides, and each key has one outcome."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import hosts
from tests.harness.buyers import buyers
from tests.harness.machines import Machines

CLOCKS_S = {
    "worker-1": 180,
    "worker-2": -180,
    "api-1": 120,
    "api-2": -120,
    "read-1": -150,
    "redis": 90,
    "payments": 60,
}


@pytest.fixture(scope="module")
def machines(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    if hosts.clock_library() is None:
        pytest.skip("a clock of its own needs a C compiler")
    with Machines(tmp_path_factory.mktemp("clocks"), clocks_s=CLOCKS_S) as running:
        yield running


@pytest.mark.timeout(600)
def test_a_drop_over_hosts_whose_clocks_differ_by_minutes(machines: Machines) -> None:
    with buyers(machines) as people:
        with people.buying():
            people.wait_bought(150)
        told = people.check_answers()
    machines.settled(told)
