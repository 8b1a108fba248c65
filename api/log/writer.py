"""The command producer: one command in, one acknowledged position out.

Guarantee: a `Submission` with `acked` is durable on the log (`acks=all`, idempotent). A failed one may be on the log
or not: the caller answers 503, and the client can safely send the same Idempotency-Key again.

The event loop itself polls the client's queue while a command is unacknowledged: every POLL_S when a request waits for
an acknowledgement, every UNHURRIED_POLL_S when all wait for their outcomes. One poll resolves every request that was
delivered since the last, and no thread competes with the loop for the interpreter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from secrets import token_urlsafe
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from api.auth.keys import Key
from api.fairness.admission import UNLIMITED, Passage
from api.fairness.limits import DELIVERY_TIMEOUT_MS, IN_FLIGHT_MAX
from api.http.problem import Problem, busy, retry_after
from api.log.receipts import Acknowledged
from api.metrics import METRICS
from connectors import clock, kafka, logs, tracing
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.tracing import OpenSpan
from schemas import cloudevents
from schemas.commands import Command, ReserveTickets
from schemas.ids import US_PER_MS, CommandId, EventId
from schemas.replies import REPLY_KEY, REPLY_TO, Reply, decode_replies, opened
from schemas.requests_in_turn import in_turn
from schemas.statuses import ReplyOutcome
from schemas.times import rfc3339
from schemas.topics import COMMANDS as TOPIC

POLL_S = 0.001  # as long as linger.ms: polling more often would not deliver sooner
UNHURRIED_POLL_S = 0.01  # outcomes come over Redis; other processes hear of the write, or of a failure, this much later
FLUSH_S = 5.0
# An idempotent producer's session is over. After a record times out, its client asks for a new epoch. If the broker
# answers "fenced" (the embedded one does), the client cannot recover.
SESSION_LOST = frozenset(
    (
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.UNKNOWN_PRODUCER_ID,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    )
)

log = logs.get("api.log.writer")


class Submission:
    """One command on its way. `future` ends with the Reply, with None (acknowledged; no outcome in time), or with a
    Problem."""

    __slots__ = (
        "_arrived", "_batch", "_number", "acked", "answered", "command", "future", "hurried", "offset", "overdue",
        "partition", "passage", "wants_reply", "writer",
    )  # fmt: skip

    def __init__(
        self,
        writer: LogWriter,
        command: Command,
        passage: Passage,
        future: asyncio.Future[Reply | None],
        wants_reply: bool,
    ) -> None:
        self.writer, self.command, self.passage = writer, command, passage
        self.future, self.wants_reply = future, wants_reply
        self.acked = self.answered = self.overdue = self.hurried = False
        self.partition = self.offset = -1
        self._batch: Acknowledged | None = None
        self._number = 0
        self._arrived: asyncio.Future[None] | None = None

    def lost(self, why: Problem) -> None:
        """The command may be on the log or not: its request gets `why`."""
        self._answered()
        if not self.future.done():
            self.future.set_exception(why)

    def stored(self, partition: int, offset: int, batch: Acknowledged, number: int) -> None:
        """The command is on the log, in the record that has this number among those that were acknowledged together."""
        self._answered()
        self.acked = True
        self.partition, self.offset = partition, offset
        self._batch, self._number = batch, number
        self.writer.written(self.command, partition, offset)
        if (self.overdue or not self.wants_reply) and not self.future.done():
            self.future.set_result(None)

    def _answered(self) -> None:
        self.answered = True
        if self.hurried:
            self.writer.hurried -= 1
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def replied(self, reply: Reply) -> None:
        """Handle the outcome. It comes after the log's commit, so it is an acknowledgement too."""
        if not self.future.done():
            self.acked = True
            self.future.set_result(reply)

    async def arrived(self) -> None:
        """Wait for the broker's answer, which the outcome may have overtaken. Only this answer allows a receipt."""
        if not self.answered and self._arrived is None:
            self._arrived = asyncio.get_running_loop().create_future()
            self.writer.hurry(self)
            await self._arrived

    def receipt(self) -> str:
        """The signed position. Raises Problem not-acknowledged without the broker's own acknowledgement."""
        if self._batch is None:
            raise not_acknowledged("no acknowledgement came")
        return self._batch.receipt(self._number)

    def time_out(self) -> None:
        """Stop to wait for the outcome. The acknowledgement is still awaited."""
        self.overdue = True
        if self.acked and not self.future.done():
            self.future.set_result(None)
        elif not self.answered:
            self.writer.hurry(self)


