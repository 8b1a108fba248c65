"""The embedded services: same port and same data over restarts, errors with the end of the log, nothing left over."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import asyncpg
import psutil
import pytest
import redis
from confluent_kafka import TopicPartition

from connectors.errors import ServiceUnreachable
from connectors.kafka import consumer, producer
from ops.run.services import process
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.postgres import Postgres, reaches, unprivileged_user
from ops.run.services.process import Service, free_port, port_answers, wait_for
from ops.run.services.stack import Stack
from ops.run.services.tansu import Tansu
from ops.run.services.valkey import Valkey
from pipelines.configuration import settings_from_env
from schemas.topics import COMMANDS
from tests.harness.leftovers import tracked


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


async def rows(url: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_a_cluster_that_asked_nobody_gets_a_password() -> None:
    """A cluster of an older version: every user may connect, without a password."""
    with tempfile.TemporaryDirectory(prefix="circle-cluster-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        first = Postgres(data_dir=directory / "postgres")
        await asyncio.to_thread(first.start)
        await rows(first.url, "CREATE TABLE kept AS SELECT 42 AS n")
        await rows(first.url, "ALTER ROLE postgres PASSWORD NULL")
        await asyncio.to_thread(first.stop)
        (directory / "postgres" / "cluster" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
        (directory / "postgres" / "password").unlink()
        again = Postgres(data_dir=directory / "postgres")
        try:
            await asyncio.to_thread(again.start)
            assert again.url != first.url
            assert await rows(again.url, "SELECT n FROM kept") == [(42,)]
            with pytest.raises(asyncpg.InvalidPasswordError):
                await rows(again.url.replace("postgres:", "postgres:x"), "SELECT 1")
            third = Postgres(data_dir=directory / "postgres", port=again.port)
            assert third.url == again.url, "the password stays with the data"
        finally:
            await asyncio.to_thread(again.close)


@pytest.mark.parametrize("durable", [False, True])
async def test_postgres_without_a_data_directory_syncs_when_it_should(durable: bool) -> None:
    running = Postgres(durable=durable)
    try:
        await asyncio.to_thread(running.start)
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await rows(running.url, f"SHOW {name}") == [("on" if durable else "off",)]
    finally:
        await asyncio.to_thread(running.close)


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_postgres_keeps_port_and_data_over_a_restart(postgres: Postgres, kill: bool) -> None:
    url = postgres.url
    await rows(url, "DROP TABLE IF EXISTS kept")
    await rows(url, "CREATE TABLE kept AS SELECT 42 AS n")
    await rows(url, "CHECKPOINT")
    first = postgres.pid
    await asyncio.to_thread(postgres.restart, kill=kill)
    assert postgres.url == url
    assert postgres.pid != first
    assert await rows(url, "SELECT n FROM kept") == [(42,)]


async def test_a_stopped_postgres_goes_on_with_its_data(postgres: Postgres) -> None:
    await rows(postgres.url, "DROP TABLE IF EXISTS stopped")
    await rows(postgres.url, "CREATE TABLE stopped AS SELECT 7 AS n")
    postgres.stop()
    assert not port_answers(postgres.port)
    postgres.start()
    assert await rows(postgres.url, "SELECT n FROM stopped") == [(7,)]


async def test_a_paused_postgres_does_not_answer_until_resumed(postgres: Postgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    postgres.pause()
    waiting = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait([waiting], timeout=0.3)
    assert not done
    postgres.resume()
    assert await asyncio.wait_for(waiting, 5) == 1
    await connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run it as somebody else")
def test_root_runs_postgres_as_an_unprivileged_user(postgres: Postgres) -> None:
    assert postgres.pid is not None
    assert psutil.Process(postgres.pid).uids().effective == unprivileged_user()[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a directory that others cannot enter")
def test_a_data_directory_out_of_reach_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not reaches(unprivileged_user(), closed / "..")
    with pytest.raises(ServiceUnreachable, match=r"cannot reach .*closed.*--data-dir"):
        Postgres(data_dir=closed / "data").start()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_valkey_restarts_empty_on_the_same_port_and_evicts_nothing() -> None:
    with Valkey() as valkey, redis.Redis.from_url(valkey.url) as client:
        client.set("lock", "held")
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        url = valkey.url
        valkey.restart(kill=True)
        assert valkey.url == url
        assert client.get("lock") is None


def test_tansu_restarts_on_the_same_port() -> None:
    with Tansu() as tansu:
        address = tansu.url
        tansu.kill()
        assert brokers_known(address) == 0
        tansu.start()
        assert tansu.url == address
        assert brokers_known(address) == 1


def test_whoever_reads_along_misses_nothing_of_what_many_write_at_once(stack: Stack) -> None:
    """With more threads a reader sometimes misses a record, so the test also checks the broker's number of threads."""
    assert stack.kafka.pid is not None
    assert b"TOKIO_WORKER_THREADS=1" in Path(f"/proc/{stack.kafka.pid}/environ").read_bytes().split(b"\0")
    settings = settings_from_env(stack.fresh())
    writers, each, together = 8, 250, Barrier(8)

    def write(number: int) -> None:
        client = producer(settings, **{"linger.ms": 0})
        together.wait()
        for record in range(each):
            client.produce(COMMANDS, f"{number}-{record}".encode(), partition=0)
            assert client.flush(20) == 0

    reader = consumer(settings, group=None)
    reader.assign([TopicPartition(COMMANDS, 0, 0)])
    found: set[bytes] = set()
    with ThreadPoolExecutor(writers) as pool, closing(reader):
        written = [pool.submit(write, number) for number in range(writers)]
        deadline = time.monotonic() + 60
        while len(found) < writers * each and time.monotonic() < deadline:
            found |= {record.value() for record in reader.consume(500, 0.05) if record.error() is None}
        assert [one.result() for one in written] == [None] * writers
    assert len(found) == writers * each


