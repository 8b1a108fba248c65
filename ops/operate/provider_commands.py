"""Writes commands to the log for a payment provider, when an operator asks for it.

Guarantee: the broker has acknowledged every command that `written` counts. `decide` takes a repeated command as a
duplicate.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, Message

from connectors import clock
from connectors.errors import ServiceUnreachable
from connectors.kafka import check_reachable, producer
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from schemas import cloudevents
from schemas.commands import Command
from schemas.topics import COMMANDS

TIMEOUT_S = 10.0
WAITING_MAX = 1_000  # commands without an acknowledgement; the next command waits


class CommandWriter:
    """Enter it to write. Raises ServiceUnreachable when a command was not acknowledged."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self.written, self._failed = settings, 0, ""

    def __enter__(self) -> Self:
        check_reachable(self._settings, TIMEOUT_S)
        self._producer, self._codec = producer(self._settings), codec_of(self._settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self._producer.flush(TIMEOUT_S)
        if error is None and (left or self._failed):
            why = self._failed or f"{left} commands were not acknowledged"
            raise ServiceUnreachable("Kafka", self._settings.kafka_bootstrap_servers, f"{why}; run it again")

    def write(self, command: Command) -> None:
        """Write a command, keyed by its event."""
        now = clock.now_rfc3339()
        headers = cloudevents.headers(cloudevents.PAYMENTS, command.command_id, type(command).__name__, now)
        value, key = self._codec.encode(command), command.event_id.encode()
        self._producer.produce(COMMANDS, value, key, headers=headers, on_delivery=self._acknowledged)
        while len(self._producer) > WAITING_MAX:
            self._producer.poll(0.1)

    def _acknowledged(self, error: KafkaError | None, _record: Message) -> None:
        if error is not None:
            self._failed = str(error)
        else:
            self.written += 1
