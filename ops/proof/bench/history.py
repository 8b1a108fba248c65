"""A partition's history for the replay benches: the commands of many drops, with the facts that the rules give.

Both topics look as a worker leaves them: most holds are paid for, some are released or run out, late requests are
refused. Only a few events are on sale at a time, and the state of a finished event is dropped, so the history can have
any length. It lies a few weeks back: no hold is pending any more, and no event is over. So a worker that takes the
partition over has nothing to end, no reminder to send and no event to load, as after an ordinary restart.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import UUID

import msgspec
from confluent_kafka import Producer

from connectors import clock, kafka
from connectors.errors import CircleError
from connectors.settings import Settings
from connectors.topics import apply_topics, stamp_as_told
from ops.progress import Bar
from ops.proof.bench.mix import HOLD_TTL_S, Mix, layout
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At, EventState
from schemas.codec import Codec
from schemas.commands import Command, ConfirmReservation, RecordPayment, ReserveTickets, Tick
from schemas.facts import RULES_VERSION
from schemas.ids import DAY_S, NOBODY, US_PER_MS, US_PER_S, AttemptId, CommandId, EventId, LogTime, PaymentId
from schemas.recorded_facts import envelopes
from schemas.statuses import ChargeOutcome, ReservationStatus
from schemas.topics import COMMANDS, FACTS

PARTITION = 0
EVENTS_AT_ONCE = 4
ORDERS_PER_EVENT = 10_000
SEATS = 1_000  # of a section
PAID_SHARE = 0.6  # of the orders while there are places
STEP_US = 5_000  # between two commands: 200 a second
BEGAN_DAYS_AGO = 25  # its events begin 30 days after their creation; 30 million facts take less than 25
FLUSH_S = 60.0
BAR_EVERY = 10_000


class WrittenHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The written log."""

    commands: int
    facts: int
    fact_bytes: int
    events: list[EventId]
    reservations: int


class HistoryWriter:
    """Writes one partition of both topics. It goes on where it stopped."""

    def __init__(self, settings: Settings, *, seed: int, orders_per_event: int = ORDERS_PER_EVENT) -> None:
        self._settings, self._codec, self._seed, self._orders = settings, Codec(), seed, orders_per_event
        self._client = kafka.producer(settings, **{"linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
        self._now_us = (clock.now_us() - BEGAN_DAYS_AGO * DAY_S * US_PER_S) // US_PER_MS * US_PER_MS
        self.commands = self.facts = self.fact_bytes = self.reservations = 0
        self.events: list[EventId] = []

    def write(self, facts: int, bar: Bar) -> WrittenHistory:
        """Write until there are at least so many facts and no hold is pending.

        Raises CircleError when they are not acknowledged."""
        partitions = self._settings.partitions
        stamp_as_told(self._settings)
        while self.facts < facts:
            orders = min(self._orders * EVENTS_AT_ONCE, max(200, (facts - self.facts) * 2 // 3))
            self._wave(orders, facts, bar)
        left = self._client.flush(FLUSH_S)
        if left:
            raise CircleError(f"{left} records were not acknowledged in {FLUSH_S:.0f} s")
        apply_topics(self._settings, partitions=partitions)
        bar.finish(self.facts)
        return WrittenHistory(
            commands=self.commands,
            facts=self.facts,
            fact_bytes=self.fact_bytes,
            events=list(self.events),
            reservations=self.reservations,
        )

    def _wave(self, orders: int, facts: int, bar: Bar) -> None:
        """Some events from their creation to the end of their last hold. With enough facts, no order follows."""
        shape = layout(orders, EVENTS_AT_ONCE, SEATS, 0)
        mix = Mix(shape, now_us=self._now_us, seed=self._seed + len(self.events))
        self.events += [house.event_id for house in mix.houses]
        states: dict[EventId, EventState] = {}
        for command in self._story(mix, orders, facts, states):
            self._decide(command, states)
            if self.commands % BAR_EVERY == 0:
                bar.set(self.facts)

    def _story(self, mix: Mix, orders: int, facts: int, states: dict[EventId, EventState]) -> Iterator[Command]:
        chance = random.Random(f"{self._seed}/{len(self.events)}")  # noqa: S311 - a bench repeats itself
        yield from mix.setup()
        for command in mix.load(orders):
            if self.facts >= facts:
                break
            yield command
            if isinstance(command, ReserveTickets) and chance.random() < PAID_SHARE:
                yield from self._pay(command, states, chance)
        self._now_us += HOLD_TTL_S * US_PER_S
        for event_id, state in states.items():
            while (deadline := state.next_deadline()) is not None and deadline <= self._now_us:
                yield Tick(event_id, NOBODY, CommandId(f"tick-{self.commands}"))

    def _pay(
        self, order: ReserveTickets, states: dict[EventId, EventState], chance: random.Random
    ) -> Iterator[Command]:
        hold = states[order.event_id].reservations.get(order.reservation_id)
        if hold is None or hold.status != ReservationStatus.HELD:
            return
        attempt = AttemptId(str(UUID(int=chance.getrandbits(128), version=4)))
        yield ConfirmReservation(
            event_id=order.event_id,
            user_id=order.user_id,
            command_id=CommandId(f"pay-{self.commands:x}"),
            reservation_id=order.reservation_id,
            attempt_id=attempt,
            payment_token="tok_ok",  # noqa: S106 - the sandbox's card
        )
        yield RecordPayment(
            event_id=order.event_id,
            user_id=order.user_id,
            command_id=CommandId(f"paid-{self.commands:x}"),
            reservation_id=order.reservation_id,
            attempt_id=attempt,
            payment_id=PaymentId(f"pay-{attempt}"),
            outcome=ChargeOutcome.CAPTURED,
            reason="",
            amount_minor=hold.amount_minor,
        )

    def _decide(self, command: Command, states: dict[EventId, EventState]) -> None:
        offset, encode = self.commands, self._codec.encode_fact
        at = At(PARTITION, offset, LogTime(self._now_us))
        self._now_us += STEP_US
        state = states.setdefault(command.event_id, EventState(command.event_id))
        facts = step(state, command, at)
        key = command.event_id.encode()
        self._produce(COMMANDS, self._codec.encode(command), key, at.log_time)
        numbered = envelopes(
            len(facts),
            event_id=command.event_id,
            partition=PARTITION,
            offset=offset,
            log_time=at.log_time,
            rules_version=RULES_VERSION,
        )
        for envelope, fact in zip(numbered, facts, strict=True):
            value = encode(envelope, fact)
            self._produce(FACTS, value, key, at.log_time)
            self.fact_bytes += len(value)
        self.commands += 1
        self.reservations += isinstance(command, ReserveTickets)
        self.facts += len(facts)

    def _produce(self, topic: str, value: bytes, key: bytes, time_us: int) -> None:
        _produce(self._client, topic, value, key, time_us)


def _produce(client: Producer, topic: str, value: bytes, key: bytes, time_us: int) -> None:
    while True:
        try:
            client.produce(topic, value, key, PARTITION, timestamp=time_us // US_PER_MS)
        except BufferError:
            client.poll(0.1)
        else:
            return