@pytest.mark.parametrize("service", [Tansu, Valkey, Postgres])
def test_a_taken_port_is_named(service: type[Service]) -> None:
    with Valkey() as other, pytest.raises(ServiceUnreachable, match=f"127.0.0.1:{other.port}.*in use"):
        service(port=other.port).start()


def test_a_service_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    class Broken(Valkey):
        def command(self) -> list[str]:
            return [*super().command(), "--no-such-option", "1"]

    with pytest.raises(ServiceUnreachable, match=r"(?s)valkey at .* ended with code 1.*no-such-option"):
        Broken(data_dir=tmp_path / "valkey").start()


def test_closing_removes_what_was_temporary() -> None:
    valkey = Valkey().start()
    directory = valkey.directory
    assert directory.is_dir()
    valkey.close()
    assert not directory.exists()
    assert not port_answers(valkey.port)


def test_fresh_empties_everything_and_starts_what_is_down(stack: Stack) -> None:
    with redis.Redis.from_url(stack.valkey.url) as client:
        first = stack.fresh()
        client.set("left", "over")
        stack.postgres.stop()
        stack.valkey.pause()
        second = stack.fresh()
        assert client.get("left") is None
    assert first["CIRCLE_POSTGRES_URL"] != second["CIRCLE_POSTGRES_URL"]


OWNER = """
import sys, time
from ops.run.services.stack import Stack
stack = Stack().start()
print(stack.postgres.pid, stack.valkey.pid, stack.kafka.pid, flush=True)
time.sleep(60)
"""


def test_nothing_survives_a_kill_of_the_owner() -> None:
    owner = tracked(subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True))
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    def gone(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    assert wait_for(lambda: all(map(gone, pids)), timeout_s=10) is None


def test_no_other_process_gets_a_port_before_its_chooser_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "from ops.run.services.process import free_port; print(free_port(), flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[4],
    )
    with other:
        assert other.stdin is not None
        assert other.stdout is not None
        port = int(other.stdout.readline())
        monkeypatch.setattr(process, "PORTS", range(port, port + 1))
        with pytest.raises(ServiceUnreachable, match="none found"):
            free_port()
        other.stdin.close()
    assert free_port() == port
    with pytest.raises(ServiceUnreachable):
        free_port()  # and a process does not choose one twice


def test_free_ports_are_below_the_ephemeral_range() -> None:
    assert all(18_000 <= free_port() < 32_000 for _ in range(50))
