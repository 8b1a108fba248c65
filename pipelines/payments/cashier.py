"""Sends payment requests to a provider, many at once, and writes the answers to tickets.commands.

Guarantee: a record is finished when the broker has acknowledged its command, or its dead letter. Offsets are committed
up to the first unfinished record. A request without an answer is sent again with the same key. While the provider
answers no request at all, this goes on. Otherwise the record becomes a dead letter with an alarm after TRIES_MAX tries,
about half a minute. A job with an unexpected error becomes a dead letter too (`connectors.failure_policy`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors import clock, tracing
from connectors.backoff import Backoff
from connectors.failure_policy import FailureBound, is_of_record
from connectors.kafka import committed_offsets, producer
from connectors.log_reader import log_place, offset_of, stamp_of
from connectors.logs import Log
from connectors.metrics import RECORD_AGES
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.tracing import TRACEPARENT, OpenSpan, SpanRole, traceparent_of
from pipelines.payments.metrics import REQUEST_SECONDS, REQUESTS, UNFINISHED
from pipelines.payments.progress import PartitionProgress
from pipelines.payments.providers.protocol import OutcomeUnknown, PaymentProvider, RequestRefused
from pipelines.payments.requests import FLOW, ChargeJob, RefundJob, Request, charged, refunded, refused
from schemas import cloudevents
from schemas.commands import RecordPayment, RecordRefund, RecordRefundFailure
from schemas.statuses import RefundStatus
from schemas.topics import COMMANDS, FACTS, dead_letters
from sinks.dead_letters import Header, dead_letter
from sinks.kafka_transaction import Outgoing

IN_FLIGHT_MAX = 128  # a provider accepts so many at once; a restart sends these again
BACKLOG_MAX = 4_000  # waiting jobs; beyond it no batch is taken until some are done
TRIES_MAX = 12  # with the backoff about 30 s; for one request, while the provider answers others
BACKOFF = Backoff(first_s=0.1, max_s=5.0)
CALL_TIMEOUT_S = 10.0  # a request without an answer in this time is sent again
COMMIT_EVERY_S = 0.5
STOP_TIMEOUT_S = 3.0  # unfinished jobs run again after the restart

LETTERS = dead_letters(FACTS)
KINDS = {ChargeJob: "charge", RefundJob: "refund"}
PASSED_ON = frozenset({"reply_to", "reply_key", "traceparent"})

log = Log("payments")


class Job(NamedTuple):
    """A request and the record that asks for it."""

    record: Message
    request: Request


@contextmanager
def payment_span(job: Job) -> Iterator[OpenSpan | None]:
    """The span of a request to the provider, in the trace of the fact that asks for it; None if there is none."""
    tracer = tracing.active()
    parent = traceparent_of(job.record.headers()) if tracer is not None else ""  # type: ignore[arg-type]
    if tracer is None or not parent:
        yield None
        return
    name = "capture payment" if isinstance(job.request, ChargeJob) else "refund payment"
    with tracer.span(name, SpanRole.CLIENT, parent=parent) as span:
        yield span


class _Refused(Exception):
    """The provider refuses a refund. `command` records this on the log."""

    def __init__(self, why: str, command: RecordRefundFailure) -> None:
        super().__init__(why)
        self.command = command


class Cashier:
    """Owns the source's partitions, and an event loop in its own thread. Public methods belong to the flow's thread."""

    def __init__(
        self,
        settings: Settings,
        client: Consumer,
        provider: Callable[[], PaymentProvider],
        *,
        stop_requested: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client, self._make_provider, self._stop_requested = client, provider, stop_requested
        self._codec, self._producer = codec_of(settings), producer(settings)
        self._progress: dict[int, PartitionProgress] = {}
        self._committed: dict[int, int] = {}
        self._finished: list[tuple[PartitionProgress, int]] = []  # any thread appends, the flow's thread takes
        self._looked = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cashier", daemon=True)
        self._jobs: set[Future[None]] = set()
        self._places = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._provider: PaymentProvider | None = None
        self._failed: BaseException | None = None
        self._bound = FailureBound(FLOW)
        self._answered_at = 0.0  # when the provider last answered any request

    def __enter__(self) -> Self:
        self._thread.start()
        self._provider = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(2 * STOP_TIMEOUT_S)
        self._producer.flush(STOP_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_TIMEOUT_S)
        self._loop.close()

    def assigned(self, consumer: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Go on from the committed offsets. Unfinished requests are sent again."""
        for partition in partitions:
            self._progress[partition] = PartitionProgress()
        return committed_offsets(consumer, FACTS, partitions)

    def revoked(self, partitions: list[int]) -> None:
        """Commit the finished records. Running jobs go on: a second command with the same answer does no harm."""
        self._commit(wait=True)
        for partition in partitions:
            self._progress.pop(partition, None)
            self._committed.pop(partition, None)

    def take(self, records: list[Message], jobs: list[Job]) -> None:
        """Begin the jobs of a batch. Waits while the backlog is full."""
        for job in jobs:
            partition, offset = log_place(job.record)
            progress = self._progress[partition]
            progress.begin(offset)
            self._begin(job, partial(self._finish, job, progress))
        for record in records:
            partition, offset = log_place(record)
            self._progress[partition].passed(offset)
        while len(self._jobs) > BACKLOG_MAX and self._failed is None and not self._stop_requested():
            self._producer.poll(0.05)

    def ask_again(self, job: Job, ended: Callable[[str], None]) -> None:
        """Begin a job that was given up; the offset of its fact is finished already. Any thread may call.

        `ended` gets the error, "" for none, when the records of the job are acknowledged.
        """
        self._begin(job, ended)

    def partitions(self) -> list[int]:
        """The assigned partitions. Any thread may call."""
        return list(self._progress)

    def look_after(self) -> None:
        """Between polls: serve the producer, and commit every COMMIT_EVERY_S. An error that stopped a job is raised."""
        self._producer.poll(0)
        if self._failed is not None:
            raise self._failed
        if time.monotonic() - self._looked >= COMMIT_EVERY_S:
            self._looked = time.monotonic()
            self._commit(wait=False)

    def _begin(self, job: Job, ended: Callable[[str], None]) -> None:
        running = asyncio.run_coroutine_threadsafe(self._work(job, ended), self._loop)
        self._jobs.add(running)
        UNFINISHED.inc()
        running.add_done_callback(self._done)

    def _finish(self, job: Job, progress: PartitionProgress, _error: str) -> None:
        RECORD_AGES.observe("charged", [stamp_of(job.record)], clock.now_ms())
        self._finished.append((progress, offset_of(job.record)))

    def _commit(self, *, wait: bool) -> None:
        finished, self._finished = self._finished, []
        for progress, offset in finished:
            progress.finish(offset)
        ahead: dict[int, int] = {}
        for partition, progress in self._progress.items():
            next_offset = progress.next_offset
            if next_offset is not None and next_offset != self._committed.get(partition):
                ahead[partition] = next_offset
        if not ahead:
            return
        places = [TopicPartition(FACTS, partition, offset) for partition, offset in ahead.items()]
        try:
            if wait:
                self._client.commit(offsets=places, asynchronous=False)
            else:
                self._client.commit(offsets=places)
        except KafkaException as error:  # the next commit covers these offsets too
            log.warning("commit.failed", error=str(error.args[0]))
            return
        self._committed |= ahead

    async def _open(self) -> PaymentProvider:
        return self._make_provider()

    async def _shut(self) -> None:
        """Cancel the running jobs. A successor sends unfinished requests again."""
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        assert self._provider is not None
        await self._provider.close()

    async def _work(self, job: Job, ended: Callable[[str], None]) -> None:
        async with self._places:
            with payment_span(job) as span:
                outgoing = await self._outgoing(job)
                if span is not None:
                    span.set(circle__records=" ".join(one.topic for one in outgoing))
        acknowledged = self._when_acknowledged(partial(ended, _error_in(outgoing)), len(outgoing))
        for one in outgoing:
            self._producer.produce(
                one.topic, one.value, one.key, one.partition, headers=one.headers, on_delivery=acknowledged
            )

    async def _outgoing(self, job: Job) -> list[Outgoing]:
        """The records to write for a job: a command, a dead letter, or both for a refused refund."""
        try:
            command = await self._ask(job)
            outgoing = [_letter(job, command) if isinstance(command, str) else self._told(job.record, command)]
        except _Refused as refusal:  # the command is for the log; with the letter a person can ask again
            outgoing = [_letter(job, str(refusal)), self._told(job.record, refusal.command)]
        except Exception as error:
            if not is_of_record(error):
                raise
            partition, offset = log_place(job.record)
            log.exception("job.set_aside", error, partition=partition, offset=offset, key=job.request.key)
            return [_letter(job, self._bound.failed(error))]
        self._bound.went_well()
        return outgoing

    def _told(self, record: Message, command: RecordPayment | RecordRefund | RecordRefundFailure) -> Outgoing:
        now = clock.now_rfc3339()
        headers = cloudevents.headers(cloudevents.PAYMENTS, command.command_id, type(command).__name__, now)
        original = cast("list[Header]", record.headers() or [])
        headers += [header for header in original if header[0] in PASSED_ON]
        if own := tracing.current_traceparent():
            headers = [header for header in headers if header[0] != TRACEPARENT] + [(TRACEPARENT, own.encode())]
        value = self._codec.encode(command)
        partition, _ = log_place(record)
        return Outgoing(
            topic=COMMANDS, partition=partition, key=command.event_id.encode(), value=value, headers=headers
        )

    async def _ask(self, job: Job) -> RecordPayment | RecordRefund | str:
        """The command with the provider's answer, or the reason why there is none. Raises _Refused for a refund."""
        request, problem, attempt, began_at = job.request, "", 0, time.monotonic()
        refusal, kind = False, KINDS[type(request)]
        while attempt < TRIES_MAX or self._answered_at < began_at:  # a provider that answers no request is away
            attempt += 1
            try:
                with REQUEST_SECONDS.labels(kind).time():
                    async with asyncio.timeout(CALL_TIMEOUT_S):
                        command = await self._call(request)
                self._answered_at = time.monotonic()
                REQUESTS.labels(kind, _outcome(command)).inc()
                return command
            except (OutcomeUnknown, TimeoutError) as error:
                REQUESTS.labels(kind, "unknown").inc()
                problem = str(error) or f"no answer in {CALL_TIMEOUT_S:.0f} s"
                log.warning("provider.unknown", key=request.key, attempt=attempt, error=problem)
            except RequestRefused as error:
                REQUESTS.labels(kind, "refused").inc()
                self._answered_at, problem, refusal = time.monotonic(), str(error), True
                break
            await asyncio.sleep(BACKOFF.spread_s(attempt - 1))
        log.error("provider.given_up", key=request.key, reservation=request.reservation_id, error=problem)
        problem = f"payment provider: {problem}"
        if refusal and isinstance(request, RefundJob):
            raise _Refused(problem, refused(request, problem))
        return problem

    async def _call(self, request: ChargeJob | RefundJob) -> RecordPayment | RecordRefund:
        provider = self._provider
        assert provider is not None
        if isinstance(request, ChargeJob):
            return charged(request, await provider.capture(request))
        return refunded(request, await provider.refund(request))

    def _when_acknowledged(
        self, ended: Callable[[], None], records: int
    ) -> Callable[[KafkaError | None, Message], None]:
        left = [records]  # only the producer's thread changes it

        def acknowledged(error: KafkaError | None, _record: Message) -> None:
            if error is not None:  # not on the log: the offset stays, and a restart repeats the job
                self._failed = KafkaException(error)
                return
            left[0] -= 1
            if not left[0]:
                ended()

        return acknowledged

    def _done(self, job: Future[None]) -> None:
        self._jobs.discard(job)
        UNFINISHED.dec()
        if not job.cancelled() and job.exception() is not None:
            self._failed = job.exception()


def _letter(job: Job, error: str) -> Outgoing:
    """The dead letter of a job. It names payments, so that an operator can have the provider asked again."""
    return dead_letter(job.record, error, by=FLOW)


def _error_in(outgoing: Iterable[Outgoing]) -> str:
    """The error of the dead letter among these records; "" without one."""
    for one in outgoing:
        if one.topic == LETTERS:
            return (dict(one.headers).get("error") or b"").decode(errors="replace")  # type: ignore[union-attr]
    return ""


def _outcome(command: RecordPayment | RecordRefund) -> str:
    return command.outcome if isinstance(command, RecordPayment) else RefundStatus.REFUNDED.value
