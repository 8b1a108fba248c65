"""A ticket drop without HTTP: commands straight to the commands topic, and the log's answers.

Seeded. `Drop.open` makes the events and waits until they are on sale; `rush` runs a crowd in a thread until its block
ends. The drop remembers every command's position as a client's answer: 202, with its place on the log.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, Message

from connectors.kafka import producer
from connectors.settings import Settings
from ops.proof.checker import ToldOutcome
from schemas import commands as c
from schemas.codec import Codec
from schemas.ids import CommandId, EventId, ReservationId, UserId, attempt_id, fingerprint, reservation_id
from schemas.requests_in_turn import in_turn
from schemas.topics import COMMANDS

ORGANIZER = "00000000-0000-4000-8000-000000000001"
FLUSH_S = 30.0


class Drop:
    """Several events of one drop. `seats` is the size of each seated section: rows × 10."""

    def __init__(
        self,
        settings: Settings,
        *,
        seed: int = 1,
        events: int = 4,
        rows: int = 10,
        hold_ttl_s: int = 3_600,
        limit: int = 6,
        buyers: int = 300,
    ) -> None:
        self.rng = random.Random(seed)
        self.settings, self.codec = settings, Codec()
        self.events = [str(uuid.UUID(int=self.rng.getrandbits(128), version=4)) for _ in range(events)]
        self.rows, self.hold_ttl_s, self.limit = rows, hold_ttl_s, limit
        self.users = [UserId(str(uuid.UUID(int=self.rng.getrandbits(128), version=4))) for _ in range(buyers)]
        self.told: list[ToldOutcome] = []
        self.news = threading.Condition()  # a command was acknowledged, or a crowd has failed
        self.sent = self.unacknowledged = self.sent_keys = 0
        self._recent: list[tuple[str, ReservationId, UserId]] = []
        self._key = 0
        self._prepared: list[c.Command] | None = None
        self._collected: list[c.ReserveTickets] | None = None
        self._producer = producer(settings, **{"message.timeout.ms": 60_000})

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, command: c.Command, *, value: bytes | None = None) -> None:
        """Produce a command; `value` replaces its bytes."""
        if self._collected is not None:
            assert isinstance(command, c.ReserveTickets)
            self._collected.append(command)
            return
        if self._prepared is not None:
            self._prepared.append(command)
            return

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.unacknowledged += 1
            elif isinstance(command, c.ReserveTickets | c.ReserveInTurn) and value is None:
                partition, offset = message.partition(), message.offset()
                assert partition is not None
                assert offset is not None
                together = isinstance(command, c.ReserveInTurn)
                keys = command.reservation_ids if together else [command.reservation_id]
                with self.news:
                    self.told += [ToldOutcome(key, partition, offset) for key in keys]
                    self.news.notify_all()

        self.sent += 1
        encoded = self.codec.encode(command) if value is None else value
        headers: Any = [("ce_id", command.command_id), ("ce_type", type(command).__name__)]
        while True:
            try:
                self._producer.produce(
                    COMMANDS, encoded, command.event_id.encode(), headers=headers, on_delivery=acknowledged
                )
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def blast(self, acts: int) -> None:
        """The commands of a long rush, written as fast as the log takes them: so the workers have a backlog."""
        self._prepared = []
        for _ in range(acts):
            self.act()
        prepared, self._prepared = self._prepared, None
        for command in prepared:
            self.send(command)
        self.flush()

    def flush(self) -> None:
        """Wait until the log has acknowledged everything."""
        assert self._producer.flush(FLUSH_S) == 0, "the broker does not acknowledge"

    def open(self) -> None:
        """Create, furnish and publish the events. They are on sale as soon as this is read."""
        for event in self.events:
            for command in self.opening(event):
                self.send(command)
        self.flush()

    def opening(self, event: str) -> list[c.Command]:
        """The commands that make one event: a seated section (free in half of the events) and a general admission."""
        price = 2_500 if self.events.index(event) % 2 == 0 else 0
        return [
            c.CreateEvent(
                event_id=event,
                user_id=ORGANIZER,
                command_id="open",
                title="Drop",
                description="",
                category_id="music",
                venue="Hall",
                starts_at=4_000_000_000_000_000,
                ends_at=4_000_000_100_000_000,
                timezone="UTC",
                sales_open_at=0,
                sales_close_at=0,
                hold_ttl_s=self.hold_ttl_s,
                max_tickets_per_user=self.limit,
            ),
            c.AddTicketType(
                event_id=event,
                user_id=ORGANIZER,
                command_id="open",
                ticket_type_id="seats",
                name="Seats",
                price_minor=price,
                currency="EUR",
                kind="seated",
                rows=self.rows,
                seats_per_row=10,
                capacity=0,
                sales_open_at=0,
                sales_close_at=0,
            ),
            c.AddTicketType(
                event_id=event,
                user_id=ORGANIZER,
                command_id="open",
                ticket_type_id="floor",
                name="Floor",
                price_minor=price,
                currency="EUR",
                kind="general",
                rows=0,
                seats_per_row=0,
                capacity=60,
                sales_open_at=0,
                sales_close_at=0,
            ),
            c.PublishEvent(event, ORGANIZER, "open"),
        ]

    def reserve(self, event: str, user: UserId, *, seats: list[str] | None = None, quantity: int = 1) -> ReservationId:
        """One buyer's request. Returns the reservation's id."""
        self._key += 1
        key = reservation_id(user, f"key-{self._key}")
        named = seats or []
        kind = "floor" if not named and self.rng.random() < 0.15 else "seats"
        count = len(named) or quantity
        print_of = fingerprint(kind, count, named)
        self.send(
            c.ReserveTickets(
                event_id=event,
                user_id=user,
                command_id=f"c{self._key}",
                reservation_id=key,
                ticket_type_id=kind,
                quantity=count,
                seats=named,
                fingerprint=print_of,
            )
        )
        return key

    def reserve_in_turn(self, event: str, users: list[UserId]) -> list[ReservationId]:
        """The requests of several buyers in one record. Returns the reservations' ids."""
        first, self._collected = self._key, []
        for user in users:
            self.reserve(event, user, quantity=self.rng.choice((1, 2)))
        requests, self._collected = self._collected, None
        self.send(in_turn(EventId(event), CommandId(f"t{first}"), requests))
        return [one.reservation_id for one in requests]

    def confirm(self, event: str, key: ReservationId, user: UserId, *, token: str = "tok_ok") -> None:
        self.send(
            c.ConfirmReservation(
                event_id=event,
                user_id=user,
                command_id=f"p-{key}",
                reservation_id=key,
                attempt_id=attempt_id(key, "pay"),
                payment_token=token,
            )
        )

    def release(self, event: str, key: str, user: UserId) -> None:
        self.send(c.ReleaseReservation(event, user, f"r-{key}", key))

    def tick(self, event: str) -> None:
        self.send(c.Tick(event, "", "tick"))

    # --- a crowd --------------------------------------------------------------------------------------------------

    def act(self) -> None:
        """One act of one person."""
        rng = self.rng
        if self._recent and rng.random() < 0.45:
            event, key, user = self._recent.pop(rng.randrange(len(self._recent)))
            if rng.random() < 0.75:
                self.confirm(event, key, user, token="tok_ok" if rng.random() < 0.85 else "tok_declined")
                if rng.random() < 0.1:
                    self.confirm(event, key, user)  # the same key with another token, or the same again
            else:
                self.send(c.ReleaseReservation(event, user, "r", key))
            return
        event, user = rng.choice(self.events), rng.choice(self.users)
        if rng.random() < 0.04:
            users = rng.choices(self.users, k=rng.randint(2, 8))
            self._recent += [(event, *one) for one in zip(self.reserve_in_turn(event, users), users, strict=True)]
            return
        if rng.random() < 0.15:
            row, seat = chr(65 + rng.randrange(min(self.rows, 26))), rng.randint(1, 9)
            key = self.reserve(event, user, seats=[f"{row}-{seat}", f"{row}-{seat + 1}"])
        else:
            key = self.reserve(event, user, quantity=rng.choice((1, 2, 2, 3, 4)))
        if rng.random() < 0.05:
            self._key -= 1
            self.reserve(event, user)  # a second request with the last key: the same one, or one with another body
        self._recent.append((event, key, user))

    @contextmanager
    def rush(self, per_second: float) -> Iterator[Rush]:
        """A crowd in a thread of its own, at about this rate, until the block ends; then everything is flushed."""
        crowd = Rush(self, per_second)
        crowd.start()
        try:
            yield crowd
        finally:
            crowd.stop()
        self.flush()


