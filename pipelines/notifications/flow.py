"""Three branches in one process: tickets.facts → notifications.outbound → inbox, and notifications.outbound → mail.

Each fact is delivered once:
- The first branch writes messages and its offsets in one Kafka transaction. A broker without transactions may show a
  message twice; the other branches recognise it by its identity.
- The second branch stores messages by their identity, with its position, in one Postgres transaction. After that, one
  message on CHANNEL names the users who have new messages.
- The third branch stores due mails by their identity, then commits its offsets. The postman sends the mails at the pace
  of the mail server.

Webhook calls are made from facts, not from messages. The first branch stores the due calls by their identity, before
its transaction; the postman makes them. PostgreSQL knows the organizer of an event; most facts do not name them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from confluent_kafka import Consumer
from confluent_kafka import Message as Record

from connectors.execution import execute
from connectors.failure_policy import Bound, is_of_record
from connectors.kafka import (
    UNHURRIED,
    BatchSource,
    Gate,
    PartitionOwner,
    StopFlag,
    committed_offsets,
    consumer,
    transactional_producer,
)
from connectors.log_bounds import check_on_log
from connectors.log_reader import log_place
from connectors.logs import Log
from connectors.postgres import Database
from connectors.publisher import Publisher
from connectors.readiness import signal_ready
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from pipelines.command_places import CommandPlaces
from pipelines.intake import Intake
from pipelines.notifications.account_messages import DirectDesk
from pipelines.notifications.calls import TYPES
from pipelines.notifications.compose import compose
from pipelines.notifications.inbox import Delivered, Delivery, InboxPositions, InboxStore, PutAside
from pipelines.notifications.kinds import Channel
from pipelines.notifications.mail.accounts import AccountDesk
from pipelines.notifications.mail.desk import MailDesk
from pipelines.notifications.mail.store import MailBatch, MailPositions, MailStore, commit_offsets
from pipelines.notifications.mail.transport import transport
from pipelines.notifications.outbound import StoredRecord, outgoing
from pipelines.notifications.webhooks.desk import WEBHOOKS, WebhookDesk
from pipelines.notifications.webhooks.store import WebhookStore
from schemas.codec import RECORD_BYTES_MAX, Codec, Undecodable
from schemas.facts import RecordedFact
from schemas.topics import FACTS, NOTIFICATIONS
from sinks.batch_sink import BatchSink
from sinks.dead_letters import DeadLetters, dead_letter, is_redriven_for
from sinks.kafka_transaction import Consumed, KafkaTransactions, Outgoing
from sinks.postman import Desk, Postman

COMPOSE_GROUP, INBOX_GROUP, MAIL_GROUP = "circle.notifications", "circle.inbox", "circle.mail"
CHANNEL = "circle:notified"
FLOW = "notifications"  # on dead letters of facts: the flow that gets them again
POLL_S = 0.005  # sources take turns in one thread, so each poll is short
MAIL_POLL_S = 0.0  # … and the mail branch never makes the others wait

log = Log("notifications")


class Composed(NamedTuple):
    """A batch of facts as messages, and the offsets behind it."""

    outgoing: list[Outgoing]
    for_organizers: dict[int, tuple[RecordedFact, Record]]  # by the fact's identity here, each with its record
    next_offsets: dict[tuple[str, int], int]


class FactPositions:
    """The first branch's partitions. They go on from the group's committed offsets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.intakes: dict[int, Intake] = {}
        self._places = CommandPlaces(settings)
        self._bound = Bound("notifications")

    def assigned(self, client: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Go on from the committed offsets."""
        starts = committed_offsets(client, FACTS, partitions)
        check_on_log(self._settings, client, FACTS, starts)
        for partition, start in starts.items():
            self.intakes[partition] = Intake(next_offset=start)
        return starts

    def revoked(self, partitions: list[int]) -> None:
        for partition in partitions:
            self.intakes.pop(partition, None)

    def compose(self, batch: list[Record], codec: Codec) -> Composed:
        """The messages of a batch, each fact once. Unreadable records go to the dead letters."""
        records: list[Outgoing] = []
        for_organizers: dict[int, tuple[RecordedFact, Record]] = {}
        for record in batch:
            partition, offset = log_place(record)
            intake = self.intakes[partition]
            found = self._places.in_place(partition, codec.decode(record.value()))
            if not isinstance(found, RecordedFact):
                intake.skip(offset)
                error = found.error if isinstance(found, Undecodable) else f"a {type(found).__name__}, which is no fact"
                records.append(dead_letter(record, f"notifications: {error}"))
                continue
            if record.headers() and is_redriven_for(record, FLOW):  # once more: deliverers drop known messages
                intake.skip(offset)
                facts = [found]
            else:
                facts = intake.take(offset, found)
            for fact in facts:
                if type(fact.fact) in TYPES:
                    for_organizers[id(fact)] = (fact, record)
                records += self._messages(fact, record, codec)
        touched = {log_place(record)[0] for record in batch}
        nexts = {(FACTS, partition): self.intakes[partition].next_offset for partition in touched}
        return Composed(
            records, for_organizers, {place: offset for place, offset in nexts.items() if offset is not None}
        )

    def _messages(self, fact: RecordedFact, record: Record, codec: Codec) -> list[Outgoing]:
        """A fact's messages, or a dead letter if they cannot be made."""
        try:
            messages = [outgoing(message, codec) for message in compose(fact)]
            longest = max((len(message.value) for message in messages), default=0)
            if longest > RECORD_BYTES_MAX:
                raise ValueError(f"a message of {longest} bytes, which is more than {RECORD_BYTES_MAX}")
        except Exception as error:
            if not is_of_record(error):
                raise
            log.exception("fact.not_composed", error, offset=fact.envelope.offset, partition=fact.envelope.partition)
            return [dead_letter(record, self._bound.failed(error), by=FLOW)]
        self._bound.went_well()
        return messages


@dataclass(frozen=True, slots=True)
class NotificationsDeps:
    """What the flow is made of."""

    facts: BatchSource
    compose: Callable[[list[Record]], Composed]
    commit: Callable[[Composed], None]
    outbound: BatchSource
    read: Callable[[list[Record]], Delivered]
    deliver: Callable[[Delivered], None]
    mail: BatchSource
    mails: Callable[[list[Record]], MailBatch]
    put_mails: Callable[[MailBatch], None]


def build(deps: NotificationsDeps) -> Dataflow:
    """The flow."""
    flow = Dataflow("notifications")
    facts = op.input("facts", flow, deps.facts)
    composed = op.map("compose", facts, deps.compose)
    op.output("commit", composed, BatchSink(deps.commit))
    outbound = op.input("outbound", flow, deps.outbound)
    read = op.map("read", outbound, deps.read)
    op.output("inbox", read, BatchSink(deps.deliver))
    mail = op.input("mail", flow, deps.mail)
    mails = op.map("mails", mail, deps.mails)
    op.output("due", mails, BatchSink(deps.put_mails))
    return flow


def run(settings: Settings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    database, publisher = Database(settings.postgres_url), Publisher(settings)
    server = transport(settings)
    if server is None:
        log.info("mail.off", why="CIRCLE_SMTP_URL is not set: messages go to the inbox and the live stream only")
    desks: list[Desk] = [DirectDesk(settings), WebhookDesk(settings), AccountDesk(settings, server)]
    if server is not None:
        desks.append(MailDesk(settings, server))
    with closing(database), closing(publisher), Postman(settings, desks) as postman:
        return execute(build(wire(settings, database, publisher, stop, postman)), log)


def wire(
    settings: Settings, database: Database, publisher: Publisher, stop: StopFlag, postman: Postman
) -> NotificationsDeps:
    """Connect everything that the dataflow needs."""
    codec = codec_of(settings)
    waiting = {COMPOSE_GROUP, INBOX_GROUP, MAIL_GROUP}

    def source(topic: str, group: str, owner: PartitionOwner, gate: Gate, poll_s: float = POLL_S) -> BatchSource:
        def assigned(_partitions: list[int]) -> None:
            waiting.discard(group)
            if not waiting:
                signal_ready("notifications")

        client = consumer(settings, group=group, **UNHURRIED)
        look = postman.look_after
        return BatchSource(
            client,
            topic=topic,
            owner=owner,
            gate=gate,
            stop=stop,
            poll_s=poll_s,
            before_poll=look,
            on_assigned=assigned,
        )

    facts, facts_gate = FactPositions(settings), Gate()
    fact_source = source(FACTS, COMPOSE_GROUP, facts, facts_gate)
    transactions = KafkaTransactions(
        transactional_producer(settings, f"circle-notifications-{settings.instance}"), fact_source.client
    )
    inbox = InboxStore(database, stop_requested=lambda: stop.requested)
    outbound, outbound_gate = InboxPositions(settings, inbox), Gate()
    outbound_source = source(NOTIFICATIONS, INBOX_GROUP, outbound, outbound_gate)
    store = MailStore(database, stop_requested=lambda: stop.requested)
    mail, mail_gate = MailPositions(settings, wanted=settings.smtp_url is not None), Gate()
    mail_source = source(NOTIFICATIONS, MAIL_GROUP, mail, mail_gate, MAIL_POLL_S)
    dead_letters = DeadLetters(settings)
    return NotificationsDeps(
        facts=fact_source,
        compose=lambda batch: facts.compose(batch, codec),
        commit=committer(
            transactions, WebhookStore(database, stop_requested=lambda: stop.requested), postman, facts_gate
        ),
        outbound=outbound_source,
        read=lambda batch: outbound.read(batch, codec),
        deliver=deliverer(inbox, dead_letters, publisher, outbound_gate, codec),
        mail=mail_source,
        mails=lambda batch: mail.read(batch, codec),
        put_mails=mailer(store, dead_letters, mail_source.client, postman, mail_gate, codec),
    )


def committer(
    transactions: KafkaTransactions, webhooks: WebhookStore, postman: Postman, gate: Gate
) -> Callable[[Composed], None]:
    """The first branch's sink: first the due calls, then messages, dead letters and offsets in one transaction."""

    def commit(batch: Composed) -> None:
        letters: list[Outgoing] = []

        def put_aside(failed: list[tuple[RecordedFact, str]]) -> None:
            letters[:] = [dead_letter(batch.for_organizers[id(fact)][1], error, by=FLOW) for fact, error in failed]

        due = webhooks.put([fact for fact, _ in batch.for_organizers.values()], put_aside)
        transactions.commit([*batch.outgoing, *letters], Consumed(batch.next_offsets))
        gate.done()
        if due:
            postman.wake(WEBHOOKS)

    return commit


def deliverer(
    store: InboxStore, dead_letters: DeadLetters, publisher: Publisher, gate: Gate, codec: Codec
) -> Callable[[Delivered], None]:
    """The second branch's sink: first dead letters (they must not be lost), then the inbox, then the message."""

    def deliver(batch: Delivered) -> None:
        for record, error in batch.unreadable:
            dead_letters.put(record, error)
        dead_letters.flush()
        aside = dead_letter_writer(dead_letters, codec)
        users = store.write(batch.deliveries, aside, before=batch.before, after=batch.after)
        gate.done()
        if users:
            publisher.publish_json(CHANNEL, {"users": users})
        log.debug("batch.delivered", messages=len(batch.deliveries), users=len(users))

    return deliver


def dead_letter_writer(dead_letters: DeadLetters, codec: Codec) -> PutAside:
    """Puts deliveries into the dead letters of their topic. Each record is encoded again from its message."""

    def put_aside(failed: list[tuple[Delivery, str]]) -> None:
        for (partition, offset, message), error in failed:
            dead_letters.put(StoredRecord(outgoing(message, codec), partition, offset, message.created_at), error)
        dead_letters.flush()

    return put_aside


def mailer(
    store: MailStore, dead_letters: DeadLetters, client: Consumer, postman: Postman, gate: Gate, codec: Codec
) -> Callable[[MailBatch], None]:
    """The third branch's sink: dead letters, then the rows, then the offsets, then a signal to the postman."""

    def put(batch: MailBatch) -> None:
        for record, error in batch.unreadable:
            dead_letters.put(record, error)
        dead_letters.flush()
        due = store.put(batch.deliveries, dead_letter_writer(dead_letters, codec))
        commit_offsets(client, batch.next_offsets)
        gate.done()
        if due:
            postman.wake(Channel.MAIL)

    return put
