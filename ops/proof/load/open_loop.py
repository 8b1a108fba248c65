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
from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from itertools import accumulate
from pathlib import Path

import msgspec
import uvloop

from ops.proof.load.http_client import CONNECTIONS_MAX, NOT_DECIDED, HttpClient, NoAnswer, TimedResponse
from ops.statistics import Latencies, latencies, percentile
from schemas.ids import MS_PER_S, EventId, TicketTypeId

TICK_S = 0.001
REPORT_S = 0.25
UNANSWERED_MAX = 10_000  # requests beyond it are not sent, and counted as not sent: the client's own bound
DRAIN_S = 35.0  # the API answers within its 30 s of waiting
WARM_CONNECTIONS = 100
NO_ANSWER, NOT_SENT = "no-answer", "not-sent"
_WITHOUT_OUTCOME = NOT_DECIDED | {NO_ANSWER, NOT_SENT, "pending"}
OK, CREATED, ACCEPTED = 200, 201, 202
PROBE = "/healthz"


class Arrivals(StrEnum):
    """When the requests of a phase are due: at even distances, or by chance as independent people come."""

    EVEN = "even"
    POISSON = "poisson"


class LoadPhase(msgspec.Struct, frozen=True):
    """A rate in requests a second, for some seconds."""

    rate: float
    seconds: float

    @property
    def requests(self) -> int:
        return round(self.rate * self.seconds)


