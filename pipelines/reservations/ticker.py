"""Writes ticks: time is a record too. A due hold ends when its tick is read, by log time."""

from __future__ import annotations

from collections.abc import Callable

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
        self._newest = 0  # the largest log time that was seen
        self._behind_us = 0  # how far this machine's clock is behind it

    def tick(self) -> None:
        """Write the ticks that are due by this machine's clock. The rules decide by log time when a tick is read.

        A log time ahead of this clock shows that the clock is behind the broker's: then it is moved by as much, or
        holds on a quiet partition would end late.
        """
        now_us = self._now_us()
        for number, partition in self._partitions.items():
            for event_id in partition.due_events(now_us, TICKS_PER_POLL_MAX):
                self._write(number, event_id, now_us)
        if self._ticks is not None:
            self._ticks.poll(0)

    def _now_us(self) -> int:
        own_us = clock.now_us()
        newest = max((partition.log_time for partition in self._partitions.values()), default=0)
        if newest != self._newest:
            self._newest, self._behind_us = newest, max(0, newest - own_us)
        return min(own_us + self._behind_us, TIME_MS_MAX * US_PER_MS)

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
