"""The current end of the log, asked in one thread outside the event loop. None if the broker does not answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors import kafka
from connectors.settings import Settings
from schemas.topics import COMMANDS

ASK_TIMEOUT_S = 1.0  # every caller can do without an answer


class LogEnds:
    """Connects on the first call. Not for use outside its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "log-ends")
        self._client: Consumer | None = None

    async def of(self, partition: int) -> int | None:
        """The offset after the last command of a partition."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ask, partition)

    def close(self) -> None:
        """Close the connection. No call may follow."""
        if self._client is not None:
            self._thread.submit(self._client.close)
        self._thread.shutdown(wait=False)

    def _ask(self, partition: int) -> int | None:
        try:
            if self._client is None:
                self._client = kafka.consumer(self._settings, group=None)
            place = TopicPartition(COMMANDS, partition)
            # None after the timeout, unlike its stubs say
            bounds: tuple[int, int] | None = self._client.get_watermark_offsets(place, timeout=ASK_TIMEOUT_S)
        except KafkaException:
            return None
        return None if bounds is None else bounds[1]
