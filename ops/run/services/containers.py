"""Apache Kafka from a container, for tests on machines that have a Docker engine.

The rest of the embedded stack needs no container. Without an engine `docker_answers` is False, and the tests that need
one skip with this reason.
"""

import os
import socket
from typing import Any, ClassVar, Self

from connectors.errors import ServiceUnreachable
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.process import wait_for

KAFKA_IMAGE = "apache/kafka:4.1.1"
START_TIMEOUT_S = 60.0
DOCKER_TIMEOUT_S = 2


def docker_answers() -> bool:
    """True when a Docker engine answers here."""
    import docker

    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    if path.startswith("/"):  # a first test without the client, which leaves a socket open when no engine listens
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except OSError:
                return False
    try:
        client = docker.from_env(timeout=DOCKER_TIMEOUT_S)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (docker.errors.DockerException, OSError):
        return False


class ContainerKafka:
    """One broker in KRaft mode in a container, with the calls of the other services."""

    name: ClassVar[str] = "kafka"

    def __init__(self) -> None:
        self._container: Any = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        return self._container is not None and brokers_known(self.url) > 0

    @property
    def crashed(self) -> bool:
        return False

    def revive(self) -> None:
        """Does nothing: it never counts as crashed."""

    def start(self) -> Self:
        if self._container is None:
            self._create()
        else:
            self._container.start()
        if problem := wait_for(lambda: brokers_known(self.url) > 0, timeout_s=START_TIMEOUT_S):
            raise ServiceUnreachable("Apache Kafka in Docker", self.url, problem)
        return self

    def stop(self) -> None:
        self._container.stop()

    def close(self) -> None:
        if self._container is not None:
            self._container.remove(force=True, v=True)
            self._container = None

    def kill(self) -> None:
        self._container.kill()

    def pause(self) -> None:
        self._container.pause()

    def resume(self) -> None:
        self._container.unpause()

    def restart(self, *, kill: bool = False) -> Self:
        if kill:
            self.kill()
        else:
            self.stop()
        return self.start()

    def _create(self) -> None:
        import docker

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        settings = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": f"PLAINTEXT://:{self._port},CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{self._port}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        }
        ports = {f"{self._port}/tcp": ("127.0.0.1", self._port)}
        self._container = docker.from_env().containers.run(KAFKA_IMAGE, detach=True, environment=settings, ports=ports)
