"""Writes ticks: time is a record too. A due hold ends when its tick is read, by log time."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors import clock
from connectors.logs import Log
from pipelines.reservations.outgoing import Headers
from pipelines.reservations.partition import Partition
from schemas import cloudevents
from schemas.codec import Codec
from schemas.commands import Tick
from schemas.ids import NOBODY, TIME_MS_MAX, US_PER_MS, CommandId, EventId
from schemas.times import rfc3339
from schemas.topics import COMMANDS

TICKS_PER_POLL_MAX = 500  # many holds that end together take several polls

log = Log("ticks")


class Ticker:
    """Writes a tick for each event that has something due while its partition gets no other command.

    If a tick is not delivered, `Partition.due_events` asks for it again. The next one goes through a new producer: an
    idempotent producer does not recover after the broker has ended its session.
    """

    def __init__(self, new_producer: Callable[[], Producer], codec: Codec, partitions: dict[int, Partition]) -> None:
        self._new_producer, self._codec, self._partitions = new_producer, codec, partitions
        self._ticks: Producer | None = None
        self._clocks: dict[int, tuple[int, int]] = {}  # by partition: its log time, and how far this clock is behind it

    def tick(self) -> None:
        """Write the ticks that are due by this machine's clock. The rules decide by log time when a tick is read.

        A log time ahead of this clock shows that the clock is behind that of the partition's broker: then it is moved
        by as much, or holds on a quiet partition would end late. Each partition has its own broker, and its own clock.
        """
        own_us, steady_us = clock.now_us(), monotonic_ns() // clock.NS_PER_US
        for number, partition in self._partitions.items():
            now_us = self._broker_us(number, partition.log_time, own_us)
            for event_id in partition.due_events(now_us, TICKS_PER_POLL_MAX, steady_us=steady_us):
                self._write(number, event_id, now_us)
        if self._ticks is not None:
            self._ticks.poll(0)

    def _broker_us(self, number: int, log_time: int, own_us: int) -> int:
        newest, behind_us = self._clocks.get(number, (0, 0))
        if log_time != newest:
            behind_us = max(0, log_time - own_us)
            self._clocks[number] = log_time, behind_us
        return min(own_us + behind_us, TIME_MS_MAX * US_PER_MS)

    def _write(self, number: int, event_id: EventId, now_us: int) -> None:
        if self._ticks is None:
            self._ticks = self._new_producer()
        command_id = CommandId(f"tick-{number}-{now_us}")
        headers: Headers = cloudevents.headers(cloudevents.RESERVATIONS, command_id, "Tick", rfc3339(now_us))
        value = self._codec.encode(Tick(event_id, NOBODY, command_id))
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
