"""Writes ticks: time is a record too. A hold that is due is ended when its tick is read, by log time."""

from __future__ import annotations

import time

from confluent_kafka import Producer

from pipelines.reservations.batch import Headers, rfc3339
from pipelines.reservations.partition import Partition
from schemas.codec import Codec
from schemas.commands import Tick
from schemas.topics import COMMANDS

TICKS_PER_POLL_MAX = 500  # a house full of holds that end together is swept in several polls


class Ticker:
    """Writes a tick to the partition of each event whose hold is due while its partition says nothing."""

    def __init__(self, ticks: Producer, codec: Codec, partitions: dict[int, Partition]) -> None:
        self._ticks, self._codec, self._partitions = ticks, codec, partitions

    def tick(self) -> None:
        """Write what is due by this machine's clock; whether it is due is decided by log time, when it is read."""
        now_us = time.time_ns() // 1000
        for number, partition in self._partitions.items():
            for event_id in partition.due_events(now_us, TICKS_PER_POLL_MAX):
                command_id = f"tick-{number}-{now_us}"
                headers: Headers = [("ce_id", command_id), ("ce_type", "Tick"), ("ce_time", rfc3339(now_us))]
                self._ticks.produce(
                    COMMANDS,
                    self._codec.encode(Tick(event_id, "", command_id)),
                    event_id.encode(),
                    number,
                    headers=headers,
                )
        self._ticks.poll(0)
