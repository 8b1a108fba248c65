"""The step of payments that decodes: the facts of a batch that ask the provider for something, as jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import Message

from connectors.metrics import BATCH_RECORDS, BATCH_SECONDS
from pipelines.payments.cashier import Job
from pipelines.payments.requests import REQUESTING, request_in
from schemas.codec import HEADER_BYTES, Codec
from schemas.facts import RecordedFact


class JobBatch(NamedTuple):
    """A batch: its records, and the jobs that some of them ask for."""

    records: list[Message]
    jobs: list[Job]


def reader(codec: Codec) -> Callable[[list[Message]], JobBatch]:
    """The decode step. It skips by schema id what asks for nothing. Unreadable facts are skipped here; the projections
    dataflow sets them aside."""
    asking = codec.headers_of(*REQUESTING)

    records, seconds = BATCH_RECORDS.labels("payments"), BATCH_SECONDS.labels("payments", "decode")

    def decode(batch: list[Message]) -> JobBatch:
        records.observe(len(batch))
        with seconds.time():
            return JobBatch(batch, jobs_in(batch))

    def jobs_in(batch: list[Message]) -> list[Job]:
        jobs = []
        for record in batch:
            value = record.value()
            if value is None or value[:HEADER_BYTES] not in asking:
                continue
            found = codec.decode(value)
            request = request_in(found) if isinstance(found, RecordedFact) else None
            if request is not None:
                jobs.append(Job(record, request))
        return jobs

    return decode
