"""Hosts whose clocks differ by minutes sell as others do: the brokers' time decides, and each key has one outcome."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import httpx
import pytest

from tests.harness import hosts
from tests.harness.buyers import buyers
from tests.harness.machines import API_PORT, Machines
from tests.harness.shop import done

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


@pytest.mark.timeout(120)
def test_a_stream_ticket_of_one_api_host_opens_its_stream_once_through_the_other(machines: Machines) -> None:
    path = "/v1/notifications/stream"
    apis = [f"http://{one.host.address}:{API_PORT}" for one in machines.of("api")]
    with buyers(machines) as people:
        for issuer, opener in permutations(apis):
            issued = httpx.post(f"{issuer}/v1/streams/tickets", json={"path": path}, headers=people.person().headers)
            ticket = {"ticket": done(issued, 201)["ticket"]}
            with httpx.stream("GET", opener + path, params=ticket) as stream:
                assert stream.status_code == 200, stream.read()
            for api in apis:
                assert httpx.get(api + path, params=ticket).status_code == 401
