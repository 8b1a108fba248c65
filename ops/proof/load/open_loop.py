"""An open loop of reservations: requests are sent when they are due, even if the answers are slow.

It is a process of its own, so that its CPU does not count for the measured processes: `python -m
ops.proof.load.open_loop PLAN.json` writes `Sent` lines as it goes, and one `Result` at the end, as JSON. Latency counts
from the moment when a request was due, so it includes the wait for a connection.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import uvloop

from ops.proof.load.http_client import CONNECTIONS_MAX, HttpClient, NoAnswer
from ops.proof.load.statistics import Latencies, latencies

TICK_S = 0.001
REPORT_S = 0.25
UNANSWERED_MAX = 10_000  # requests beyond it are not sent, and counted as not sent: the client's own bound
DRAIN_S = 35.0  # the API answers within its 30 s of waiting
WARM_CONNECTIONS = 100
NO_ANSWER, NOT_SENT = "no-answer", "not-sent"
ACCEPTED = 202


class Target(msgspec.Struct, frozen=True):
    """Sections of an event, and how many places each has."""

    event_id: str
    ticket_type_ids: list[str]
    places: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The requests to send. `skip` places of the targets were requested before."""

    url: str
    tokens: list[str]
    targets: list[Target]
    rate: float
    seconds: float
    seed: int
    skip: int = 0
    connections_max: int = CONNECTIONS_MAX
    prefer: str = "wait=10"
    acknowledgements: bool = False  # a 202 is what is waited for: its latency counts


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """Progress."""

    due: int
    answered: int


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """One loop. `outcomes` counts every request that was due: held, a reason, pending, no-answer, not-sent."""

    due: int
    sent: int
    seconds: float
    outcomes: dict[str, int]
    places_asked: int
    latency: Latencies
    client_cpu_s: float

    @property
    def decided(self) -> int:
        """Requests that got their outcome."""
        return sum(count for name, count in self.outcomes.items() if is_outcome(name))


def is_outcome(name: str) -> bool:
    """Whether this result of a request is an outcome."""
    undecided = {NO_ANSWER, NOT_SENT, "pending", "busy", "not-acknowledged", "unavailable", "rate-limited"}
    return name not in undecided and not name.startswith(("http-", "internal-"))


class OpenLoop:
    """Sends a plan's requests."""

    def __init__(self, plan: Plan, client: HttpClient) -> None:
        self._plan, self._client = plan, client
        self._random = random.Random(plan.seed)  # noqa: S311 - a bench repeats itself
        self._tasks: set[asyncio.Task[None]] = set()
        self._seconds: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.places_asked = plan.skip
        self.due = self.answered = 0

    async def run(self) -> Result:
        """Send every request when it is due, then wait for the remaining answers."""
        plan = self._plan
        total = int(plan.rate * plan.seconds)
        started = time.perf_counter()
        reported = 0.0
        while self.due < total:
            now = time.perf_counter() - started
            while self.due < total and self.due / plan.rate <= now:
                self._send(started + self.due / plan.rate)
                self.due += 1
            if now - reported >= REPORT_S:
                reported = now
                _say(Sent(self.due, self.answered))
            await asyncio.sleep(TICK_S)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=DRAIN_S)
            for task in late:
                task.cancel()
            self.outcomes[NO_ANSWER] += len(late)
        return Result(
            due=self.due,
            sent=self._client.sent,
            seconds=round(time.perf_counter() - started, 3),
            outcomes={name: count for name, count in self.outcomes.most_common() if count},
            places_asked=self.places_asked,
            latency=latencies(self._seconds),
            client_cpu_s=round(time.process_time(), 3),
        )

    def _send(self, due_at: float) -> None:
        if len(self._tasks) >= UNANSWERED_MAX:
            self.outcomes[NOT_SENT] += 1
            return
        task = asyncio.create_task(self._reserve(due_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reserve(self, due_at: float) -> None:
        path, body = self._next()
        token = self._random.choice(self._plan.tokens)
        key = f"{self._random.getrandbits(96):x}"
        try:
            answer = await self._client.request("POST", path, token=token, key=key, prefer=self._plan.prefer, body=body)
        except NoAnswer:
            self.outcomes[NO_ANSWER] += 1
            return
        self.answered += 1
        name = "held" if answer.status == 201 else "pending" if answer.status == ACCEPTED else answer.problem
        self.outcomes[name] += 1
        if is_outcome(name) or (self._plan.acknowledgements and answer.status == ACCEPTED):
            self._seconds.append(time.perf_counter() - due_at)

    def _next(self) -> tuple[str, dict[str, object]]:
        """All events side by side, each section after the other."""
        targets = self._plan.targets
        target = targets[self.due % len(targets)]
        sections = target.ticket_type_ids
        per_event = self.places_asked / len(targets)
        section = sections[min(len(sections) - 1, int(per_event / target.places * len(sections)))]
        quantity = self._random.randint(1, 4)
        self.places_asked += quantity
        return f"/v1/events/{target.event_id}/reservations", {"ticket_type_id": section, "quantity": quantity}


def _say(line: Sent | Result) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


async def _main(plan: Plan) -> None:
    async with HttpClient(plan.url, connections_max=plan.connections_max) as client:
        await client.warm(WARM_CONNECTIONS)
        _say(await OpenLoop(plan, client).run())


if __name__ == "__main__":
    uvloop.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))
