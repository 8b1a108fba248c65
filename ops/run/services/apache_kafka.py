"""Apache Kafka 4 on the JVM, in KRaft mode, one or three nodes, from jars that Maven resolved.

Tests prove durability, fencing and transactions on this broker. Logs are in the data directory and survive `kill -9`. A
node restarts on the same port. Timers are set for quick tests, and sizes for a small machine.
"""

import base64
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from connectors import temporary_directories
from connectors.errors import ServiceUnreachable
from ops.run.services import kafka_jars
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.place import HERE, ServicePlace
from ops.run.services.process import Service, free_port, log_tail, port_answers, spawn, wait_for

HEAP_MB = 512
FORMAT_TIMEOUT_S = 60.0
INTERNAL_TOPIC_PARTITIONS = 4  # of offsets and of transactions; the default of fifty makes the start slow
GROUP_SESSION_TIMEOUT_MS_MIN = 1_000
LOG4J = kafka_jars.POM.with_name("log4j2.xml")
# As root the JVM writes performance data into a shared directory, which we do not need.
JVM_OPTIONS = ("-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData")


class KafkaNode(Service):
    """One broker and controller of a cluster."""

    name = "kafka"
    start_timeout_s = 90.0
    stop_timeout_s = 20.0

    def __init__(
        self,
        *,
        node: int = 1,
        cluster: str | None = None,
        voters: dict[int, str] | None = None,
        port: int | None = None,
        data_dir: Path | None = None,
        log: Path | None = None,
        place: ServicePlace = HERE,
        heap_mb: int = HEAP_MB,
    ) -> None:
        super().__init__(data_dir=data_dir, port=port, log=log, place=place)
        self.node = node
        self.heap_mb = heap_mb
        self.cluster = cluster or new_cluster_id()
        self.voters = voters or {node: f"{place.address}:{free_port()}"}  # node id → address of its controller

    @property
    def url(self) -> str:
        return self.address

    def prepare(self) -> None:
        (self.directory / "server.properties").write_text(self._properties())
        if not (self.directory / "logs" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        return self._java("kafka.Kafka", str(self.directory / "server.properties"))

    def probe(self) -> bool:
        """True when this node answers, and its cluster has a leader."""
        return port_answers(self.port, self.place.address) and brokers_known(self.address) > 0

    def class_options(self) -> list[str]:
        """Takes the classes from their archive, where there is one."""
        archive = kafka_jars.class_archive()
        return [f"-XX:SharedArchiveFile={archive}"] if archive.is_file() else []

    def _java(self, main: str, *arguments: str) -> list[str]:
        jars = kafka_jars.resolve()
        options = [
            *JVM_OPTIONS,
            *self.class_options(),
            f"-Xmx{self.heap_mb}m",
            f"-Xms{self.heap_mb // 4}m",
            f"-Dlog4j2.configurationFile={LOG4J}",
        ]
        return [kafka_jars.java(), *options, "-cp", f"{jars}/*", main, *arguments]

    def _format(self) -> None:
        properties = str(self.directory / "server.properties")
        arguments = ("format", "--cluster-id", self.cluster, "--config", properties, "--ignore-formatted")
        process = spawn(self._java("kafka.tools.StorageTool", *arguments), log=self.log)
        try:
            code = process.wait(timeout=FORMAT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            hint = f"formatting its storage ended with {code}; the end of {self.log}:\n{log_tail(self.log)}"
            raise ServiceUnreachable(self.name, str(self.directory), hint)

    def _properties(self) -> str:
        controller = self.voters[self.node]
        copies = min(3, len(self.voters))
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": ",".join(f"{n}@{address}" for n, address in self.voters.items()),
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.directory / "logs",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": min(2, copies),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": INTERNAL_TOPIC_PARTITIONS,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": min(2, copies),
            "transaction.state.log.num.partitions": INTERNAL_TOPIC_PARTITIONS,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": min(2, copies),
            "share.coordinator.state.topic.num.partitions": 1,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1_000,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": GROUP_SESSION_TIMEOUT_MS_MIN,
            "broker.session.timeout.ms": 3_000,
            "broker.heartbeat.interval.ms": 500,
            "controlled.shutdown.enable": "true" if copies > 1 else "false",
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 4,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


class ApacheKafka:
    """One or three nodes as one service, with the calls of the other services. `node` picks one; None is all."""

    name: ClassVar[str] = "kafka"

    def __init__(
        self,
        *,
        nodes: int = 1,
        data_dir: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        if nodes not in (1, 3):
            raise ValueError(f"one node or three, not {nodes}")
        self.ephemeral = data_dir is None
        self._temporary = temporary_directories.make(self.name) if data_dir is None else None
        data_dir = data_dir or self._temporary
        assert data_dir is not None
        voters = {node: f"{HERE.address}:{free_port()}" for node in range(1, nodes + 1)}
        cluster = _stored_cluster_id(data_dir) or new_cluster_id()
        self.nodes = [
            KafkaNode(
                node=node,
                cluster=cluster,
                voters=voters,
                port=port if node == 1 else None,
                data_dir=data_dir / f"node-{node}",
                log=log,
            )
            for node in voters
        ]

    @property
    def url(self) -> str:
        return ",".join(node.address for node in self.nodes)

    @property
    def address(self) -> str:
        return self.url

    @property
    def log(self) -> Path:
        return self.nodes[0].log

    @property
    def pid(self) -> int | None:
        return self.nodes[0].pid

    @property
    def running(self) -> bool:
        return all(node.running for node in self.nodes)

    @property
    def crashed(self) -> bool:
        return any(node.crashed for node in self.nodes)

    def revive(self) -> None:
        for node in self.nodes:
            node.revive()

    def start(self) -> "ApacheKafka":
        """Starts each node that does not run. Returns when each node knows all nodes."""
        kafka_jars.java()
        kafka_jars.resolve()
        with ThreadPoolExecutor(max_workers=len(self.nodes)) as pool:
            list(pool.map(lambda node: node.start(), self.nodes))
        if problem := wait_for(self._complete, timeout_s=KafkaNode.start_timeout_s):
            raise ServiceUnreachable("Apache Kafka", self.url, f"{problem}:\n{log_tail(self.log)}")
        return self

    def _complete(self) -> bool:
        return all(brokers_known(node.address) == len(self.nodes) for node in self.nodes)

    def stop(self) -> None:
        with ThreadPoolExecutor(max_workers=len(self.nodes)) as pool:
            list(pool.map(lambda node: node.stop(), self.nodes))

    def close(self) -> None:
        """Ends the nodes. Temporary data is removed, so then the end is quick."""
        if self._temporary is None:
            self.stop()
        self.kill()
        if self._temporary is not None:
            temporary_directories.remove(self._temporary)

    def kill(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.kill()

    def restart(self, node: int | None = None, *, kill: bool = False) -> "ApacheKafka":
        chosen = self._chosen(node)
        with ThreadPoolExecutor(max_workers=len(chosen)) as pool:
            list(pool.map(lambda one: one.restart(kill=kill), chosen))
        return self

    def pause(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.pause()

    def resume(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.resume()

    def __enter__(self) -> "ApacheKafka":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self, node: int | None) -> list[KafkaNode]:
        return [one for one in self.nodes if node is None or one.node == node]


def new_cluster_id() -> str:
    """A random cluster id as KRaft wants it: 16 bytes in URL-safe base 64."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def _stored_cluster_id(data_dir: Path) -> str | None:
    for meta in sorted(data_dir.glob("node-*/logs/meta.properties")):
        for line in meta.read_text().splitlines():
            if line.startswith("cluster.id="):
                return line.removeprefix("cluster.id=").strip()
    return None
