"""The platform on many hosts: three brokers, PostgreSQL, Redis, API hosts behind a proxy, workers, read sides, and
payments.

A keeper starts dead processes again, as a supervisor does on each machine; not those of a host that is gone.
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from api.auth.keys import KeyRing, generate_pem
from api.auth.tokens import AccessTokens
from connectors.kafka_clients import new_admin
from connectors.topics import apply_topics
from ops.migrations import migrate
from ops.proof.checker import NotSettled, Report, ToldOutcome, wait_until_settled
from ops.proof.full_check import check
from ops.run.services.apache_kafka import KafkaNode, new_cluster_id
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.postgres import Postgres
from ops.run.services.process import run_coroutine, suspend, wait_for
from ops.run.services.valkey import Valkey
from ops.run.supervisor import Child, ChildSpec
from pipelines.platform_settings import PlatformSettings
from schemas.topics import COMMANDS, FACTS
from tests.harness.flows import environment
from tests.harness.hosts import NETWORK, PREFIX_BITS, Host, Network

BROKERS = 3
HEAP_MB = 256
BROKER_PORT, CONTROLLER_PORT, API_PORT, PROXY_PORT = 9_092, 9_093, 8_000, 80
SESSION_TIMEOUT_MS = 3_000  # after this, other workers get the partitions of a host that is gone
READY_S = 120.0  # ten processes start on two cores
LOOK_S = 0.2
SETTLED_S = 90.0
TICK_BOUND_S = 60.0  # holds end late while the host of their worker is gone
VERIFY_S_MAX = 180.0


class NetworkPostgres(Postgres):
    """It lets the hosts in, with its password."""

    def prepare(self) -> None:
        super().prepare()
        rules = self.directory / "cluster" / "pg_hba.conf"
        rule = f"host all all {NETWORK}.0/{PREFIX_BITS} scram-sha-256\n"
        text = rules.read_text()
        if rule not in text:
            rules.write_text(text + rule)


class HostProcess:
    """A process of the product on a host, over all its restarts."""

    def __init__(
        self, host: Host, arguments: Sequence[str], *, env: Mapping[str, str], logs: Path, ready_url: str | None = None
    ) -> None:
        self.host, self.name = host, host.name
        self.wanted = False
        self.starts = 0
        self._env = {**env, "CIRCLE_INSTANCE": host.name}
        command = [*host.place.within, sys.executable, "-m", *arguments]
        self._child = Child(ChildSpec(name=host.name, command=command, ready_url=ready_url), logs / f"{host.name}.log")
        self._lock = threading.Lock()

    def start(self) -> None:
        """Does not wait."""
        with self._lock:
            self.wanted = True
            self._start()

    def kill(self) -> None:
        """kill -9. The keeper leaves it alone until `start`."""
        with self._lock:
            self.wanted = False
            self._child.signal(signal.SIGKILL)
            self._child.end(10)

    def suspend(self) -> None:
        """SIGSTOP: it keeps its memory and its connections, and does nothing. It must go on within its session."""
        self._child.signal(signal.SIGSTOP)
        assert self._child.process is not None
        suspend(psutil.Process(self._child.process.pid))

    def resume(self) -> None:
        """SIGCONT."""
        self._child.signal(signal.SIGCONT)

    def ask_to_end(self) -> None:
        with self._lock:
            self.wanted = False
            self._child.signal(signal.SIGTERM)

    def end(self) -> None:
        self._child.end(10)

    def revive(self) -> None:
        with self._lock:
            if self.wanted and not self._child.alive:
                self._start()

    def ready(self) -> bool:
        """True when it has been ready since its last start."""
        child = self._child
        if child.ready.is_set() and child.alive:
            return True
        if child.spec.ready_url is not None:
            return child.ask_url()
        descriptor = child.ready_fd
        return descriptor is not None and bool(select.select([descriptor], [], [], 0)[0]) and child.read_pipe()

    def cpu_s(self) -> float:
        """The CPU of its present life, in seconds."""
        assert self._child.process is not None
        times = psutil.Process(self._child.process.pid).cpu_times()
        return float(times.user + times.system)

    def last_lines(self) -> str:
        return f"--- {self.name}\n{self._child.last_lines(15)}"

    def log_text(self) -> str:
        return self._child.log.read_text()

    def _start(self) -> None:
        self.starts += 1
        self._child.start(self._env)


class Machines:
    """See the module. Hosts are known by name: `worker-1`, `api-2`, `kafka-3`, `redis`. `clocks_s` moves clocks.
    `env` is for each process of the product."""

    def __init__(
        self,
        logs: Path,
        *,
        workers: int = 3,
        read_sides: int = 2,
        apis: int = 2,
        clocks_s: Mapping[str, int] | None = None,
        session_timeout_ms: int = SESSION_TIMEOUT_MS,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._logs, self._counts = logs, {"worker": workers, "read": read_sides, "api": apis}
        self._session_timeout_ms, self._env = session_timeout_ms, dict(env or {})
        self._clocks_s = dict(clocks_s or {})
        self.network = Network()
        self.processes: dict[str, HostProcess] = {}
        self._closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._proxy: subprocess.Popen[bytes] | None = None
        self._told: list[ToldOutcome] = []
        self.brokers: dict[str, KafkaNode] = {}
        self.postgres: NetworkPostgres
        self.valkey: Valkey
        self.settings: PlatformSettings
        self.tokens: AccessTokens

    @property
    def url(self) -> str:
        """The proxy's."""
        return f"http://{self.network.hosts['proxy'].address}:{PROXY_PORT}"

    def host(self, name: str) -> Host:
        return self.network.hosts[name]

    def of(self, kind: str) -> list[HostProcess]:
        """The processes of one kind: `worker`, `read`, `api`, `payments`."""
        return [one for name, one in self.processes.items() if name.partition("-")[0] == kind]

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        self.network.__enter__()
        try:
            self._start_services()
            self._start_product()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    # --- hosts that go and come ------------------------------------------------------------------------------------

    def lose_host(self, name: str) -> None:
        """As by a power cut: it is off the network first, so no answer says that it is gone."""
        self.host(name).cut_off()
        if name in self.brokers:
            self.brokers[name].kill()
        else:
            self.processes[name].kill()

    def bring_back(self, name: str) -> None:
        """Its network is as before, and its process starts again."""
        self.host(name).heal()
        if name in self.brokers:
            self.brokers[name].start()
        else:
            self.processes[name].start()

    def delay(self) -> None:
        """All that passes the proxy arrives later, each way."""
        assert self._proxy is not None
        self._proxy.send_signal(signal.SIGUSR1)

    def hasten(self) -> None:
        """The proxy passes everything on at once, as at the start."""
        assert self._proxy is not None
        self._proxy.send_signal(signal.SIGUSR2)

    def wait_ready(self, names: Iterable[str] = ()) -> None:
        """Until these processes, or all that should run, are ready."""
        waiting = [self.processes[name] for name in names] or [one for one in self.processes.values() if one.wanted]
        problem = wait_for(lambda: all(one.ready() for one in waiting), timeout_s=READY_S)
        late = [one.last_lines() for one in waiting if not one.ready()]
        assert problem is None, "\n".join(late)

    def brokers_complete(self) -> bool:
        """True when each broker knows all brokers."""
        return all(brokers_known(node.address) == BROKERS for node in self.brokers.values())

    def in_sync(self) -> dict[tuple[str, int], tuple[int, ...]]:
        """The brokers that have everything of each partition of the two topics, as the cluster reports it."""
        topics = new_admin(self.settings).list_topics(timeout=10).topics
        return {
            (topic, number): tuple(partition.isrs)
            for topic in (COMMANDS, FACTS)
            for number, partition in topics[topic].partitions.items()
        }

    def wait_in_sync(self) -> None:
        """Until each broker has everything: then any of them may go."""
        problem = wait_for(
            lambda: self.brokers_complete() and {len(one) for one in self.in_sync().values()} == {BROKERS},
            timeout_s=READY_S,
        )
        assert problem is None, f"{problem}: {self.in_sync()}"

    def settled(self, told: Iterable[ToldOutcome]) -> Report:
        """Waits until everything is decided and delivered. The checker and `circle verify` find nothing; the checker
        goes through the whole history, with the outcomes of all drops before this one."""
        self.wait_in_sync()
        self.wait_ready()
        self._told += told
        try:
            wait_until_settled(self.settings, timeout_s=SETTLED_S, no_holds=True)
        except NotSettled as error:
            raise AssertionError(f"{error}\n{self.last_lines()}") from error
        report = check(self.settings, told=self._told, strict=True, tick_bound_s=TICK_BOUND_S)
        assert report.ok, report.text()
        assert report.counts["told"] == len(self._told) > 0
        self.verify()
        return report

    def verify(self) -> str:
        """What `circle verify` says; a divergence fails the test."""
        command = [sys.executable, "-m", "ops.cli.main", "verify"]
        done = subprocess.run(
            command,
            env=environment(self.settings),
            capture_output=True,
            text=True,
            timeout=VERIFY_S_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def last_lines(self) -> str:
        return "\n".join(one.last_lines() for one in self.processes.values())

    # --- start and end ---------------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        return self.network.host(name, clock_s=self._clocks_s.get(name, 0))

    def _start_services(self) -> None:
        hosts = [self._host(f"kafka-{node}") for node in range(1, BROKERS + 1)]
        voters = {node: f"{host.address}:{CONTROLLER_PORT}" for node, host in enumerate(hosts, 1)}
        cluster = new_cluster_id()
        self.brokers = {
            host.name: KafkaNode(
                node=node, cluster=cluster, voters=voters, port=9_092, place=host.place, heap_mb=HEAP_MB
            )
            for node, host in enumerate(hosts, 1)
        }
        self.postgres = NetworkPostgres(place=self._host("db").place, port=5_432)
        self.valkey = Valkey(place=self._host("redis").place, port=6_379)
        services = [*self.brokers.values(), self.postgres, self.valkey]
        with ThreadPoolExecutor(len(services)) as pool:
            for started in [pool.submit(service.start) for service in services]:
                started.result()
        problem = wait_for(self.brokers_complete, timeout_s=READY_S)
        assert problem is None, problem
        made = PlatformSettings(
            kafka_bootstrap_servers=",".join(node.address for node in self.brokers.values()),
            postgres_url=self.postgres.url,
            redis_url=self.valkey.url,
        )
        self.settings = replace(made, session_timeout_ms=self._session_timeout_ms)
        run_coroutine(migrate(self.settings.postgres_url))
        apply_topics(self.settings, partitions=self.settings.partitions)

    def _start_product(self) -> None:
        key_file = self._logs / "jwt.pem"
        key_file.write_bytes(generate_pem())
        self.tokens = AccessTokens(KeyRing.load(key_file))
        env = environment(self.settings) | self._env
        env |= {"CIRCLE_JWT_KEY_FILE": str(key_file), "CIRCLE_RATE_LIMIT_SCALE": "0"}
        flows = {"worker": "reservations", "read": "read-side"}
        names = [(kind, f"{kind}-{n}") for kind in flows for n in range(1, self._counts[kind] + 1)]
        for kind, name in names:
            arguments = ("ops.cli.main", "pipeline", flows[kind])
            self.processes[name] = HostProcess(self._host(name), arguments, env=env, logs=self._logs)
        arguments = ("ops.cli.main", "pipeline", "payments")
        self.processes["payments"] = HostProcess(self._host("payments"), arguments, env=env, logs=self._logs)
        for number in range(1, self._counts["api"] + 1):
            host = self._host(f"api-{number}")
            self.processes[host.name] = HostProcess(
                host,
                ("ops.cli.main", "api", "--host", host.address, "--port", str(API_PORT)),
                env=env,
                logs=self._logs,
                ready_url=f"http://{host.address}:{API_PORT}/readyz",
            )
        for process in self.processes.values():
            process.start()
        self._keeper.start()
        self._start_proxy()
        self.wait_ready()

    def _start_proxy(self) -> None:
        host = self._host("proxy")
        backends = [f"{process.host.address}:{API_PORT}" for process in self.of("api")]
        listens = f"{host.address}:{PROXY_PORT}"
        command = [*host.place.within, sys.executable, "-m", "tests.harness.tcp_proxy", listens, *backends]
        with (self._logs / "proxy.log").open("wb") as log:
            self._proxy = subprocess.Popen(command, stdout=log, stderr=log)

    def _keep(self) -> None:
        while not self._closing.wait(LOOK_S):
            for process in self.processes.values():
                process.revive()

    def _close(self) -> None:
        self._closing.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for host in self.network.hosts.values():
            if host.cut:
                host.heal()
        for process in self.processes.values():
            process.ask_to_end()
        for process in self.processes.values():
            process.end()
        if self._proxy is not None:
            self._proxy.kill()
            self._proxy.wait()
        started = [getattr(self, name) for name in ("postgres", "valkey") if hasattr(self, name)]
        for service in chain(self.brokers.values(), started):
            service.kill()
            service.close()
        self.network.__exit__(None, None, None)
