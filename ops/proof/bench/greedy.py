"""One greedy client of each kind during a modest sale: how much later do the others get their outcomes, and is the door
refused?

For each kind, rounds in turns without and with the greedy client. It is a process with an address and the lowest
priority, since elsewhere it would not use the platform's processors. The rate limits are those of production. The
others hold seats at a steady rate and read the availability; a device of the door sends a batch of scans a few times a
second.
"""

from __future__ import annotations

import asyncio
import random
import sys
from statistics import median
from typing import Any
from uuid import uuid4

import msgspec

from ops.progress import ProgressBars
from ops.proof.bench.greedy_client import KINDS
from ops.proof.load.accounts import Account, provision
from ops.proof.load.http_client import HttpClient, NoAnswer
from ops.proof.load.organizer import Organizer, expect
from ops.proof.load.target import LoadTarget
from ops.statistics import latencies

BUYERS = 400
ROWS, SEATS_PER_ROW = 100, 200
DOOR_EVERY_S = 0.25
WARM_S = 15.0  # a JVM broker needs so long until its figures are stable
SETTLE_S = 1.0  # by then a greedy client has opened everything, or is gone again


class GreedyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure."""

    rate: float = 40.0
    seconds: float = 5.0
    rounds: int = 3
    kinds: tuple[str, ...] = tuple(KINDS)
    seed: int = 1


class GreedyKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind: the p99 of the others in each round, in ms, and the results of the door's batches and the greedy
    requests.

    `ratio` is that of the medians with and without the greedy client."""

    kind: str
    alone_p99_ms: list[float]
    beside_p99_ms: list[float]
    ratio: float
    others_refused: int
    door_batches: int
    door_refused: int
    greedy_statuses: dict[str, int]


class GreedyReport(msgspec.Struct, frozen=True, kw_only=True):
    """All kinds. `passed`: the door was never refused."""

    options: GreedyOptions
    kinds: list[GreedyKind]

    @property
    def passed(self) -> bool:
        return not any(kind.door_refused for kind in self.kinds)


class _Round(msgspec.Struct):
    seconds: list[float] = msgspec.field(default_factory=list)
    refused: int = 0
    door: int = 0
    door_refused: int = 0


async def run(options: GreedyOptions, target: LoadTarget, progress: ProgressBars) -> GreedyReport:
    """Measure each kind, one after the other."""
    accounts = await provision(target.settings, BUYERS + 1, label="greedy")
    async with HttpClient(target.url) as client:
        stage = await _Stage.open(client, accounts[-1], accounts[:-1], random.Random(options.seed))  # noqa: S311
        progress.say("warming up")
        await stage.round(options.rate, WARM_S)
        kinds = []
        for kind in options.kinds:
            alone, beside, statuses = [], [], dict[str, int]()
            for number in range(options.rounds):
                progress.say(f"{kind}: round {number + 1} of {options.rounds}")
                alone.append(await stage.round(options.rate, options.seconds))
                process = await stage.begin(kind, target.url)
                await asyncio.sleep(SETTLE_S)
                beside.append(await stage.round(options.rate, options.seconds))
                for status, count in (await _end(process)).items():
                    statuses[status] = statuses.get(status, 0) + count
                await asyncio.sleep(SETTLE_S)
            kinds.append(_of(kind, alone, beside, statuses))
    return GreedyReport(options=options, kinds=kinds)


def _of(kind: str, alone: list[_Round], beside: list[_Round], statuses: dict[str, int]) -> GreedyKind:
    p99s = [[latencies(one.seconds).p99_ms for one in rounds] for rounds in (alone, beside)]
    alone_ms, beside_ms = (median(rounds) for rounds in p99s)
    return GreedyKind(
        kind=kind,
        alone_p99_ms=p99s[0],
        beside_p99_ms=p99s[1],
        ratio=round(beside_ms / alone_ms, 2) if alone_ms else 0.0,
        others_refused=sum(one.refused for one in beside),
        door_batches=sum(one.door for one in beside),
        door_refused=sum(one.door_refused for one in beside),
        greedy_statuses=statuses,
    )


