"""Writes the inbox: the messages of a batch and the positions on notifications.outbound, in one transaction.

Guarantee: a message is stored once, however often it is delivered, and a stored delivery is not read again. Raises
Fenced like `pipelines.projections.store` when another process has written the partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from confluent_kafka import Consumer
from confluent_kafka import Message as Record

from connectors.failure_policy import Bound
from connectors.log_bounds import check_on_log
from connectors.log_reader import log_place
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.kinds import Channel
from pipelines.notifications.outbound import on_channel
from pipelines.projections.columns import columns
from pipelines.projections.snapshot import AppliedPosition
from pipelines.projections.store import adopt, advance, may_write
from schemas.codec import Codec, Undecodable
from schemas.notifications import Notification
from schemas.topics import NOTIFICATIONS
from sinks.row_by_row import each, whole_or_singly

CONSUMER = "inbox"

SQL = queries(Path(__file__).parent / "sql" / "inbox.sql")

_MESSAGE = ("user_id", "partition", "offset", "index", "channel", "template", "kind", "event_id", "reservation_id",
            "data", "created_at")  # fmt: skip


class Delivery(NamedTuple):
    """A message at its place on notifications.outbound."""

    partition: int
    offset: int
    message: Notification


PutAside: TypeAlias = Callable[[list[tuple[Delivery, str]]], None]
"""Sets aside deliveries that cannot be stored; each comes with its error."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A batch of messages, and each partition's position before and after it."""

    deliveries: list[Delivery]
    unreadable: list[tuple[Record, str]]
    before: dict[int, AppliedPosition]
    after: dict[int, AppliedPosition]


class InboxStore:
    """The inbox and its positions. Waits while Postgres is away; a stop during the wait raises Stopped."""

    def __init__(self, database: Database, *, stop_requested: Callable[[], bool]) -> None:
        self._database, self._stop_requested = database, stop_requested
        self._bound = Bound(CONSUMER)

    def positions(self, partitions: Sequence[int]) -> dict[int, AppliedPosition]:
        """The position of each partition of notifications.outbound."""

        async def load(connection: Connection) -> dict[int, AppliedPosition]:
            return await adopt(connection, CONSUMER, partitions)

        return self._database.patiently(load, stop_requested=self._stop_requested)

    def write(
        self,
        deliveries: Sequence[Delivery],
        put_aside: PutAside,
        *,
        before: dict[int, AppliedPosition],
        after: dict[int, AppliedPosition],
    ) -> list[str]:
        """Store a batch. Returns the users with new messages.

        Messages that cannot be stored are `put_aside` before the commit. Raises EverythingFails.
        """

        async def write(connection: Connection, *, singly: bool) -> list[str]:
            if not await may_write(connection, CONSUMER, before, after):
                return []
            users: set[str] = set()

            async def put(some: Sequence[Delivery]) -> None:
                messages = columns([delivery.message for delivery in some], _MESSAGE)
                places = columns(some, ("partition", "offset"))
                users.update(row[0] for row in await connection.fetch(SQL["put_notifications"], *messages, *places))

            if singly:
                failed = await each(connection, deliveries, lambda one: put([one]), self._bound)
                if failed:
                    put_aside(failed)
            elif deliveries:
                await put(deliveries)
            await advance(connection, CONSUMER, after)
            return sorted(users)

        return whole_or_singly(self._database, write, self._stop_requested)


class InboxPositions:
    """The partitions of notifications.outbound. Their positions are stored with the inbox."""

    def __init__(self, settings: Settings, store: InboxStore) -> None:
        self._settings, self._store = settings, store
        self._at: dict[int, AppliedPosition] = {}

    def assigned(self, client: Consumer, partitions: list[int]) -> Mapping[int, int | None]:
        """Load the stored positions and go on from there."""
        stored = self._store.positions(partitions)
        starts = {partition: at.next_offset for partition, at in stored.items()}
        check_on_log(self._settings, client, NOTIFICATIONS, starts)
        self._at |= stored
        return starts

    def revoked(self, partitions: list[int]) -> None:
        for partition in partitions:
            self._at.pop(partition, None)

    def read(self, batch: list[Record], codec: Codec) -> Delivered:
        """The messages of a batch that are for the inbox and are not stored yet."""
        before = {partition: self._at[partition] for partition in {log_place(record)[0] for record in batch}}
        deliveries: list[Delivery] = []
        unreadable: list[tuple[Record, str]] = []
        for record in batch:
            partition, offset = log_place(record)
            at = self._at[partition]
            if offset <= at.offset:
                continue
            message = on_channel(record, codec, Channel.INBOX, strays=True)
            log_time = at.log_time
            if isinstance(message, Undecodable):
                unreadable.append((record, f"inbox: {message.error}"))
            elif message is not None:
                deliveries.append(Delivery(partition, offset, message))
                log_time = max(log_time, message.created_at)
            self._at[partition] = AppliedPosition(offset, 0, offset + 1, log_time)
        return Delivered(deliveries, unreadable, before, {partition: self._at[partition] for partition in before})
