"""The whole platform on this machine: services, schema, topics, the API and the dataflows under one supervisor.

`circle up`, the demo, the benches and the end-to-end tests all use this class.

```python
with Platform(reservations=2) as platform:
    httpx.get(platform.url + "/healthz")
    os.kill(platform.supervisor.pid("reservations-1"), signal.SIGKILL)
```
"""

import fcntl
import os
import secrets
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import redis_clients, temporary_directories
from connectors.errors import SettingsError
from connectors.settings import Settings
from connectors.topics import apply_topics, describe_topics
from ops.migrations import migrate, reset_derived
from ops.run import discovery as found
from ops.run.prometheus import SCRAPE_S, config
from ops.run.services.process import LOOPBACK, free_port, port_is_free, private_directory, run_coroutine
from ops.run.services.stack import BrokerKind, Running, Stack
from ops.run.supervisor import ChildSpec, Say, Supervisor
from pipelines.configuration import settings_from_env
from pipelines.flows import Flow
from schemas.topics import COMMANDS

RESERVATIONS_MAX = 64
PARTITIONS_MIN = 2  # a transaction costs by partition; two let a second worker help, should one be too slow
READY_TIMEOUT_S = 60.0
READY_TIMEOUT_APACHE_S = 120.0  # the first group join and transaction of a cold JVM are slow
WORKER = ("-m", "ops.cli.main", "pipeline", Flow.RESERVATIONS.value)
OTHER_PIPELINES = (Flow.READ_SIDE, Flow.PAYMENTS)
STOP_API_FIRST, STOP_PIPELINES_SECOND = 0, 1