class Target(msgspec.Struct, frozen=True):
    """Sections of an event, and how many places each has."""

    event_id: EventId
    ticket_type_ids: list[TicketTypeId]
    places: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The requests to send. `skip` places of the targets were requested before.

    With `later`, other rates follow the first one. Event n gets requests in proportion to 1 / n to the power `zipf`;
    at 0 the events take turns. With `probe`, each request reads PROBE instead, which no dataflow sees.
    """

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
    later: list[LoadPhase] = []
    arrivals: Arrivals = Arrivals.EVEN
    zipf: float = 0.0
    quantity_max: int = 4
    probe: bool = False

    @property
    def phases(self) -> list[LoadPhase]:
        """All rates in their order."""
        return [LoadPhase(self.rate, self.seconds), *self.later]

    @property
    def requests(self) -> int:
        """All requests that will be due."""
        return sum(phase.requests for phase in self.phases)


class LoadSecond(msgspec.Struct, frozen=True):
    """One second of a loop: the outcomes that came in it, and the latency of the requests that were due in it.

    `due`: requests that were due in it. `answers`: all that came in it, by name. At its end, `unsent` requests wait for
    a connection of the client, and `unanswered` ones for an answer.
    """

    outcomes: int
    p50_ms: float
    p99_ms: float
    due: int = 0
    answers: dict[str, int] = {}
    unsent: int = 0
    unanswered: int = 0


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
    timeline: list[LoadSecond] = []
    began_at: float = 0.0  # the clock's time of the first request, in seconds

    @property
    def decided(self) -> int:
        """Requests that got their outcome."""
        return sum(count for name, count in self.outcomes.items() if is_outcome(name))


def is_outcome(name: str) -> bool:
    """Whether this result of a request is an outcome."""
    return name not in _WITHOUT_OUTCOME and not name.startswith(("http-", "internal-"))


def due_times(plan: Plan) -> list[float]:
    """The seconds after the start when each request is due, in order.

    A Poisson process of which the number of arrivals is known has its arrivals at independent uniform times.
    """
    chance = random.Random(f"arrivals/{plan.seed}")  # noqa: S311 - a bench repeats itself
    times, began = list[float](), 0.0
    for phase in plan.phases:
        if plan.arrivals is Arrivals.POISSON:
            times += sorted(began + chance.random() * phase.seconds for _ in range(phase.requests))
        else:
            times += [began + number / phase.rate for number in range(phase.requests)]
        began += phase.seconds
    return times


def zipf_shares(count: int, exponent: float) -> list[float]:
    """The share of the requests that each of `count` events gets; together 1. An exponent of 0 makes them equal."""
    weights = [1 / number**exponent for number in range(1, count + 1)]
    total = sum(weights)
    return [weight / total for weight in weights]


def timeline(
    answered: Sequence[tuple[float, float]],
    *,
    dues: Sequence[float] = (),
    answers: Mapping[int, Counter[str]] | None = None,
    backlog: Sequence[tuple[int, int]] = (),
) -> list[LoadSecond]:
    """Second by second, from when each request was due and when its outcome came, both in seconds after the start.

    `dues`: when all requests were due, those without an outcome, too. `answers`: the names of all answers by second.
    `backlog`: the requests that were unsent and unanswered at the end of each second.
    """
    answers, all_due = answers or {}, Counter(int(at) for at in dues)
    came = Counter(int(at) for _, at in answered)
    due: dict[int, list[float]] = {}
    for due_at, at in answered:
        due.setdefault(int(due_at), []).append(at - due_at)
    seconds = []
    for number in range(max((*came, *answers, len(backlog) - 1), default=-1) + 1):
        ordered = sorted(due.get(number, []))
        p50, p99 = (round(percentile(ordered, share) * MS_PER_S, 2) for share in (0.50, 0.99))
        unsent, unanswered = backlog[number] if number < len(backlog) else (0, 0)
        seconds.append(
            LoadSecond(
                outcomes=came[number], p50_ms=p50, p99_ms=p99, due=all_due[number],
                answers=dict(answers.get(number, {})), unsent=unsent, unanswered=unanswered,
            )
        )  # fmt: skip
    return seconds


class OpenLoop:
    """Sends a plan's requests."""

    def __init__(self, plan: Plan, client: HttpClient) -> None:
        self._plan, self._client = plan, client
        self._random = random.Random(plan.seed)  # noqa: S311 - a bench repeats itself
        self._unanswered = 0
        self._all_answered = asyncio.Event()
        # Heads and bodies by the numbers of event and section, and by quantity.
        self._requests: dict[tuple[int, int, int], tuple[bytes, bytes]] = {}
        self._answered: list[tuple[float, float]] = []
        self._answers: dict[int, Counter[str]] = {}
        self._backlog: list[tuple[int, int]] = []
        self._started = 0.0
        self._probe = client.head("GET", PROBE, b"") + client.lines()
        self._shares = list(accumulate(zipf_shares(len(plan.targets), plan.zipf))) if plan.zipf else None
        self._asked = [plan.skip / max(1, len(plan.targets))] * len(plan.targets)
        self.outcomes: Counter[str] = Counter()
        self.places_asked = plan.skip
        self.due = self.answered = 0

    async def run(self) -> Result:
        """Send every request when it is due, then wait for the remaining answers."""
        times = due_times(self._plan)
        total = len(times)
        started, began_at = time.perf_counter(), time.time()
        self._started, reported = started, 0.0
        noting = asyncio.create_task(self._note_backlog())
        while self.due < total:
            now = time.perf_counter() - started
            while self.due < total and times[self.due] <= now:
                self._send(started + times[self.due])
                self.due += 1
            if now - reported >= REPORT_S:
                reported = now
                _say(Sent(self.due, self.answered))
            await asyncio.sleep(TICK_S)
        if self._unanswered:
            self._all_answered.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._all_answered.wait()
            self.outcomes[NO_ANSWER] += self._unanswered
        noting.cancel()
        return Result(
            due=self.due,
            sent=self._client.sent,
            seconds=round(time.perf_counter() - started, 3),
            outcomes={name: count for name, count in self.outcomes.most_common() if count},
            places_asked=self.places_asked,
            latency=latencies([at - due_at for due_at, at in self._answered]),
            client_cpu_s=round(time.process_time(), 3),
            timeline=timeline(self._answered, dues=times, answers=self._answers, backlog=self._backlog),
            began_at=began_at,
        )

    async def _note_backlog(self) -> None:
        """At the end of each second, until cancelled."""
        while True:
            await asyncio.sleep(self._started + len(self._backlog) + 1 - time.perf_counter())
            self._backlog.append((self._client.unsent, self._client.unanswered))

    def _send(self, due_at: float) -> None:
        if self._unanswered >= UNANSWERED_MAX:
            self.outcomes[NOT_SENT] += 1
            return
        self._unanswered += 1
        if self._plan.probe:
            self._client.send(self._probe, partial(self._probed, due_at))
            return
        head, body = self._next()
        token = self._random.choice(self._plan.tokens)
        key = f"{self._random.getrandbits(96):x}"
        self._client.send(head + self._client.lines(token=token, key=key) + body, partial(self._reserved, due_at))

    def _reserved(self, due_at: float, answer: TimedResponse | NoAnswer) -> None:
        if isinstance(answer, NoAnswer):
            self._ended(NO_ANSWER)
            return
        self.answered += 1
        name = "held" if answer.status == CREATED else "pending" if answer.status == ACCEPTED else answer.problem
        self._ended(name)
        if is_outcome(name) or (self._plan.acknowledgements and answer.status == ACCEPTED):
            self._record(due_at)

    def _probed(self, due_at: float, answer: TimedResponse | NoAnswer) -> None:
        if isinstance(answer, NoAnswer):
            self._ended(NO_ANSWER)
            return
        self.answered += 1
        self._ended("answered" if answer.status == OK else f"http-{answer.status}")
        if answer.status == OK:
            self._record(due_at)

    def _ended(self, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self._answers.setdefault(int(time.perf_counter() - self._started), Counter())[outcome] += 1
        self._unanswered -= 1
        if not self._unanswered:
            self._all_answered.set()

    def _record(self, due_at: float) -> None:
        self._answered.append((due_at - self._started, time.perf_counter() - self._started))

    def _next(self) -> tuple[bytes, bytes]:
        """The head and body of the next request: all events side by side or by their share, each section in turn."""
        targets = self._plan.targets
        number = self.due % len(targets)
        if self._shares is not None:
            number = min(len(targets) - 1, bisect(self._shares, self._random.random()))
        target = targets[number]
        sections = target.ticket_type_ids
        section = min(len(sections) - 1, int(self._asked[number] / target.places * len(sections)))
        quantity = self._random.randint(1, self._plan.quantity_max)
        self.places_asked += quantity
        self._asked[number] += quantity
        request = self._requests.get((number, section, quantity))
        if request is None:
            path = f"/v1/events/{target.event_id}/reservations"
            body = msgspec.json.encode({"ticket_type_id": sections[section], "quantity": quantity})
            request = self._client.head("POST", path, body, prefer=self._plan.prefer), body
            self._requests[number, section, quantity] = request
        return request


def _say(line: Sent | Result) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


async def _main(plan: Plan) -> None:
    async with HttpClient(plan.url, connections_max=plan.connections_max) as client:
        await client.warm(WARM_CONNECTIONS)
        _say(await OpenLoop(plan, client).run())


if __name__ == "__main__":
    uvloop.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))