class Rush(threading.Thread):
    """A crowd."""

    def __init__(self, drop: Drop, per_second: float) -> None:
        super().__init__(daemon=True)
        self._drop, self._gap_s = drop, 1 / per_second
        self._ended = threading.Event()
        self.failed: BaseException | None = None

    def run(self) -> None:
        due = time.monotonic()
        try:
            while not self._ended.is_set():
                self._drop.act()
                due += self._gap_s
                wait = due - time.monotonic()
                if wait > 0:
                    self._ended.wait(wait)
                else:
                    due = max(due, time.monotonic() - 1.0)  # after a pause, a second's worth comes at once
        except Exception as error:  # noqa: BLE001 — raised where the crowd is stopped
            with self._drop.news:
                self.failed = error
                self._drop.news.notify_all()

    def stop(self) -> None:
        self._ended.set()
        self.join(30)
        assert not self.is_alive(), "the crowd does not stop"
        assert self.failed is None, self.failed

    def wait_sent(self, more: int, timeout_s: float = 60.0) -> None:
        """Wait until the log has acknowledged `more` further reservations."""
        told, news = self._drop.told, self._drop.news
        with news:
            wanted = len(told) + more
            there = news.wait_for(lambda: len(told) >= wanted or self.failed is not None, timeout_s)
        assert self.failed is None, self.failed
        assert there, f"{wanted - len(told)} of {more} are not acknowledged"
