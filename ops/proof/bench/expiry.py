"""`circle bench expiry`: many holds that run out at the same time.

The holds are commands that are encoded before and written at once, so their deadlines lie together. When all are in
PostgreSQL, the bench waits for the first deadline. It measures the time from the last deadline until the last hold has
ended, by log time and in PostgreSQL, and the CPU of each process for each hold. Afterwards every place must be free.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import msgspec
from confluent_kafka import Producer

from connectors import clock, kafka
from connectors.errors import CircleError
from connectors.postgres import Connection, connect
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.progress import ProgressBars
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, cpu_figures, rounds_chart
from ops.proof.load.http_client import HttpClient
from ops.proof.load.organizer import Drop, Organizer, expect
from ops.proof.load.target import LoadTarget
from ops.statistics import ProcessCpu, our_us_per_request
from schemas import cloudevents, ids
from schemas.commands import ReserveTickets
from schemas.ids import US_PER_S, CommandId, EventId, ReservationId, TicketTypeId, UserId
from schemas.statuses import ReservationStatus
from schemas.topics import COMMANDS

SQL = queries(Path(__file__).parent / "sql" / "expiry.sql")
SINCE = "s after the last deadline"
HOLDS_MAX = 500_000
EVENTS = 8
HOLDS_OF_BUYER = 10
DUE_WITHIN_S_MAX = 1.0  # beyond it, the holds did not run out in one second
WRITTEN_PER_S_MIN = 500  # the holds last long enough to be written at this rate
WRITTEN_S_MIN = 8  # and at least so long
EARLY_S = 0.5  # CPU is counted from so long before the first deadline
ENDED_S_MAX = 300.0
LOOK_S = 0.2
FLUSH_S = 60.0


class ExpiryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many holds run out in each round."""

    holds: int = 50_000
    rounds: int = 3
    broker: str = "embedded"

    @property
    def hold_ttl_s(self) -> int:
        """How long a hold lasts: all of them must be written before."""
        return WRITTEN_S_MIN + math.ceil(self.holds / WRITTEN_PER_S_MIN)


class ExpiryRound(msgspec.Struct, frozen=True, kw_only=True):
    """One round. Seconds are from the last deadline; `due_within_s` is between the first and the last one."""

    holds: int
    expired: int
    free: int
    due_within_s: float
    decided_s: float
    persisted_s: float
    cpu: list[ProcessCpu]  # for each hold


class ExpiryReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, and their figures."""

    options: ExpiryOptions
    machine: Machine
    rounds: list[ExpiryRound]
    figures: list[Figure]

    @property
    def passed(self) -> bool:
        """Whether the holds ran out together, every hold ended, and every place is free again."""
        return self.all_ended and self.due_together

    @property
    def all_ended(self) -> bool:
        """Whether every hold ended, and every place is free again."""
        return all(one.holds == one.expired == one.free for one in self.rounds)

    @property
    def due_together(self) -> bool:
        """Whether all deadlines of a round are within DUE_WITHIN_S_MAX."""
        return all(one.due_within_s <= DUE_WITHIN_S_MAX for one in self.rounds)


async def run(options: ExpiryOptions, target: LoadTarget, progress: ProgressBars) -> ExpiryReport:
    """Measure the rounds. Raises CircleError when the platform writes the holds too slowly to measure their end."""
    rounds, calibration = list[ExpiryRound](), Calibration(options.broker)
    connection = await connect(target.settings.postgres_url)
    try:
        async with HttpClient(target.url) as client:
            organizer = await Organizer.join(client)
            for number in range(options.rounds):
                calibration.measure()
                progress.say(f"round {number + 1} of {options.rounds}: holds of {options.hold_ttl_s} s")
                rounds.append(await _round(options, target, organizer, client, connection))
    finally:
        await connection.close()
    return ExpiryReport(options=options, machine=calibration.machine(), rounds=rounds, figures=figures_of(rounds))


def measurement(report: ExpiryReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    detail = ", ".join(f"{one.holds} holds, {one.expired} ended, {one.free} places free" for one in report.rounds)
    return Measurement(
        name="expiry",
        about="many holds that run out at the same time",
        load={"holds": report.options.holds},
        machine=report.machine,
        figures=report.figures,
        checks=[
            BenchCheck("every hold ended and every place is free", report.all_ended, detail),
            BenchCheck(
                f"due within {DUE_WITHIN_S_MAX:g} s",
                report.due_together,
                ", ".join(f"{one.due_within_s:g} s" for one in report.rounds),
            ),
        ],
        charts=[rounds_chart("expiry", report.figures, lambda figure: figure.unit == SINCE)],
    )


def figures_of(rounds: Sequence[ExpiryRound]) -> list[Figure]:
    """When the last hold had ended, and the CPU of each process. Pure."""
    return [
        Figure(name="due within", unit="s", values=[one.due_within_s for one in rounds]),
        Figure(name="all ended", unit=SINCE, values=[one.decided_s for one in rounds]),
        Figure(name="all persisted", unit=SINCE, values=[one.persisted_s for one in rounds]),
        Figure(name="our CPU", unit="µs a hold", values=[our_us_per_request(one.cpu) for one in rounds]),
        *cpu_figures([one.cpu for one in rounds], "µs a hold"),
    ]


async def _round(
    options: ExpiryOptions, target: LoadTarget, organizer: Organizer, client: HttpClient, connection: Connection
) -> ExpiryRound:
    """Holds on events of their own, from their writing to their end."""
    shares = [options.holds // EVENTS + (number < options.holds % EVENTS) for number in range(EVENTS)]
    drops = [
        await organizer.publish(
            f"Expiry {number + 1}", sections=1, rows=1, seats_per_row=1, hold_ttl_s=options.hold_ttl_s,
            tickets_per_user_max=HOLDS_OF_BUYER, capacity=max(1, share),
        )
        for number, share in enumerate(shares)
    ]  # fmt: skip
    events = [drop.event_id for drop in drops]
    await asyncio.to_thread(write_holds, target.settings, list(zip(drops, shares, strict=True)))
    held = await _wait(connection, events, ReservationStatus.HELD, options.holds, options.hold_ttl_s)
    if held["held"] < options.holds:
        raise CircleError(
            f"{held['held']} of {options.holds} holds were there after {options.hold_ttl_s} s; measure fewer holds"
        )
    await asyncio.sleep(max(0.0, held["first_due"] / US_PER_S - EARLY_S - clock.now_us() / US_PER_S))
    target.meter.start()
    ended = await _wait(connection, events, ReservationStatus.EXPIRED, options.holds, options.hold_ttl_s + ENDED_S_MAX)
    persisted_us, cpu = clock.now_us(), target.meter.read(options.holds)
    free = 0
    for event_id, share in zip(events, shares, strict=True):
        seen = await expect(client, 200, "GET", f"/v1/events/{event_id}/availability")
        free += min(share, seen["items"][0]["available"])
    return ExpiryRound(
        holds=options.holds,
        expired=ended["expired"],
        free=free,
        due_within_s=round((held["last_due"] - held["first_due"]) / US_PER_S, 3),
        decided_s=round((ended["last_change"] - ended["last_due"]) / US_PER_S, 3),
        persisted_s=round((persisted_us - ended["last_due"]) / US_PER_S, 3),
        cpu=cpu,
    )


def write_holds(settings: Settings, shares: Sequence[tuple[Drop, int]]) -> None:
    """Write so many holds of each event, all at once. Raises CircleError when they are not acknowledged."""
    codec, made_at = codec_of(settings), clock.now_rfc3339()
    records = []
    for drop, share in shares:
        section, buyer = TicketTypeId(drop.ticket_type_ids[0]), UserId("")
        for number in range(share):
            if number % HOLDS_OF_BUYER == 0:
                buyer = UserId(str(uuid4()))
            command = ReserveTickets(
                event_id=EventId(drop.event_id),
                user_id=buyer,
                command_id=CommandId(str(uuid4())),
                reservation_id=ReservationId(str(uuid4())),
                ticket_type_id=section,
                quantity=1,
                seats=[],
                fingerprint=ids.fingerprint(section, 1, []),
            )
            headers = cloudevents.headers(cloudevents.API, command.command_id, type(command).__name__, made_at)
            records.append((codec.encode(command), drop.event_id.encode(), headers))
    client: Producer = kafka.producer(settings, **{"queue.buffering.max.messages": 1_000_000})
    for value, key, headers in records:
        client.produce(COMMANDS, value, key, headers=headers)
    left = client.flush(FLUSH_S)
    if left:
        raise CircleError(f"{left} of {len(records)} holds were not acknowledged in {FLUSH_S:.0f} s")


async def _wait(
    connection: Connection, events: list[EventId], status: ReservationStatus, count: int, timeout_s: float
) -> dict[str, int]:
    """The row of `holds`, as soon as so many have the status, or after `timeout_s`."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        row = await connection.fetchrow(SQL["holds"], events)
        assert row is not None
        if row[status] >= count or asyncio.get_running_loop().time() > deadline:
            return dict(row)
        await asyncio.sleep(LOOK_S)
