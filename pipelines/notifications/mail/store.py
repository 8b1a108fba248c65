"""Writes due mails, in the transaction of the read side; the postman sends them.

Guarantee: a mail is one row, however often its message is made. If a kind is not mailed by default and its user did not
ask for it, there is no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.columns import columns
from pipelines.notifications.delivery_spans import NO_TRACES, Traces, trace_of
from pipelines.notifications.inbox import put_inbox
from pipelines.notifications.kinds import KINDS, Channel, MailStatus
from schemas.notifications import Notification

SQL = queries(Path(__file__).parent / "sql" / "mail.sql")

_MESSAGE = ("user_id", "partition", "offset", "index", "template", "kind", "event_id", "reservation_id", "data",
            "created_at")  # fmt: skip


async def put_mails(
    connection: Connection, messages: Sequence[Notification], *, again: bool = False, traces: Traces = NO_TRACES
) -> int:
    """Store mails. `again`: mails that had failed become due once more. Returns the number of mails to send."""
    if not messages:
        return 0
    messages = list({identity(message): message for message in messages}.values())
    by_default = [message.kind in KINDS and KINDS[message.kind].mail for message in messages]
    contexts = [trace_of(message, traces) for message in messages]
    rows = await connection.fetch(SQL["put_mails"], *columns(messages, _MESSAGE), by_default, again, contexts)
    return sum(row["status"] == MailStatus.PENDING for row in rows)


async def deliver_again(connection: Connection, messages: Sequence[Notification]) -> None:
    """Deliver messages from the dead letters: to the inbox, or as mails, of which failed ones become due once more."""
    await put_mails(connection, [message for message in messages if message.channel == Channel.MAIL], again=True)
    await put_inbox(connection, [message for message in messages if message.channel == Channel.INBOX])


def identity(message: Notification) -> tuple[object, ...]:
    """The identity of a mail: equal for the same mail."""
    return (message.user_id, message.partition, message.offset, message.index, message.template)
