"""Runs the demo: a fresh platform, an organizer, a crowd, a box office, and then the checks."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import closing

from connectors.errors import SettingsError
from ops.progress import ProgressBars
from ops.proof.bench.mix import rows_of
from ops.proof.checker import NotSettled, wait_until_settled
from ops.proof.demo.api_view import look
from ops.proof.demo.crowd import QUANTITY_MAX, Crowd, House
from ops.proof.demo.encore import play
from ops.proof.demo.report import DemoOptions, DemoReport, make
from ops.proof.demo.tally import Tally
from ops.proof.full_check import check
from ops.proof.load.accounts import provision
from ops.proof.load.http_client import CONNECTIONS_MAX, HttpClient
from ops.proof.load.organizer import Organizer
from ops.proof.load.target import meter_of
from ops.run.platform import Platform
from pipelines.reservations.core.seating import row_label
from pipelines.reservations.seat_locks import ForeignLocks
from schemas.ids import EventId

BUYERS_PER_SEAT_MIN = 1.0  # with 2.5 seats each: enough buyers for the seats that others give up
CASHIER_CONNECTIONS_MAX = 200
DROP_S_MAX = 120.0
SETTLE_S_MAX = 60.0
SHOW_S = 0.1
BOX_OFFICE = "box-office"
BOX_OFFICE_SEATS = 10
BOX_OFFICE_S = 3.0  # then it frees them
BOX_OFFICE_LOCK_S = 600


def run(options: DemoOptions, progress: ProgressBars) -> DemoReport:
    """The whole drop on a platform of its own, which ends with it."""
    if options.buyers < options.seats * BUYERS_PER_SEAT_MIN:
        raise SettingsError(
            "--buyers", "must be as many as seats, or the house may not sell out",
            got=str(options.buyers), example=str(options.seats * 5 // 2),
        )  # fmt: skip
    platform = Platform(broker=options.broker, reservations=options.reservations, say=progress.say)
    with platform:
        return asyncio.run(_demo(options, platform, progress))


async def _demo(options: DemoOptions, platform: Platform, progress: ProgressBars) -> DemoReport:
    settings, tally = platform.settings, Tally()
    async with (
        HttpClient(platform.url, connections_max=CONNECTIONS_MAX) as client,
        HttpClient(platform.url, connections_max=CASHIER_CONNECTIONS_MAX) as cashier,
    ):
        progress.say(f"{options.buyers:,} accounts are provisioned; an organizer publishes {options.seats:,} seats")
        accounts = await provision(settings, options.buyers, label="demo")
        organizer = await Organizer.join(client)
        rows, per_row = rows_of(options.seats)
        drop = await organizer.publish(
            "Night of the Circle", sections=1, rows=rows, seats_per_row=per_row,
            hold_ttl_s=options.hold_ttl_s, tickets_per_user_max=QUANTITY_MAX,
        )  # fmt: skip
        house = House(drop, rows, per_row)
        await client.warm(min(CONNECTIONS_MAX, options.buyers))
        meter, sent = meter_of(platform, others={"the buyers": os.getpid()}), client.sent
        crowd = Crowd(client=client, cashier=cashier, accounts=accounts, house=house, tally=tally, seed=options.seed)
        meter.start()
        started = time.perf_counter()
        with closing(ForeignLocks(settings.redis_url)) as locks:
            sold_out = await _sell(crowd, house, locks, progress)
        seconds = time.perf_counter() - started
        requests = client.sent - sent + cashier.sent
        findings = [] if sold_out else [f"not sold out within {DROP_S_MAX:.0f} s: {tally.sold} of {house.seats} sold"]
        progress.say("the encore: a promo code, a waiting list, a transferred ticket, a second scan")
        encore = await play(client, organizer, accounts)
        findings += encore.wrong
        progress.say("checking: the API, the facts topic, Postgres, Redis")
        try:
            await asyncio.to_thread(wait_until_settled, settings, timeout_s=SETTLE_S_MAX, no_holds=True)
        except NotSettled as error:
            findings.append(str(error))
        cpu = meter.read(requests)
        outside = await look(client, house, accounts, tally)
        audit = await asyncio.to_thread(check, settings, told=tally.told, strict=not platform.stack.memory_only)
    return make(
        options, seats=house.seats, seconds=seconds, requests=requests, tally=tally, outside=outside, audit=audit,
        cpu=cpu, findings=findings, encore=encore.told,
    )  # fmt: skip


async def _sell(crowd: Crowd, house: House, locks: ForeignLocks, progress: ProgressBars) -> bool:
    """The drop itself, with progress, and a box office that has the first row's middle for a while."""
    showing = asyncio.create_task(_show(crowd, house, progress))
    box_office = asyncio.create_task(_box_office(crowd, house, locks))
    try:
        await asyncio.sleep(0)
        return await crowd.run(DROP_S_MAX)
    finally:
        crowd.gone.set()
        await asyncio.gather(showing, box_office)


async def _box_office(crowd: Crowd, house: House, locks: ForeignLocks) -> None:
    """Locks seats before the sale begins, and frees them while it runs."""
    first = max(0, (house.seats_per_row - BOX_OFFICE_SEATS) // 2) + 1
    last = min(house.seats_per_row, first + BOX_OFFICE_SEATS - 1)
    seats = {f"{row_label(0)}-{number}" for number in range(first, last + 1)}
    places = [f"{house.ticket_type_id}/{seat}" for seat in sorted(seats)]
    event_id = EventId(house.drop.event_id)
    locks.take(event_id, places, owner=BOX_OFFICE, seconds=BOX_OFFICE_LOCK_S)
    crowd.locked |= seats
    try:
        async with asyncio.timeout(BOX_OFFICE_S):
            await crowd.gone.wait()
    except TimeoutError:
        pass
    finally:
        crowd.locked -= seats
        locks.free(event_id, places, owner=BOX_OFFICE)


async def _show(crowd: Crowd, house: House, progress: ProgressBars) -> None:
    tally = crowd.tally
    asked = progress.bar("buyers answered", crowd.size)
    held, sold = progress.bar("seats held", house.seats), progress.bar("seats sold", house.seats)
    while True:
        over = crowd.gone.is_set()
        asked.set(tally.first_asked, f"{sum(tally.outcomes.values()):,} outcomes, {crowd.waiting:,} waiting")
        held.set(tally.held, f"{tally.outcomes['held']:,} holds, {tally.walked_away:,} walked away")
        sold.set(tally.sold, f"{tally.payments['confirmed']:,} paid, {tally.payments['declined']:,} cards declined")
        if over:
            return
        await asyncio.sleep(SHOW_S)
