"""Writes ticks: time is a record too. A hold that is due is ended when its tick is read, by log time."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.logs import Log
from pipelines.reservations.batch import Headers, rfc3339
from pipelines.reservations.partition import Partition
from schemas import cloudevents
from schemas.codec import Codec
from schemas.commands import Tick
from schemas.topics import COMMANDS

TICKS_PER_POLL_MAX = 500  # a house full of holds that end together is swept in several polls

log = Log("ticks")


class Ticker:
    """Writes a tick to the partition of each event whose hold is due while its partition says nothing.

    A tick that is not delivered is written again by `Partition.due_events`, through a new producer: an idempotent
    one whose session the broker has ended does not recover.
    """

    def __init__(self, new_producer: Callable[[], Producer], codec: Codec, partitions: dict[int, Partition]) -> None:
        self._new_producer, self._codec, self._partitions = new_producer, codec, partitions
        self._ticks: Producer | None = None

    def tick(self) -> None:
        """Write what is due by this machine's clock; whether it is due is decided by log time, when it is read."""
        now_us = time.time_ns() // 1000
        for number, partition in self._partitions.items():
            for event_id in partition.due_events(now_us, TICKS_PER_POLL_MAX):
                self._write(number, event_id, now_us)
        if self._ticks is not None:
            self._ticks.poll(0)

    def _write(self, number: int, event_id: str, now_us: int) -> None:
        if self._ticks is None:
            self._ticks = self._new_producer()
        command_id = f"tick-{number}-{now_us}"
        headers: Headers = cloudevents.headers(cloudevents.RESERVATIONS, command_id, "Tick", rfc3339(now_us))
        value = self._codec.encode(Tick(event_id, "", command_id))
        try:
            self._ticks.produce(
                COMMANDS, value, event_id.encode(), number, headers=headers, on_delivery=self._delivered
            )
        except (BufferError, KafkaException) as error:  # the queue is full, or the session is over
            self._give_up(str(error))

    def _delivered(self, error: KafkaError | None, record: Message) -> None:
        if error is not None:
            self._give_up(f"{record.topic()}[{record.partition()}]: {error}")

    def _give_up(self, error: str) -> None:
        log.warning("tick.not_written", error=error)
        self._ticks = None