class _Stage:
    """An event on sale, a door, a greedy account with a ticket, and the others."""

    def __init__(
        self, client: HttpClient, organizer: Organizer, greedy: Account, others: list[Account], chance: random.Random
    ) -> None:
        self._client, self._organizer, self._greedy, self._others = client, organizer, greedy, others
        self._chance = chance
        self._event = self._type = self._ticket = self._code = self._reservation = ""

    @classmethod
    async def open(cls, client: HttpClient, greedy: Account, others: list[Account], chance: random.Random) -> _Stage:
        stage = cls(client, await Organizer.join(client), greedy, others, chance)
        drop = await stage._organizer.publish(
            "A greedy client", sections=1, rows=ROWS, seats_per_row=SEATS_PER_ROW, hold_ttl_s=600,
            tickets_per_user_max=1_000,
        )  # fmt: skip
        stage._event, stage._type = drop.event_id, drop.ticket_type_ids[0]
        held = await expect(
            client, 201, "POST", f"/v1/events/{stage._event}/reservations", token=greedy.token, key=uuid4().hex,
            body={"ticket_type_id": stage._type, "quantity": 1},
        )  # fmt: skip
        stage._reservation = held["id"]
        paid = await expect(
            client, 200, "POST", f"/v1/reservations/{held['id']}/confirm", token=greedy.token, key=uuid4().hex,
            body={"payment_token": "tok_ok"},
        )  # fmt: skip
        stage._ticket, stage._code = paid["tickets"][0]["id"], paid["tickets"][0]["code"]
        # The first page opens the fonts, which no round should measure.
        await client.request("GET", f"/v1/tickets/{stage._ticket}/ticket.pdf", token=greedy.token)
        return stage

    async def begin(self, kind: str, url: str) -> asyncio.subprocess.Process:
        """The greedy client."""
        arguments = (kind, url, self._greedy.token, self._event, self._ticket, self._reservation)
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "ops.proof.bench.greedy_client", *arguments)
        return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)

    async def round(self, rate: float, seconds: float) -> _Round:
        """The others and the door, for so many seconds, open loop: a slow answer delays no later request."""
        found, loop = _Round(), asyncio.get_running_loop()
        began = loop.time()
        tasks = [asyncio.create_task(self._door(found, seconds))]
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            tasks.append(asyncio.create_task(self._one(found, number)))
        await asyncio.gather(*tasks)
        return found

    async def _one(self, found: _Round, number: int) -> None:
        who = self._chance.choice(self._others)
        if number % 4 == 3:
            call: dict[str, Any] = {"method": "GET", "path": f"/v1/events/{self._event}/availability"}
        else:
            path = f"/v1/events/{self._event}/reservations"
            body = {"ticket_type_id": self._type, "quantity": 1}
            call = {"method": "POST", "path": path, "key": uuid4().hex, "prefer": "wait=30", "body": body}
        try:
            answer = await self._client.request(**call, token=who.token)
        except NoAnswer:
            found.refused += 1
            return
        found.seconds.append(answer.seconds)
        found.refused += answer.status >= 400

    async def _door(self, found: _Round, seconds: float) -> None:
        for number in range(int(seconds / DOOR_EVERY_S)):
            scans = [{"code": self._code, "scanned_at": "2026-11-28T20:00:00Z"}] * 20
            body = {"scanner": f"device-{number}", "scans": scans}
            path = f"/v1/events/{self._event}/check-ins/batch"
            try:
                answer = await self._client.request("POST", path, token=self._organizer.token, body=body)
                found.door_refused += answer.status >= 400
            except NoAnswer:
                found.door_refused += 1
            found.door += 1
            await asyncio.sleep(DOOR_EVERY_S)


async def _end(process: asyncio.subprocess.Process) -> dict[str, int]:
    out, _ = await process.communicate(b"\n")
    return msgspec.json.decode(out or b"{}", type=dict[str, int])
