"""The services from containers, by testcontainers, for tests on machines that have a Docker engine.

They have the images of compose.yaml: from the hub, or with `CIRCLE_IMAGES` from `make images`. They have the calls of
the other services. A container keeps its port and its data over `restart`, and `close` removes it. Without an engine
`docker_answers` is False, and the tests that need one skip with this reason.
"""

import contextlib
import os
import secrets
import socket
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import redis

from connectors import redis_clients
from connectors.errors import ServiceUnreachable
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.postgres import CONNECTIONS_MAX, DATABASE, ensure_database, recreate_database
from ops.run.services.process import LOOPBACK, PASSWORD_BYTES, free_port, run_coroutine, wait_for

KAFKA_IMAGE = "apache/kafka:4.1.1"
POSTGRES_IMAGE = "postgres:18.1"
REDIS_IMAGE = "redis:8.2.2"
START_TIMEOUT_S = 120.0
DOCKER_TIMEOUT_S = 2
USER = "circle"
# Timers for quick tests, as those of the broker on a plain JVM.
KAFKA_SETTINGS = {
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
    "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "1000",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_HEAP_OPTS": "-Xmx512m -Xms128m",
}


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


class ContainerService(ABC):
    """A service in a container of its own, on a loopback port that stays the same."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self.port = free_port()
        self._made: Any = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address for clients."""

    @abstractmethod
    def _make(self) -> Any:
        """The container, configured and not started."""

    @abstractmethod
    def _answers(self) -> bool:
        """True when it answers in its own protocol now."""

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        return self._status() == "running" and self._answers()

    @property
    def crashed(self) -> bool:
        return False

    def revive(self) -> None:  # noqa: B027  # no service of this kind needs it
        """Does nothing: it never counts as crashed."""

    def start(self) -> Self:
        """Starts it, and returns when it answers. Raises `ServiceUnreachable`."""
        if self._made is None:
            self._made = self._make()
            self._made.ports[str(self._made.port)] = (LOOPBACK, self.port)  # `with_bind_ports` would bind every address
            self._made.start()
        elif self._status() != "running":
            self._container().start()
        if problem := wait_for(self._answers, timeout_s=START_TIMEOUT_S):
            raise ServiceUnreachable(f"{self.name} in Docker", self.address, problem)
        return self

    def stop(self) -> None:
        self._container().stop()

    def close(self) -> None:
        if self._made is not None:
            self._made.stop(force=True, delete_volume=True)
            self._made = None

    def kill(self) -> None:
        self._container().kill()

    def pause(self) -> None:
        self._container().pause()

    def resume(self) -> None:
        if self._status() == "paused":
            self._container().unpause()

    def restart(self, *, kill: bool = False) -> Self:
        if kill:
            self.kill()
        else:
            self.stop()
        return self.start()

    def _container(self) -> Any:
        return self._made.get_wrapped_container()

    def _status(self) -> str:
        if self._made is None:
            return "absent"
        container = self._container()
        container.reload()
        return str(container.status)


class ContainerKafka(ContainerService):
    """One broker in KRaft mode."""

    name: ClassVar[str] = "kafka"

    @property
    def url(self) -> str:
        return self.address

    def _make(self) -> Any:
        _configure()
        from testcontainers.community.kafka import KafkaContainer

        class ApacheKafkaContainer(KafkaContainer):
            """The module is for Confluent's image; Apache's has another start script, and KRaft alone."""

            def _verify_min_kraft_version(self) -> None:
                """Each release of this image has KRaft."""

            def tc_start(self) -> None:
                ours = f"{self.listener_name}://{LOOPBACK}:{self.get_exposed_port(self.port)}"
                listeners = f"{ours},BROKER://$(hostname -i):9092"
                script = f"export KAFKA_ADVERTISED_LISTENERS={listeners}\nexec /etc/kafka/docker/run\n"
                self.create_file(script.encode(), KafkaContainer.TC_START_SCRIPT)

        made = ApacheKafkaContainer(image(KAFKA_IMAGE)).with_kraft()
        for name, value in KAFKA_SETTINGS.items():
            made.with_env(name, value)
        return made

    def _answers(self) -> bool:
        return brokers_known(self.url) > 0


class ContainerPostgres(ContainerService):
    """PostgreSQL with the calls that a stack makes of its database server."""

    name: ClassVar[str] = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)

    @property
    def url(self) -> str:
        return self.database_url(DATABASE)

    def database_url(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@{self.address}/{database}"

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Drops the database of this name, makes a new one and returns its URL. A template must have no connections."""
        run_coroutine(recreate_database(self.database_url("postgres"), name, template))
        return self.database_url(name)

    def _make(self) -> Any:
        _configure()
        from testcontainers.community.postgres import PostgresContainer

        made = PostgresContainer(
            image(POSTGRES_IMAGE), username=USER, password=self._password, dbname=DATABASE, driver=None
        )
        settings = (f"max_connections={CONNECTIONS_MAX}", "fsync=off", "track_commit_timestamp=on")
        return made.with_command(["postgres", *(word for one in settings for word in ("-c", one))])

    def _answers(self) -> bool:
        return run_coroutine(ensure_database(self.database_url("postgres"), DATABASE))


class ContainerRedis(ContainerService):
    """Redis without persistence, as in production."""

    name: ClassVar[str] = "redis"

    def __init__(self) -> None:
        super().__init__()
        self._password = secrets.token_urlsafe(PASSWORD_BYTES)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.address}/0"

    def _make(self) -> Any:
        _configure()
        from testcontainers.community.redis import RedisContainer

        made = RedisContainer(image(REDIS_IMAGE), password=self._password)
        options = {"requirepass": self._password, "save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}
        return made.with_command(
            ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", value))]
        )

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), redis_clients.connect(self.url, socket_timeout=1) as client:
            return bool(client.ping())
        return False


def image(name: str) -> str:
    """The image of this name: the hub's, or with `CIRCLE_IMAGES` a stand-in."""
    return os.environ.get("CIRCLE_IMAGES", "") + name


def _configure() -> None:
    """The ports are on loopback. The reaper is an image without a stand-in; `close` removes what was started."""
    from testcontainers.core.config import ConnectionMode, testcontainers_config

    testcontainers_config.connection_mode_override = ConnectionMode.docker_host
    testcontainers_config.tc_host_override = LOOPBACK
    if os.environ.get("CIRCLE_IMAGES"):
        testcontainers_config.ryuk_disabled = True
