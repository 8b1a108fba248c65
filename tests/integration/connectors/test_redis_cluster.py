"""Each process refuses a Redis Cluster at its start, and so does each client and each command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from connectors import redis_clients
from connectors.errors import UnsuitableService
from connectors.redis_clients import RedisIsACluster
from connectors.settings import Settings
from ops.run.services.process import free_port
from pipelines.flows import Flow
from pipelines.reservations.seat_locks import SeatLocks
from tests.harness.command_line import command_line
from tests.harness.redis_cluster import ClusterNode, redis_cluster

EVENT = "e1"
WHAT_TO_DO = r"is a node of a Redis Cluster.* set CIRCLE_REDIS_URL to a single server"


class Line(asyncio.Protocol):
    """A handed over connection."""

    transport: asyncio.BaseTransport

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set()


@pytest.fixture(scope="module")
def node() -> Iterator[ClusterNode]:
    with redis_cluster() as nodes:
        yield nodes[1]


def test_the_library_alone_would_fail_only_at_some_keys(node: ClusterNode) -> None:
    """Why a cluster is refused at once: one node takes a part of the keys, and the calls of a batch name others."""
    with node.client() as client:
        answers = {str(client.execute_command("CLUSTER", "KEYSLOT", f"circle:{{{n}}}:claims")) for n in range(50)}
    assert len(answers) > 40


def test_each_kind_of_client_refuses_a_cluster_when_it_connects(node: ClusterNode, settings: Settings) -> None:
    async def shared(url: str) -> object:
        client = redis_clients.connect_sharing(url, 2, 1.0)
        try:
            return await client.ping()
        finally:
            await client.aclose()

    async def subscribed(url: str) -> None:
        line = Line()
        stream = await redis_clients.hand_over(url, line, 2.0)
        line.transport.close()
        await line.closed.wait()
        del stream  # it has to live as long as the connection

    with redis_clients.connect(node.url) as client:
        for _ in range(2):  # no second try gets through either
            with pytest.raises(RedisIsACluster, match=WHAT_TO_DO):
                client.ping()
    for ask in (shared, subscribed):
        with pytest.raises(RedisIsACluster, match=WHAT_TO_DO):
            asyncio.run(ask(node.url))
    with pytest.raises(RedisIsACluster, match=WHAT_TO_DO):
        redis_clients.refuse_cluster(node.url)
    assert asyncio.run(shared(settings.redis_url)) is True
    asyncio.run(subscribed(settings.redis_url))


def test_a_single_server_and_one_that_is_away_are_no_cluster(settings: Settings) -> None:
    redis_clients.refuse_cluster(settings.redis_url)
    redis_clients.refuse_cluster(f"redis://127.0.0.1:{free_port()}/0")
    redis_clients.refuse_cluster(settings.redis_url + "?protocol=2")


def test_the_address_in_the_error_has_no_password(node: ClusterNode) -> None:
    with pytest.raises(RedisIsACluster) as caught:
        redis_clients.refuse_cluster(node.url)
    assert node.address in str(caught.value)
    assert node.url.partition("@")[0].rpartition(":")[2] not in str(caught.value)


def test_a_cluster_behind_a_proxy_is_refused_by_its_answers(node: ClusterNode) -> None:
    """A proxy may hide the mode. A script with keys of two slots shows it."""
    with closing(SeatLocks(node.url)) as locks, node.client() as blind:
        locks.client.close()
        locks.client = blind
        with pytest.raises(UnsuitableService, match=WHAT_TO_DO):
            locks.claim({EVENT: 1, "e2": 1}, {EVENT: "0", "e2": "0"}, {EVENT: {}, "e2": {}})


@pytest.mark.parametrize(
    "arguments",
    [
        ("api",),
        *(("pipeline", flow.value) for flow in Flow),
        ("locks", "list", EVENT),
        ("verify",),
        ("replay", "redis"),
    ],
    ids=" ".join,
)
def test_each_process_and_each_command_on_redis_ends_with_what_to_do(
    arguments: tuple[str, ...],
    node: ClusterNode,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    circle = command_line(replace(settings, redis_url=node.url), monkeypatch, capsys)
    code, _ = circle(*arguments)
    said = capsys.readouterr().out
    assert code == UnsuitableService.exit_code, said
    assert "is a node of a Redis Cluster" in said
    assert "set CIRCLE_REDIS_URL to a single server" in said


def test_the_doctor_names_a_cluster(
    node: ClusterNode, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    circle = command_line(replace(settings, redis_url=node.url), monkeypatch, capsys)
    code, checks = circle("doctor", "--json", "--no-start")
    (redis,) = [one for one in checks if one["name"] == "Redis"]
    assert (code, redis["result"]) == (1, "failed")
    assert "set CIRCLE_REDIS_URL to a single server" in redis["detail"]