class Platform:
    """Starts all or nothing, and stops in this order: API, pipelines, services."""

    def __init__(
        self,
        *,
        broker: str = "embedded",
        data_dir: Path | None = None,
        port: int | None = None,
        reservations: int = 1,
        partitions: int | None = None,
        env: Mapping[str, str] | None = None,
        keep_mails: bool = False,
        findable: bool = False,
        worker: Sequence[str] = WORKER,
        durable: bool | None = None,
        say: Say = lambda _: None,
    ) -> None:
        """Without `partitions` and CIRCLE_PARTITIONS, `partitions_for` chooses. `worker` has the arguments of Python
        for a reservations process. `durable` is that of `Stack`."""
        if not 1 <= reservations <= RESERVATIONS_MAX:
            raise SettingsError(
                "--reservations", f"must be 1 to {RESERVATIONS_MAX}", got=str(reservations), example="2"
            )
        if port is not None and not port_is_free(port):
            raise SettingsError(
                "--port", "another process listens there already", got=str(port), example=str(free_port())
            )
        self.port = port or free_port()
        self.data_dir = data_dir.resolve() if data_dir is not None else None
        self._say = say
        self._reservations = reservations
        self._extra_env = dict(env or {})
        self._operator_token = secrets.token_urlsafe(24)  # for this start, when the settings have none
        self._keep_mails = keep_mails
        self._findable, self._worker = findable, worker
        self._published: found.Published | None = None
        self._run_dir: Path | None = None
        self._metrics_ports: dict[str, int] = {}
        self._lock_file: IO[str] | None = None
        self._supervisor: Supervisor | None = None
        self.stack = Stack(broker, data_dir=self.data_dir, partitions=partitions, durable=durable)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def supervisor(self) -> Supervisor:
        assert self._supervisor is not None, "the platform was not started"
        return self._supervisor

    @property
    def run_dir(self) -> Path:
        """The directory of logs and the development key: the data directory, else one that `stop` removes."""
        if self.data_dir is not None:
            return self.data_dir
        if self._run_dir is None:
            self._run_dir = temporary_directories.make("run")
        return self._run_dir

    @property
    def logs(self) -> Path:
        return self.run_dir / "logs"

    @property
    def mails(self) -> Path | None:
        """The directory of mails as files: with `keep_mails`, outside production, and without CIRCLE_SMTP_URL."""
        given = {**os.environ, **self._extra_env}
        if not self._keep_mails or given.get("CIRCLE_SMTP_URL") or given.get("CIRCLE_ENV") == "production":
            return None
        return self.run_dir / "mails"

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes: ours, then the requested variables, then those that the platform sets."""
        given = {**os.environ, **self._extra_env}
        key = given.get("CIRCLE_JWT_KEY_FILE")
        return {
            **given,
            **self.stack.env,
            **({"CIRCLE_SMTP_URL": f"file://{quote(str(self.mails))}"} if self.mails is not None else {}),
            "CIRCLE_WATCHED_DIR": given.get("CIRCLE_WATCHED_DIR") or str(self.run_dir),
            "CIRCLE_PUBLIC_URL": given.get("CIRCLE_PUBLIC_URL") or self.url,
            "CIRCLE_JWT_KEY_FILE": key or str(development_key(self.run_dir / "jwt.pem")),
            **({} if self._has_operator_token() else {"CIRCLE_OPERATOR_TOKEN": self._operator_token}),
            "PYTHONUNBUFFERED": "1",
        }

    def _has_operator_token(self) -> bool:
        return self._given("CIRCLE_OPERATOR_TOKEN") or self._given("CIRCLE_OPERATOR_TOKEN_FILE")

    def _given(self, variable: str) -> bool:
        return bool({**os.environ, **self._extra_env}.get(variable))

    @property
    def metrics_urls(self) -> tuple[str, ...]:
        """Where each dataflow's process has its metrics."""
        return tuple(f"http://{LOOPBACK}:{port}/metrics" for port in self._metrics_ports.values())

    @property
    def dashboard_url(self) -> str:
        """The dashboard's URL. It holds the token of this start, but never a token from the settings."""
        token = "" if self._has_operator_token() else f"operator:{self._operator_token}@"
        return f"http://{token}{LOOPBACK}:{self.port}/dashboard"

    @property
    def settings(self) -> Settings:
        """The settings of the processes."""
        return settings_from_env(self.env)

    def prometheus_config(self, *, interval_s: int = SCRAPE_S) -> Path:
        """Write a configuration for a Prometheus on this machine, and return its path."""
        settings, directory = self.settings, private_directory(self.run_dir / "prometheus")
        token, file = directory / "operator-token", directory / "prometheus.yml"
        token.touch(mode=0o600)
        token.write_text(settings.operator_token or "")
        file.write_text(
            config(api_port=self.port, token_file=token, metrics_ports=self._metrics_ports, interval_s=interval_s)
        )
        return file

    def start(self, *, cancelled: threading.Event | None = None) -> Self:
        """Returns when requests can be served, or early when `cancelled` is set.

        Raises `CircleError` after having stopped what was started.
        """
        cancelled = cancelled or threading.Event()
        try:
            self._lock_data_dir()
            settings = self.settings  # a wrong variable fails here, before any start
            if self.mails is not None:
                private_directory(self.mails)
            self._say(f"starting PostgreSQL, Valkey and the broker ({self.stack.broker_kind})")
            self.stack.start()
            if cancelled.is_set():
                return self
            if self.stack.partitions is None and not self._given("CIRCLE_PARTITIONS"):
                self.stack.partitions = partitions_for(self.settings, self._reservations)
            settings = self.settings
            self._say("migrating the database, creating the topics")
            self._prepare(settings)
            self._publish()
            self._say(f"starting the API and {self._reservations + len(OTHER_PIPELINES)} dataflows")
            self._supervisor = Supervisor(
                self._specs(),
                env=self.env,
                logs=self.logs,
                say=self._say,
                services=self.stack.services,
                on_service_death=self._service_died,
            )
            self._supervisor.start()
            embedded = self.stack.broker_kind == BrokerKind.EMBEDDED
            timeout_s = READY_TIMEOUT_S if embedded else READY_TIMEOUT_APACHE_S
            self._supervisor.wait_ready(timeout_s, cancelled=cancelled)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops the API, the pipelines, then the services. Idempotent."""
        if self._published is not None:
            self._published.remove()
            self._published = None
        if self._supervisor is not None:
            self._supervisor.stop()
        self.stack.stop()
        if self._run_dir is not None:
            temporary_directories.remove(self._run_dir)
            self._run_dir = None
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _specs(self) -> list[ChildSpec]:
        circle = [sys.executable, "-m", "ops.cli.main"]
        commands = {f"reservations-{n}": [sys.executable, *self._worker] for n in range(1, self._reservations + 1)}
        commands |= {flow.value: [*circle, "pipeline", flow.value] for flow in OTHER_PIPELINES}
        api = ChildSpec(
            name="api",
            command=[*circle, "api", "--host", LOOPBACK, "--port", str(self.port)],
            env={"CIRCLE_INSTANCE": "api"},
            stop_rank=STOP_API_FIRST,
            ready_url=f"{self.url}/readyz",
        )
        self._metrics_ports = {name: free_port() for name in commands}
        pipelines = [
            ChildSpec(
                name=name,
                command=command,
                env={"CIRCLE_INSTANCE": name, "CIRCLE_METRICS_PORT": str(self._metrics_ports[name])},
                stop_rank=STOP_PIPELINES_SECOND,
            )
            for name, command in commands.items()
        ]
        return [api, *pipelines]

    def _prepare(self, settings: Settings) -> None:
        """Make schema and topics. When the log starts empty, remove everything of an earlier log."""
        run_coroutine(migrate(settings.postgres_url))
        if self.stack.memory_only:
            run_coroutine(reset_derived(settings))
            with redis_clients.connect(settings.redis_url) as client:
                client.flushall()
        apply_topics(settings, partitions=settings.partitions)

    def _publish(self) -> None:
        """Let tools find this platform, when asked. The platform also runs without it."""
        if not self._findable:
            return
        stack = found.RunningStack(
            name=str(self.port),
            pid=os.getpid(),
            url=self.url,
            broker=self.stack.broker_kind,
            data_dir=str(self.data_dir) if self.data_dir is not None else None,
            env=found.exported(self.env),
        )
        try:
            self._published = found.publish(stack)
        except (OSError, SettingsError) as error:
            self._say(f"`circle verify` and the other tools will not find this platform by themselves: {error}")

    def _service_died(self, service: Running) -> None:
        self._say(f"{service.name} died; restarting it on the same port")
        service.revive()
        if service is self.stack.kafka and self.stack.memory_only:
            self._say("the embedded broker's log is gone with it: starting again with an empty one")
            self._prepare(self.settings)
            self.supervisor.restart_all()
        self._say(f"{service.name} is back")

    def _lock_data_dir(self) -> None:
        if self.data_dir is None:
            return
        try:
            if not self.data_dir.exists():  # as root, PostgreSQL runs as another user, who must reach its own part
                private_directory(self.data_dir, entered=os.geteuid() == 0)
            lock = os.open(self.data_dir / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
            os.fchmod(lock, 0o600)  # a process that can open the file could hold the lock
            self._lock_file = os.fdopen(lock, "w")
        except OSError as error:
            raise SettingsError("--data-dir", str(error), got=str(self.data_dir), example="./.data") from None
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                "--data-dir",
                "another circle uses it; stop that one, or name another directory",
                got=str(self.data_dir),
                example="./.data-2",
            ) from None


def partitions_for(settings: Settings, reservations: int) -> int:
    """The partitions of a platform on one machine, when no setting says: those of the topics if there are any, else one
    for each reservations process, and at least PARTITIONS_MIN.

    Raises ServiceUnreachable when the broker does not answer.
    """
    there = next(topic.partitions for topic in describe_topics(settings) if topic.name == COMMANDS)
    return there or max(PARTITIONS_MIN, reservations)


def development_key(path: Path) -> Path:
    """An Ed25519 key in PKCS #8 PEM at `path`. Makes it when it is missing. Only its owner can read it."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
