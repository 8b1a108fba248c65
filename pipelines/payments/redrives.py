"""Asks the payment provider again when an operator sends a payment's letter back from the console.

A request is a row of fact_redrives, as for the branches of the read side. The fact is read again on tickets.facts, and
its job begins again.

Guarantee: at least once, as every job. The provider gets the same key, so nothing is charged or refunded twice.

A thread of its own asks PostgreSQL, so no payment waits for it. While PostgreSQL is away, requests wait.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException

from connectors.errors import ServiceUnreachable
from connectors.logs import Log
from connectors.postgres import Connection, Database
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.topic_reader import TopicReader
from pipelines.payments.cashier import Cashier, Job
from pipelines.payments.requests import FLOW, request_in
from pipelines.redrives.requests import LOOK_EVERY_S, AskedRedrive, FoundFact, end, missing, on_the_log, waiting
from schemas.topics import FACTS

log = Log("payments")


class PaymentRedrives:
    """Carries out the requests for the partitions of a cashier."""

    def __init__(self, settings: Settings, cashier: Cashier) -> None:
        self._settings, self._cashier = settings, cashier
        self._codec = codec_of(settings)
        self._begun: set[tuple[str, int, int, int]] = set()
        self._ended: queue.SimpleQueue[tuple[AskedRedrive, str]] = (
            queue.SimpleQueue()
        )  # at most AT_ONCE_MAX: these are waiting, and no more begin
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="payment-redrives")
        self._looks: Future[None] | None = None

    def __enter__(self) -> Self:
        self._looks = self._thread.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.shutdown()

    def look_after(self) -> None:
        """Raise the unexpected error of the thread."""
        if self._looks is not None and self._looks.done():
            self._looks.result()

    def _run(self) -> None:
        with closing(Database(self._settings.postgres_url)) as database:
            while not self._stopped.wait(LOOK_EVERY_S):
                try:
                    self._look(database)
                except (ServiceUnreachable, KafkaException) as error:
                    log.warning("redrives.not_read", error=f"{type(error).__name__}: {error}")

    def _look(self, database: Database) -> None:
        while not self._ended.empty():
            asked, error = self._ended.get()
            try:
                database.run(_ending(asked, error))
            except ServiceUnreachable:
                self._ended.put((asked, error))
                raise
            self._begun.discard(asked.key)
        partitions = self._cashier.partitions()
        if not partitions:
            return
        found = database.run(lambda connection: waiting(connection, [FLOW], partitions), readonly=True)
        new = [one for one in found if one.key not in self._begun]
        if new:
            with TopicReader(self._settings, FACTS) as reader:
                for asked in new:
                    self._begin(asked, on_the_log(asked, reader, self._codec))

    def _begin(self, asked: AskedRedrive, found: FoundFact | None) -> None:
        request = None if found is None else request_in(found.fact)
        self._begun.add(asked.key)
        if found is None or request is None:
            why = missing(asked) if found is None else "the fact asks for no payment"
            log.error("fact.not_redriven", branch=FLOW, partition=asked.partition, offset=asked.offset, why=why)
            self._ended.put((asked, why))
            return
        log.info("fact.redriven", branch=FLOW, partition=asked.partition, offset=asked.offset, index=asked.index)
        self._cashier.ask_again(Job(found.record, request), lambda error: self._ended.put((asked, error)))


def _ending(asked: AskedRedrive, error: str) -> Callable[[Connection], Awaitable[None]]:
    return lambda connection: end(connection, asked, error)