class _Delivery:
    """A record on its way, with the commands in it: one, or requests that are decided in turn."""

    __slots__ = ("_client", "_key", "_submissions", "_value", "_writer", "span")

    def __init__(
        self, writer: LogWriter, client: Producer, submissions: Sequence[Submission], key: str, value: bytes
    ) -> None:
        self._writer, self._client, self._submissions = writer, client, submissions
        self._key, self._value = key, value
        self.span: OpenSpan | None = None

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Handle the broker's answer. Runs in the event loop, within a poll."""
        self._writer.unacked -= 1
        if error is not None:
            self._writer.failed(error, self._client)
            if self.span is not None:
                self.span.fail(error.name())
                self.span.end()
            for submission in self._submissions:
                submission.lost(not_acknowledged(error.str()))
            return
        partition, offset = message.partition() or 0, message.offset() or 0
        if self.span is not None:
            self.span.at(partition, offset)
            self.span.end()
        batch = self._writer.acknowledged()
        number = batch.add(partition, offset, self._key, self._value)
        for submission in self._submissions:
            submission.stored(partition, offset, batch, number)


class LogWriter:
    """Writes commands. One per process; not for use outside its event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        reply_to: str,
        key: Key,
        written: Callable[[Command, int, int], None],
        unasked: Callable[[Reply], None] = lambda _: None,
    ) -> None:
        """`written` is called with each acknowledged command, its partition and its offset; `unasked` with each reply
        that no request waits for."""
        self.written, self._unasked = written, unasked
        self.waiting: dict[str, Submission] = {}
        self._acknowledged = Acknowledged(key)
        self.unacked = self.hurried = 0
        self._settings = settings
        self._codec, self._key = codec_of(settings), key
        self._producer = self._connect()
        self._retired: list[Producer] = []  # they still have unfinished records
        self._loop = asyncio.get_running_loop()
        self._next_poll: asyncio.Handle | None = None
        self._polls_at = 0.0  # kept here: uvloop's handle of a call that is due at once does not know when
        self._prefix = uuid4().hex[:16]
        self._count = 0
        self._time = (0, "")
        self._reply_key = token_urlsafe(16).encode()  # 128 bits; printable, like every other header
        self._answer_to: list[tuple[str, str | bytes | None]] = [
            (REPLY_TO, reply_to.encode()),
            (REPLY_KEY, self._reply_key),
        ]

    def next_id(self) -> CommandId:
        """A unique id for a command."""
        self._count += 1
        return CommandId(f"{self._prefix}-{self._count:x}")

    def send(
        self, command: Command, *, wants_reply: bool, traceparent: str | None = None, passage: Passage = UNLIMITED
    ) -> Submission:
        """Pass a command to the Kafka client. Raises Problem busy (503) if too many are under way.

        With `wants_reply` the caller has to remove the command from `waiting` afterwards. The command may ask for a
        reply without it: when its passage needs one to measure the delay of decisions.
        """
        submission = self._admitted(command, passage, wants_reply)
        asks = wants_reply or passage.probes(command.command_id)
        self._produce(command, (submission,), asks=asks, traceparent=traceparent)
        if wants_reply:
            self.waiting[command.command_id] = submission
            self._poll_soon()
        else:
            self.hurry(submission)
        return submission

    def queue(self, command: Command, passage: Passage = UNLIMITED) -> Submission:
        """A command that `send_in_turn` sends later, with others. Raises Problem busy (503).

        The caller has to remove the command from `waiting` afterwards.
        """
        submission = self._admitted(command, passage, wants_reply=True)
        self.waiting[command.command_id] = submission
        return submission

    def send_in_turn(
        self, event_id: EventId, submissions: Sequence[Submission], requests: list[ReserveTickets]
    ) -> None:
        """Pass the requests of queued submissions to the Kafka client, in one record. If it takes no more, each of them
        gets Problem busy (503): nothing of the record is on the log."""
        try:
            self._produce(in_turn(event_id, self.next_id(), requests), submissions, asks=True)
        except Problem as refused:
            for submission in submissions:
                submission.lost(refused)
            return
        self._poll_soon()

    def _admitted(self, command: Command, passage: Passage, wants_reply: bool) -> Submission:
        if self.unacked >= IN_FLIGHT_MAX or len(self.waiting) >= IN_FLIGHT_MAX:
            raise busy("too many requests wait for the log")
        future = self._loop.create_future()
        return Submission(writer=self, command=command, passage=passage, future=future, wants_reply=wants_reply)

    def _produce(
        self, command: Command, submissions: Sequence[Submission], *, asks: bool, traceparent: str | None = None
    ) -> None:
        """Pass a record to the Kafka client; with `asks` it asks for replies. Raises Problem busy (503)."""
        headers = cloudevents.headers(cloudevents.API, command.command_id, type(command).__name__, self._now())
        if asks:
            headers += self._answer_to
        span = tracing.begin_send(TOPIC, type(command).__name__, parent=traceparent)
        if span is not None:
            traceparent = span.traceparent or traceparent
        if traceparent:
            headers.append(("traceparent", traceparent.encode("latin-1", "replace")))
        value = self._codec.encode(command)
        client = self._producer
        delivery = _Delivery(writer=self, client=client, submissions=submissions, key=command.event_id, value=value)
        delivery.span = span
        try:
            client.produce(TOPIC, value, command.event_id, headers=headers, on_delivery=delivery.delivered)
        except (BufferError, KafkaException) as error:
            if span is not None:
                span.fail(type(error).__name__)
                span.end()
            if isinstance(error, KafkaException):
                self.failed(error.args[0], client)
            raise busy("the queue to the log is full") from error
        self.unacked += 1

    def _poll_soon(self) -> None:
        """Poll for acknowledgements, at once if a request waits for one."""
        if self._next_poll is None:
            self._poll_at(self._loop.time() + (POLL_S if self.hurried else UNHURRIED_POLL_S))

    def hurry(self, submission: Submission) -> None:
        """A request waits for this acknowledgement: poll for it soon."""
        if submission.hurried:
            return
        submission.hurried = True
        self.hurried += 1
        soon = self._loop.time() + POLL_S
        if self._next_poll is None or self._polls_at > soon:
            if self._next_poll is not None:
                self._next_poll.cancel()
            self._poll_at(soon)

    def replies(self, data: bytes) -> None:
        """Handle a message of this process's channel. A message without its seal is forged, and is dropped."""
        message = opened(data, self._reply_key)
        if message is None:
            METRICS.forged.inc()
            log.warning("reply.forged", bytes=len(data))
            return
        for reply in decode_replies(message):
            self.replied(reply)

    def replied(self, reply: Reply) -> None:
        """Resolve the request that waits for this reply, if this process has it and the reply is final.

        A pending reply is not final, except for a duplicate: there the final reply goes to the first request.
        """
        submission = self.waiting.get(reply.command_id)
        if submission is None:
            self._unasked(reply)
            return
        submission.passage.decided(reply.offset)
        if reply.outcome != ReplyOutcome.PENDING or reply.duplicate:
            del self.waiting[reply.command_id]
            submission.replied(reply)

    def acknowledged(self) -> Acknowledged:
        """The records of this poll that share one signature."""
        if self._acknowledged.full:
            self._acknowledged = Acknowledged(self._key)
        return self._acknowledged

    def failed(self, error: KafkaError, client: Producer) -> None:
        """Handle a failed delivery. After some errors a client refuses all later records: then replace it."""
        log.warning("delivery.failed", error=error.str(), code=error.name(), fatal=error.fatal())
        if client is self._producer and (error.fatal() or error.code() in SESSION_LOST):
            self._retired.append(self._producer)
            self._producer = self._connect()
            log.warning("producer.renewed", code=error.name())

    def check(self, timeout_s: float) -> int:
        """The number of partitions of the commands topic, from the broker. Blocks; raises KafkaException."""
        topic = self._producer.list_topics(TOPIC, timeout=timeout_s).topics[TOPIC]
        if topic.error is not None:
            raise KafkaException(topic.error)
        return len(topic.partitions)

    def close(self) -> None:
        """Wait up to FLUSH_S for outstanding acknowledgements."""
        left = self._producer.flush(FLUSH_S)
        if left:
            log.warning("closed.unacknowledged", records=left)

    def _poll(self) -> None:
        try:
            self._acknowledged = Acknowledged(self._key)
            self._producer.poll(0)
            for client in tuple(self._retired):
                client.poll(0)
                if not len(client):
                    self._retired.remove(client)
        finally:
            self._next_poll = None
            if self.unacked:
                self._poll_at(self._loop.time() + (POLL_S if self.hurried else UNHURRIED_POLL_S))

    def _poll_at(self, when: float) -> None:
        self._polls_at, self._next_poll = when, self._loop.call_at(when, self._poll)

    def _connect(self) -> Producer:
        options: dict[str, Any] = {
            "message.timeout.ms": DELIVERY_TIMEOUT_MS,
            "socket.timeout.ms": DELIVERY_TIMEOUT_MS,
            "queue.buffering.max.messages": IN_FLIGHT_MAX * 2,
            "max.in.flight.requests.per.connection": 1,  # later records leave together: batches grow with load
        }
        return kafka.producer(self._settings, **options)

    def _now(self) -> str:
        milliseconds = clock.now_ms()
        if self._time[0] != milliseconds:
            self._time = (milliseconds, rfc3339(milliseconds * US_PER_MS))
        return self._time[1]


def not_acknowledged(why: str) -> Problem:
    """503: the command may be on the log or not. The client can safely send the same key again."""
    return Problem(
        "not-acknowledged",
        f"the log has not acknowledged the request ({why}); send it again with the same Idempotency-Key",
        headers=retry_after(),
    )
