"""Three nodes of Valkey which share the slots: a Redis Cluster, which the platform refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis

from ops.run.services.process import free_port, port_answers
from ops.run.services.valkey import Valkey
from tests.harness.flows import eventually

SLOTS = 16_384
NODES = 3


class ClusterNode(Valkey):
    """One node. Our own clients refuse it, so it counts as started when its port answers.

    Its port for other nodes is a free one: the default, 10,000 above the first, may be another program's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bus = free_port()

    def _options(self) -> dict[str, str]:
        own = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "cluster-port": str(self.bus)}
        return super()._options() | own

    def probe(self) -> bool:
        return port_answers(self.port)

    def client(self) -> redis.Redis:
        """A client of the library, without our refusal."""
        made: redis.Redis = redis.Redis.from_url(self.url, decode_responses=True)
        return made


@contextmanager
def redis_cluster() -> Iterator[list[ClusterNode]]:
    """A cluster in which every slot is served."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(ClusterNode()) for _ in range(NODES)]
        clients = [stack.enter_context(node.client()) for node in nodes]
        for number, client in enumerate(clients):
            first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in nodes[1:]:
            host, port = node.address.split(":")
            clients[0].execute_command("CLUSTER", "MEET", host, port, node.bus)
        eventually(
            lambda: all("cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO")) for client in clients),
            "each node serves the whole cluster",
            30,
        )
        yield nodes
