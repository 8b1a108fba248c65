"""Runs a dataflow during a test, writes records for it, and waits for its announced effects."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

import asyncpg
import msgspec
import redis
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from connectors import kafka
from connectors.kafka import StopFlag
from connectors.log_reader import partitions_of
from connectors.postgres import Database
from connectors.settings import Settings
from ops.proof.checker.reading import reader, records
from ops.run.services.process import spawn
from pipelines.flows import Flow as FlowName
from pipelines.read_side import flow as read_side
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS
from tests.harness.leftovers import tracked

WAIT_S = 90.0  # says only that nothing more will come: a busy machine may need a minute


class Flow:
    """A dataflow in a thread of this process: `run` until `stop`."""

    def __init__(self, run: Callable[..., int], settings: Settings) -> None:
        self._flag, self._code = StopFlag(), -1
        self._thread = threading.Thread(target=self._run, args=(run, settings), daemon=True)

    def _run(self, run: Callable[..., int], settings: Settings) -> None:
        self._code = run(settings, stop=self._flag)

    def start(self) -> Self:
        self._thread.start()
        return self

    @property
    def alive(self) -> bool:
        """Whether it runs still."""
        return self._thread.is_alive()

    def stop(self) -> int:
        """Ask it to drain; returns its exit code."""
        self._flag.requested = True
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the dataflow does not end"
        return self._code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self.stop()
        if error is None:
            assert code == 0


projections = partial(read_side.run, flow=FlowName.PROJECTIONS)
monitoring = partial(read_side.run, flow=FlowName.MONITORING)
notifications = partial(read_side.run, flow=FlowName.NOTIFICATIONS)
"""A branch of the read side as a flow of its own, for `Flow`."""


@dataclass
class Process:
    """A dataflow as `circle pipeline NAME` runs it, which a test can kill."""

    child: subprocess.Popen[bytes]

    @classmethod
    def start(cls, name: str, settings: Settings) -> Process:
        command = [sys.executable, "-m", "ops.cli.main", "pipeline", name]
        return cls(tracked(spawn(command, log=2, env=environment(settings))))  # ends with the test

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(WAIT_S)

    def terminate(self) -> int:
        self.child.terminate()
        return self.child.wait(WAIT_S)


def environment(settings: Settings) -> dict[str, str]:
    """The variables that give a process these settings."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CIRCLE_")},
        "CIRCLE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "CIRCLE_POSTGRES_URL": settings.postgres_url,
        "CIRCLE_REDIS_URL": settings.redis_url,
        "CIRCLE_SCHEMA_REGISTRY_URL": settings.schema_registry_url or "",
        "CIRCLE_PARTITIONS": str(settings.partitions),
        "CIRCLE_KAFKA_FETCH_WAIT_MS": str(settings.kafka_fetch_wait_ms),
        "CIRCLE_SESSION_TIMEOUT_MS": str(settings.session_timeout_ms),
        "CIRCLE_SMTP_URL": settings.smtp_url or "",
        "CIRCLE_MAIL_FROM": settings.mail_from,
        "RUST_BACKTRACE": "0",
    }


class Heard:
    """The messages on a channel, from the moment when this is entered."""

    def __init__(self, settings: Settings, channel: str) -> None:
        self._client = redis.Redis.from_url(settings.redis_url)
        self._listening = self._client.pubsub(ignore_subscribe_messages=False)
        self._channel = channel

    def __enter__(self) -> Self:
        self._listening.subscribe(self._channel)
        message = self._listening.get_message(timeout=WAIT_S)
        assert message is not None
        assert message["type"] == "subscribe"
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self._client.close()

    def messages(self, timeout_s: float = WAIT_S) -> Iterator[Any]:
        """Each message as it comes; fails the test when none comes within the time-out."""
        while True:
            message = self._listening.get_message(timeout=timeout_s)
            assert message is not None, f"nothing heard on {self._channel} for {timeout_s} s"
            yield msgspec.json.decode(message["data"])

    def until_projected(self, wanted: Mapping[int, tuple[int, int]]) -> None:
        """Wait until each partition is projected to this position at least."""
        left = dict(wanted)
        for message in self.messages():
            for at in message:
                if (at["offset"], at["index"]) >= left.get(at["partition"], (1 << 62, 0)):
                    del left[at["partition"]]
            if not left:
                return


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
    """Wait until `condition` holds, by polling: only for changes that no event announces."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


def write_facts(settings: Settings, facts: Iterable[RecordedFact], topic: str = FACTS) -> None:
    """Write facts as the reservations dataflow does, but without a transaction."""
    codec = Codec()
    write(
        settings,
        topic,
        [(one.envelope.partition, codec.encode_fact(one.envelope, one.fact), []) for one in facts],
    )


def write(settings: Settings, topic: str, records: Iterable[tuple[int, bytes, list[tuple[str, bytes]]]]) -> None:
    """Write records (partition, value, headers), in order."""
    producer = kafka.producer(settings)
    for number, (partition, value, headers) in enumerate(records):
        producer.produce(topic, value, b"key", partition, headers=headers)
        if number % 1_000 == 0:
            producer.poll(0)
    assert producer.flush(WAIT_S) == 0


def read(settings: Settings, topic: str, partitions: int, at_least: int) -> list[Message]:
    """The records of a topic from its beginning, once at least `at_least` of them are there."""
    client = kafka.consumer(settings, group=None)
    client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    found: list[Message] = []
    deadline = time.monotonic() + WAIT_S
    try:
        while len(found) < at_least:
            assert time.monotonic() < deadline, f"{topic}: {len(found)} records, not {at_least}"
            found += [record for record in client.consume(1_000, 0.2) if record.error() is None]
        return found + [record for record in client.consume(1_000, 0.3) if record.error() is None]
    finally:
        client.close()


def everything(settings: Settings, topic: str) -> list[Message]:
    """Every record of a topic, partition by partition."""
    client = reader(settings)
    try:
        return [one for part in range(partitions_of(settings, topic)) for one in records(client, topic, part)]
    finally:
        client.close()


@contextmanager
def rows_of(settings: Settings) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """A function that runs a query and gives its rows as tuples."""
    database = Database(settings.postgres_url)

    def query(text: str, *arguments: object) -> list[tuple[Any, ...]]:
        async def fetch(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.fetch(text, *arguments)]

        return database.run(fetch)

    try:
        yield query
    finally:
        database.close()


def command_records(settings: Settings) -> list[Message]:
    """Everything on the commands topic."""
    client = kafka.consumer(settings, group=None)
    try:
        found: list[Message] = []
        for part in client.list_topics(COMMANDS, timeout=10).topics[COMMANDS].partitions:
            end = client.get_watermark_offsets(TopicPartition(COMMANDS, part), timeout=10)[1]
            client.assign([TopicPartition(COMMANDS, part, OFFSET_BEGINNING)])
            found += client.consume(end, 10) if end else []
        return found
    finally:
        client.close()
