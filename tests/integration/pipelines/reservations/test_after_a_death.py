"""A worker that dies around a commit may not have shown it, or not committed what it wrote: its successor does."""

from __future__ import annotations

import msgspec
import pytest
import redis
from confluent_kafka import Producer

from connectors import kafka
from connectors.settings import Settings
from pipelines.reservations.flow import run
from pipelines.reservations.wiring import GROUP
from schemas.codec import Codec
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Flow, Process, eventually, projections, read, write
from tests.harness.words import EVENT, add_type, create, publish, reserve

OTHER = "99999999-9999-4999-8999-999999999999"
AVAILABILITY = f"circle:{{{EVENT}}}:availability"


def sold(settings: Settings) -> None:
    producer: Producer = kafka.producer(settings)
    codec = Codec()
    for command in (create(hold_ttl_s=3_600), add_type(), publish(), reserve(2, ["A-1", "A-2"])):
        producer.produce(COMMANDS, codec.encode(command), EVENT.encode())
    assert producer.flush(30) == 0
    read(settings, FACTS, settings.partitions, 4)


@pytest.mark.parametrize("died", [True, False])
def test_counters_that_a_dead_worker_did_not_show_are_shown_by_its_successor(settings: Settings, died: bool) -> None:
    home = partition_of(EVENT, settings.partitions)
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as client:

        def held() -> int:
            (text,) = client.hvals(AVAILABILITY)
            return int(msgspec.json.decode(text)["held"])

        with Flow(projections, settings):  # the successor finds all facts in the rows, so it folds none
            worker = Process.start("reservations", settings)
            sold(settings)
            eventually(lambda: client.get(f"circle:installed:{home}") == "done", "the worker has looked at Redis")
            eventually(lambda: client.hlen(AVAILABILITY) == 1 and held() == 2, "the hold is shown")
            if died:
                worker.kill()
            else:
                assert worker.terminate() == 0
            (kind,) = client.hkeys(AVAILABILITY)
            client.hset(AVAILABILITY, kind, client.hget(AVAILABILITY, kind).replace('"held":2', '"held":1'))
            with Flow(run, settings):
                if died:
                    eventually(lambda: held() == 2, "the successor shows what the dead worker did not")
                else:  # a worker that gave its partition back has shown everything, so nothing is read again
                    another = msgspec.structs.replace(create(), event_id=OTHER)
                    write(settings, COMMANDS, [(home, Codec().encode(another), [])])
                    read(settings, FACTS, settings.partitions, 5)  # it has looked at Redis before this batch
                    assert held() == 1


def test_decisions_of_a_dead_worker_that_stand_without_its_commit_are_committed(settings: Settings) -> None:
    """The embedded broker shows the facts of a transaction that was never committed."""
    log = BothLogs(partition=3, seed=5)
    log.take(30)
    write_both(settings, [log])
    client = kafka.consumer(settings, group=GROUP)
    with Flow(run, settings):
        eventually(
            lambda: kafka.committed_offsets(client, COMMANDS, [3])[3] == log.offset, "the successor commits them"
        )
    client.close()
