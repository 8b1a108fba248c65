"""The three services as one: PostgreSQL, Valkey and a broker. They start in parallel; `CIRCLE_*` variables name them.

```python
with Stack(broker="embedded") as stack:
    settings = settings_from_env(stack.env)
    stack.postgres.restart(kill=True)
    stack.valkey.pause()
```
`broker` is `embedded` (tansu), `apache` (one node), `apache-3`, or the `host:port` of a foreign broker. With
`docker=True` and a Docker engine that answers, PostgreSQL, Redis and Kafka come from containers.
"""

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Protocol, Self

from connectors import redis_clients
from connectors.errors import ServiceUnreachable, SettingsError
from connectors.topics import apply_topics
from ops.migrations import migrate
from ops.run.services.apache_kafka import ApacheKafka
from ops.run.services.containers import ContainerKafka, ContainerPostgres, ContainerRedis
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.postgres import Postgres
from ops.run.services.process import run_coroutine, wait_for
from ops.run.services.tansu import Tansu
from ops.run.services.valkey import Valkey
from pipelines.configuration import settings_from_env

EXTERNAL_BROKER_TIMEOUT_S = 10.0
TANSU_FETCH_WAIT_MS = 25  # it notices a new record only when a waiting request ends
DATABASES_KEPT = 2  # each has 300 files, which take time to remove once they are on the disk
TEMPLATE_DATABASE = "circle_template"  # migrated once; a new database is a copy of it


class BrokerKind(StrEnum):
    """The brokers that a stack starts itself. Any other text is the address of a foreign one."""

    EMBEDDED = "embedded"
    APACHE = "apache"
    APACHE_3 = "apache-3"


class Running(Protocol):
    """The calls of a service that a stack needs."""

    name: ClassVar[str]

    @property
    def url(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def running(self) -> bool: ...
    @property
    def crashed(self) -> bool: ...
    def start(self) -> object: ...
    def revive(self) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def restart(self, *, kill: bool = False) -> object: ...


class DatabaseServer(Running, Protocol):
    """The calls of a database server that a stack needs."""

    def create_database(self, name: str, *, template: str | None = None) -> str: ...


class ExternalBroker:
    """A foreign broker: the stack can use it, but not start or stop it."""

    name: ClassVar[str] = "kafka"

    def __init__(self, address: str) -> None:
        self.url = self.address = address

    @property
    def running(self) -> bool:
        return brokers_known(self.url) > 0

    @property
    def crashed(self) -> bool:
        return False

    def revive(self) -> None:
        """Does nothing: it never counts as crashed."""

    def start(self) -> Self:
        problem = wait_for(lambda: self.running, timeout_s=EXTERNAL_BROKER_TIMEOUT_S)
        if problem is not None:
            raise ServiceUnreachable("Kafka", self.url, f"{problem}; is the broker up, and the address right?")
        return self

    def close(self) -> None:
        """Does nothing: no process is ours."""

    def resume(self) -> None:
        """Does nothing: we cannot pause it."""

    def _refuse(self) -> None:
        raise ServiceUnreachable("Kafka", self.url, "it belongs to another owner, who alone can stop or start it")

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def pause(self) -> None:
        self._refuse()

    def restart(self, *, kill: bool = False) -> Self:
        self._refuse()
        return self


class Stack:
    """Owns its services: `start` starts all of them or none, `stop` leaves nothing."""

    def __init__(
        self,
        broker: str = BrokerKind.EMBEDDED,
        *,
        data_dir: Path | None = None,
        partitions: int | None = None,
        docker: bool = False,
        durable: bool | None = None,
    ) -> None:
        """`durable` is that of `Postgres`."""
        self.broker_kind = broker
        self.data_dir = data_dir.resolve() if data_dir is not None else None
        self.partitions = partitions
        self.postgres: DatabaseServer
        self.valkey: Running
        self.kafka: Running
        if docker:
            self.postgres, self.valkey, self.kafka = ContainerPostgres(), ContainerRedis(), ContainerKafka()
        else:
            self.postgres = Postgres(data_dir=self._under("postgres"), log=self._log("postgres"), durable=durable)
            self.valkey = Valkey(data_dir=self._under("valkey"), log=self._log("valkey"))
            self.kafka = self._broker(broker)
        self._template_made = False
        self._databases = 0  # how many `fresh` has made

    @property
    def env(self) -> dict[str, str]:
        """The variables for a process that uses this stack. It has no other `CIRCLE_*` variable."""
        env = {
            "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": self.kafka.url,
            "CIRCLE_POSTGRES_URL": self.postgres.url,
            "CIRCLE_REDIS_URL": self.valkey.url,
        }
        if self.memory_only:
            env["CIRCLE_KAFKA_FETCH_WAIT_MS"] = str(TANSU_FETCH_WAIT_MS)
        if self.partitions is not None:
            env["CIRCLE_PARTITIONS"] = str(self.partitions)
        return env

    @property
    def services(self) -> tuple[Running, ...]:
        return (self.postgres, self.valkey, self.kafka)

    @property
    def memory_only(self) -> bool:
        """True when the log is lost at the broker's stop."""
        return isinstance(self.kafka, Tansu)

    def start(self) -> Self:
        """Starts all services in parallel. When one fails, stops the others and raises its error."""
        with ThreadPoolExecutor(max_workers=len(self.services)) as pool:
            started = [pool.submit(service.start) for service in self.services]
        for one in started:
            if (error := one.exception()) is not None:
                self.stop()
                raise error
        return self

    def stop(self) -> None:
        """Ends each service and removes temporary data. The broker is first, so that no process gets records that
        the stopped services cannot store."""
        for service in reversed(self.services):
            service.close()

    def fresh(self) -> dict[str, str]:
        """Empties all services: a new migrated database, an empty Valkey, new topics. Returns the new `env`.

        Takes less than a second on the embedded broker. On Apache Kafka it deletes the topics and makes new ones. No
        process may use the stack during this call. The last database stays for comparisons; the one before it goes.
        """
        for service in self.services:
            service.resume()
            service.start()
        if not self._template_made:
            run_coroutine(migrate(self.postgres.create_database(TEMPLATE_DATABASE)))
            self._template_made = True
        self._databases += 1
        name = f"circle_{self._databases % DATABASES_KEPT}"
        url = self.postgres.create_database(name, template=TEMPLATE_DATABASE)
        with redis_clients.connect(self.valkey.url) as client:
            client.flushall()
        if self.memory_only:
            self.kafka.restart(kill=True)
        apply_topics(settings_from_env(self.env), partitions=self.partitions, recreate=not self.memory_only)
        return {**self.env, "CIRCLE_POSTGRES_URL": url}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _broker(self, broker: str) -> Running:
        match broker:
            case BrokerKind.EMBEDDED:
                return Tansu(log=self._log("tansu"))
            case BrokerKind.APACHE | BrokerKind.APACHE_3:
                nodes = 3 if broker == BrokerKind.APACHE_3 else 1
                return ApacheKafka(nodes=nodes, data_dir=self._under("kafka"), log=self._log("kafka"))
            case address if ":" in address:
                return ExternalBroker(address)
            case other:
                raise SettingsError(
                    "--broker", "must be embedded, apache, apache-3 or host:port", got=other, example="apache"
                )

    def _under(self, name: str) -> Path | None:
        return self.data_dir / name if self.data_dir is not None else None

    def _log(self, name: str) -> Path | None:
        return self.data_dir / "logs" / f"{name}.log" if self.data_dir is not None else None
