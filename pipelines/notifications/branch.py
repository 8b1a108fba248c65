"""tickets.facts → messages: the branch of the read side that writes inboxes, due mails and due webhook calls.

Each fact is delivered once: a message is a row with the fact's position, in the transaction of the read side. Each mail
and each call is a row first. The postman sends it, at the pace of each receiver. After the commit, one message on
CHANNEL names the users with new messages. When the rows are rebuilt from the log, inboxes fill again, and nothing is
sent: `pipelines.notifications.sent_positions` keeps how far messages have left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import Consumer

from connectors.kafka import committed_offsets, consumer
from connectors.logs import Log
from connectors.postgres import Connection, Database
from pipelines.branches.branch import Branch, News, Part, Positions
from pipelines.notifications.account_messages import AccountMessageDesk
from pipelines.notifications.calls import TYPES
from pipelines.notifications.compose import compose
from pipelines.notifications.delivery_spans import Traces
from pipelines.notifications.export import EXPORT, ExportDesk, put_exports
from pipelines.notifications.former_topic import deliver_the_rest
from pipelines.notifications.inbox import put_inbox
from pipelines.notifications.kinds import Channel
from pipelines.notifications.mail.accounts import AccountDesk
from pipelines.notifications.mail.desk import MailDesk
from pipelines.notifications.mail.store import put_mails
from pipelines.notifications.mail.transport import transport
from pipelines.notifications.sent_positions import advance_sent, sent_positions
from pipelines.notifications.webhooks.desk import WEBHOOKS, WebhookDesk
from pipelines.notifications.webhooks.store import put_calls
from pipelines.platform_settings import PlatformSettings
from schemas.facts import RecordedFact
from schemas.notifications import Notification
from schemas.topics import FACTS
from sinks.postman import Desk, Postman

CONSUMER = "notifications"
CHANNEL = "circle:notified"
FORMER_GROUP = "circle.notifications"  # kept its position on the broker until version 0.2

log = Log("notifications")


@dataclass(frozen=True, slots=True)
class Effects:
    """What facts deliver."""

    inbox: list[Notification]
    mails: list[Notification]
    calls: list[RecordedFact]
    exported: list[Notification]
    sent: Positions
    traces: Traces = field(default_factory=dict)


class Written(NamedTuple):
    """Who has new messages, and how much the postman has to send."""

    users: set[str]
    mails: int
    calls: int


class NotificationsBranch(Branch[Effects, Written]):
    """Facts to messages. Without `mails` there is no mail server, so no mail is kept for later."""

    name = CONSUMER

    def __init__(self, settings: PlatformSettings, database: Database, postman: Postman) -> None:
        self._settings, self._database, self._postman = settings, database, postman
        self._mails, self._export = settings.smtp_url is not None, settings.export_notifications
        self._sent: dict[int, tuple[int, int]] = {}  # by partition: the last fact whose messages have left

    async def load(self, connection: Connection, partitions: Sequence[int]) -> None:
        """Load how far each partition's messages have left."""
        self._sent |= await sent_positions(connection, partitions)

    def prepare(self, part: Part) -> Effects:
        """The messages of the facts, and the facts that organizers receive. No message leaves twice."""
        inbox: list[Notification] = []
        mails: list[Notification] = []
        calls: list[RecordedFact] = []
        exported: list[Notification] = []
        for fact in part.facts:
            at = fact.envelope
            to_send = (at.offset, at.index) > self._sent[at.partition] or part.comes_again(fact)
            messages = compose(fact)
            inbox += [message for message in messages if message.channel == Channel.INBOX]
            if to_send:
                mails += [message for message in messages if message.channel == Channel.MAIL]
                exported += messages if self._export else ()
            if to_send and type(fact.fact) in TYPES:
                calls.append(fact)
        return Effects(inbox=inbox, mails=mails, calls=calls, exported=exported, sent=part.after,
                       traces=part.traces)  # fmt: skip

    async def write(self, connection: Connection, effects: Effects) -> Written:
        """Write the rows. The inbox is last: its counter is locked until the commit."""
        calls = await put_calls(connection, effects.calls, effects.traces)
        mails = await put_mails(connection, effects.mails, traces=effects.traces) if self._mails else 0
        await put_exports(connection, effects.exported, effects.traces)
        await advance_sent(connection, effects.sent)
        return Written(users=await put_inbox(connection, effects.inbox), mails=mails, calls=calls)

    def committed(self, results: Sequence[Written], after: Positions) -> Sequence[News]:
        """Wake the postman, and name the users with new messages."""
        self._sent |= {partition: (at.offset, at.index) for partition, at in after.items()}
        if any(one.mails for one in results):
            self._postman.wake(Channel.MAIL)
        if any(one.calls for one in results):
            self._postman.wake(WEBHOOKS)
        if self._export:
            self._postman.wake(EXPORT)
        users = sorted({user for one in results for user in one.users})
        return [News(CHANNEL, {"users": users})] if users else ()

    def former_starts(self, client: Consumer, partitions: Sequence[int]) -> Mapping[int, int]:
        """Where version 0.2 stopped, or what `circle replay import` wants left out. First delivers the rest of the
        topic over which messages went then.
        """
        former = consumer(self._settings, group=FORMER_GROUP)
        try:
            committed = committed_offsets(former, FACTS, list(partitions))
        finally:
            former.close()
        starts = {partition: offset for partition, offset in committed.items() if offset is not None}
        if starts:
            deliver_the_rest(self._settings, self._database)
        return starts

    def look_after(self) -> None:
        """Raise the unexpected error of a desk."""
        self._postman.look_after()

    def __enter__(self) -> Self:
        self._postman.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._postman.__exit__(kind, error, trace)


def branch(settings: PlatformSettings, database: Database) -> NotificationsBranch:
    """The branch of a running platform, with its postman."""
    server = transport(settings)
    if server is None:
        log.info("mail.off", why="CIRCLE_SMTP_URL is not set: messages go to the inbox and the live stream only")
    desks: list[Desk] = [AccountMessageDesk(settings), WebhookDesk(settings), AccountDesk(settings, server)]
    if server is not None:
        desks.append(MailDesk(settings, server))
    if settings.export_notifications:
        desks.append(ExportDesk(settings))
    return NotificationsBranch(settings, database, Postman(settings, desks))
