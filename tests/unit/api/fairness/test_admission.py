"""Admission under overload, in virtual time: short queues, full use, true times to come again, and fair turns."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterator
from itertools import count
from statistics import median

import pytest

from api.fairness.admission import PartitionGate, Passage
from api.fairness.delay_control import INTERVAL_S, DelayControl
from api.fairness.limits import (
    ADMISSION_CALM_S,
    ADMISSION_HOLD_S,
    ADMISSION_LEAST,
    ADMISSION_PATIENCE_S,
    ADMISSION_REFUSED_MAX,
    ADMISSION_RETRY_S_MAX,
)
from api.fairness.owner import PLATFORM, Lane, Who
from api.fairness.pools import UNDECIDED
from api.http.problem import Problem
from schemas.ids import CommandId
from tests.harness.virtual_time import compute, now, run

TARGET_S = 0.25
CAPACITY = 400  # decisions a second of the partition
CYCLE_S = 0.025
NETWORK_S = 0.2  # how much later a client comes back than it means to, at most


class Partition:
    """One partition and its worker: CAPACITY decisions a second, a batch each CYCLE_S. It can be stopped."""

    def __init__(self, capacity: float = CAPACITY) -> None:
        self.gate = PartitionGate(UNDECIDED, target_s=TARGET_S, hears=lambda: True, clock=now)
        self.capacity = capacity
        self.decided_at: list[float] = []
        self.delays: list[tuple[float, float]] = []
        self._log: deque[tuple[Passage, asyncio.Future[None]]] = deque()
        self._offsets = count()
        self._left_over = 0.0

    async def work(self) -> None:
        while True:
            await asyncio.sleep(CYCLE_S)
            self._left_over = min(self._left_over + self.capacity * CYCLE_S, self.capacity)
            if not self._log:
                self._left_over = 0.0
            while self._log and self._left_over >= 1:
                passage, decided = self._log.popleft()
                self._left_over -= 1
                self.delays.append((now(), now() - passage.sent_at))
                self.decided_at.append(now())
                passage.decided(next(self._offsets))
                if not decided.done():
                    decided.set_result(None)

    async def ask(self, who: Who, *, begins: bool = True, wait_s: float = 30.0) -> None:
        """One request, until its decision. Raises Problem."""
        passage = await self.gate.enter(who, begins=begins)
        decided = asyncio.get_running_loop().create_future()
        self._log.append((passage, decided))
        try:
            async with asyncio.timeout(wait_s):
                await decided
        finally:
            passage.left()


def buyer(number: int | str) -> Who:
    return Who(f"buyer-{number}", ("network", "wide"), Lane.SALE)


class Crowd:
    """Requests at a rate, each by another user who comes once, and what became of them."""

    def __init__(self, partition: Partition) -> None:
        self.partition, self.tasks = partition, set[asyncio.Task[None]]()
        self.statuses: Counter[int] = Counter()
        self.retry_after: list[int] = []
        self._names = count()

    async def come(self, rate: float, seconds: float) -> None:
        until = now() + seconds
        while now() < until:
            self.send(buyer(next(self._names)))
            await asyncio.sleep(1 / rate)

    def send(self, who: Who) -> None:
        task = asyncio.create_task(self._one(who))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _one(self, who: Who) -> None:
        try:
            await self.partition.ask(who)
        except Problem as problem:
            self.retry_after.append(int(problem.headers["retry-after"]))
            self.statuses[problem.status] += 1
        else:
            self.statuses[201] += 1


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def test_at_ten_times_the_load_decisions_stay_fast_the_worker_busy_and_calm_returns_at_once() -> None:
    async def scenario() -> None:
        partition = Partition()
        crowd, worker = Crowd(partition), asyncio.create_task(partition.work())
        await crowd.come(CAPACITY / 2, 5)
        assert crowd.statuses[503] == 0
        began = now()
        await crowd.come(CAPACITY * 10, 8)
        ended = now()
        await crowd.come(CAPACITY / 2, 5)
        overloaded = [delay for at, delay in partition.delays if began + 4 < at <= ended]
        assert max(overloaded) <= 2 * TARGET_S
        goodput = sum(began < at <= ended for at in partition.decided_at) / (ended - began)
        assert goodput >= 0.95 * CAPACITY
        assert median(delay for at, delay in partition.delays if at > ended + 1) <= 2 * CYCLE_S
        refused = crowd.statuses[503]
        await crowd.come(CAPACITY / 2, 5)
        assert crowd.statuses[503] == refused
        await stopped(worker)

    run(scenario())


class BusyProcess:
    """Clients that each ask again as soon as they are answered. A turn of the loop takes COST_S for each of them."""

    CLIENTS, COST_S = 500, 0.0008

    def __init__(self, partition: Partition) -> None:
        self.partition, self.statuses = partition, Counter[int]()

    async def run(self, seconds: float) -> None:
        until = now() + seconds
        await asyncio.gather(*(self._client(number, until) for number in range(self.CLIENTS)))

    async def _client(self, number: int, until: float) -> None:
        while now() < until:
            compute(self.COST_S)
            try:
                await self.partition.ask(buyer(number))
            except Problem as problem:
                self.statuses[problem.status] += 1
                await asyncio.sleep(0)
            else:
                self.statuses[201] += 1


def test_a_busy_process_does_not_take_its_own_time_for_the_worker_s() -> None:
    """The worker is slow for a moment, then quick again. The loop looks at its decisions after a turn of 0.4 s."""

    async def scenario() -> None:
        partition = Partition(capacity=100)
        worker = asyncio.create_task(partition.work())
        busy = BusyProcess(partition)
        await busy.run(2)
        assert busy.statuses[503] > 0
        partition.capacity = 100_000
        await busy.run(3)
        busy.statuses.clear()
        await busy.run(5)
        assert set(busy.statuses) == {201}
        assert busy.statuses[201] >= 0.9 * 5 / busy.COST_S
        await stopped(worker)

    run(scenario())


def test_a_busy_process_sees_that_the_worker_is_slow() -> None:
    async def scenario() -> None:
        partition = Partition(capacity=100)
        worker = asyncio.create_task(partition.work())
        busy = BusyProcess(partition)
        await busy.run(10)
        assert busy.statuses[503] > busy.statuses[201]
        assert partition.gate.control.limit == ADMISSION_LEAST
        await stopped(worker)

    run(scenario())


def test_a_burst_that_drains_is_no_overload() -> None:
    async def scenario() -> None:
        partition = Partition()
        crowd, worker = Crowd(partition), asyncio.create_task(partition.work())
        for number in range(CAPACITY // 2):
            crowd.send(buyer(number))
        await asyncio.sleep(1)
        await crowd.come(CAPACITY / 2, 3)
        await asyncio.sleep(1)
        assert set(crowd.statuses) == {201}
        await stopped(worker)

    run(scenario())


class Outcome:
    """What one user got: how often they were let in, how often refused, and the waits of each success."""

    def __init__(self) -> None:
        self.let_in = self.refused = self.too_late = 0
        self.waits: list[float] = []


async def obey(partition: Partition, who: Who, outcome: Outcome) -> None:
    """Ask again and again, and wait after each refusal as long as it says."""
    chance = random.Random(who.user)
    await asyncio.sleep(chance.random())
    while True:
        began, promised = now(), now()
        while True:
            try:
                await partition.ask(who)
            except Problem as problem:
                outcome.refused += 1
                outcome.too_late += now() > promised > began
                promised = now() + int(problem.headers["retry-after"])
                await asyncio.sleep(promised - now() + chance.random() * NETWORK_S)
            else:
                break
        outcome.let_in += 1
        outcome.waits.append(now() - began)


async def come_back(partition: Partition, who: Who, outcome: Outcome) -> None:
    """Ask until let in, each time at the moment that the refusal named."""
    while not outcome.let_in:
        try:
            await partition.ask(who)
        except Problem as problem:
            outcome.refused += 1
            await asyncio.sleep(int(problem.headers["retry-after"]))
        else:
            outcome.let_in += 1


async def hammer(partition: Partition, who: Who, outcome: Outcome, pause_s: float) -> None:
    """Ask every `pause_s` seconds, without a look at the answer."""
    while True:
        try:
            await partition.ask(who)
        except Problem:
            outcome.refused += 1
            await asyncio.sleep(pause_s)
        else:
            outcome.let_in += 1


def test_who_retries_fastest_does_not_starve_who_waits_and_gains_nothing() -> None:
    async def scenario() -> None:
        partition = Partition()
        worker = asyncio.create_task(partition.work())
        patient, fast = [Outcome() for _ in range(750)], [Outcome() for _ in range(50)]
        tasks = [asyncio.create_task(obey(partition, buyer(f"p{n}"), one)) for n, one in enumerate(patient)]
        tasks += [asyncio.create_task(hammer(partition, buyer(f"f{n}"), one, 0.05)) for n, one in enumerate(fast)]
        await asyncio.sleep(40)
        for task in [*tasks, worker]:
            task.cancel()
        await asyncio.wait([*tasks, worker])
        refusals_of_fast = sum(one.refused for one in fast) / len(fast)
        assert refusals_of_fast > 10 * sum(one.refused for one in patient) / len(patient)
        assert min(one.let_in for one in patient) >= 0.5 * median(one.let_in for one in patient)
        assert median(one.let_in for one in fast) <= 1.25 * median(one.let_in for one in patient)
        assert sum(one.let_in for one in patient + fast) >= 0.9 * CAPACITY * 40

    run(scenario())


def test_retry_after_is_true_who_comes_back_then_is_let_in() -> None:
    async def scenario() -> None:
        partition = Partition()
        crowd, worker = Crowd(partition), asyncio.create_task(partition.work())
        strangers = asyncio.create_task(crowd.come(CAPACITY * 3, 30))
        await asyncio.sleep(3)
        patient = [Outcome() for _ in range(250)]
        tasks = [asyncio.create_task(obey(partition, buyer(f"p{n}"), one)) for n, one in enumerate(patient)]
        await asyncio.sleep(25)
        for task in [*tasks, worker, strangers]:
            task.cancel()
        await asyncio.wait([*tasks, worker, strangers])
        returns = sum(one.let_in + one.refused for one in patient)
        assert returns > 500
        assert sum(one.too_late for one in patient) <= 0.03 * returns
        assert min(one.let_in for one in patient) >= 1
        waits = [wait for one in patient for wait in one.waits]
        assert max(waits) <= ADMISSION_RETRY_S_MAX + 2

    run(scenario())


def test_who_comes_back_when_asked_to_is_let_in_although_the_worker_has_stood_still_since() -> None:
    async def scenario() -> None:
        partition = Partition()
        crowd, worker = Crowd(partition), asyncio.create_task(partition.work())
        partition.capacity = 0
        for number in range(UNDECIDED.places // 2):
            crowd.send(buyer(number))
        await asyncio.sleep(1)
        late = [Outcome() for _ in range(150)]
        tasks = [asyncio.create_task(come_back(partition, buyer(f"late{n}"), one)) for n, one in enumerate(late)]
        await asyncio.sleep(1.5)  # the first turns have come
        partition.capacity = CAPACITY
        await asyncio.wait(tasks)
        assert sum(one.refused for one in late) > 100
        assert max(one.refused for one in late) == 1
        assert {one.let_in for one in late} == {1}
        await stopped(worker)

    run(scenario())


def test_one_user_with_many_requests_has_a_share_and_the_others_theirs() -> None:
    async def scenario() -> None:
        partition = Partition()
        worker = asyncio.create_task(partition.work())
        greedy, modest = [Outcome() for _ in range(200)], [Outcome() for _ in range(150)]
        tasks = [asyncio.create_task(hammer(partition, buyer("greedy"), one, 0.1)) for one in greedy]
        tasks += [asyncio.create_task(obey(partition, buyer(n), one)) for n, one in enumerate(modest)]
        await asyncio.sleep(30)
        for task in [*tasks, worker]:
            task.cancel()
        await asyncio.wait([*tasks, worker])
        assert sum(one.let_in for one in greedy) <= 0.3 * 400 * 30
        assert min(one.let_in for one in modest) >= 20

    run(scenario())


def test_a_payment_goes_before_new_holds_and_the_door_is_never_refused() -> None:
    async def scenario() -> None:
        partition = Partition()
        crowd, worker = Crowd(partition), asyncio.create_task(partition.work())
        strangers = asyncio.create_task(crowd.come(CAPACITY * 10, 8))
        await asyncio.sleep(3)
        statuses: Counter[str] = Counter()
        for number in range(200):
            await asyncio.sleep(0.02)
            for name, who, begins in (
                ("payment", buyer(f"pays{number}"), False),
                ("door", Who("door", ("gate",), Lane.DOOR), True),
                ("provider", PLATFORM, True),
            ):
                try:
                    await partition.ask(who, begins=begins)
                except Problem:
                    statuses[name] += 1
        assert not statuses
        assert crowd.statuses[503] > 1_000
        for task in (worker, strangers):
            await stopped(task)

    run(scenario())


def test_without_decisions_a_few_are_taken_and_all_others_are_refused_until_they_come_again() -> None:
    async def scenario() -> None:
        partition = Partition(capacity=0)
        crowd, worker = Crowd(partition), asyncio.create_task(partition.work())
        await crowd.come(200, 10)
        undecided = partition.gate.line.running
        assert undecided <= 4 * ADMISSION_LEAST
        assert crowd.statuses[503] > 200 * 10 - undecided - ADMISSION_LEAST
        partition.capacity = CAPACITY
        await asyncio.sleep(ADMISSION_CALM_S)
        refused = crowd.statuses[503]
        await crowd.come(200, 3)
        assert crowd.statuses[503] == refused
        await stopped(worker)

    run(scenario())


def test_commands_that_nobody_waits_for_keep_their_places_until_a_later_one_is_decided() -> None:
    async def scenario() -> None:
        gate = PartitionGate(UNDECIDED, target_s=TARGET_S, hears=lambda: True, clock=now)
        first, second, third = [await gate.enter(buyer(number), begins=True) for number in range(3)]
        assert first.probes(CommandId("first"))
        assert not second.probes(CommandId("second"))
        for offset, passage in enumerate((first, second, third)):
            passage.acknowledged(offset)
            passage.left()
        assert gate.line.running == 3
        first.decided(1)
        assert gate.line.running == 1
        late = await gate.enter(buyer("late"), begins=True)
        late.acknowledged(0)  # its decision has overtaken the acknowledgement
        late.left()
        assert gate.line.running == 1
        await asyncio.sleep(ADMISSION_HOLD_S + 0.1)
        after = await gate.enter(buyer("after"), begins=True)
        assert gate.line.running == 1
        assert after.probes(CommandId("after"))

    run(scenario())


def test_without_replies_nothing_is_measured_and_nothing_refused() -> None:
    async def scenario() -> None:
        gate = PartitionGate(UNDECIDED, target_s=TARGET_S, hears=lambda: False, clock=now)
        for number in range(2_000):
            await gate.enter(buyer(number), begins=True)
            await asyncio.sleep(0.001)
        assert (gate.control.limit, gate.line.running) == (UNDECIDED.places, 0)

    run(scenario())


def test_a_cancelled_request_leaves_the_line_and_a_refused_one_is_remembered_within_bounds() -> None:
    async def scenario() -> None:
        share = UNDECIDED.scaled(4)
        gate = PartitionGate(share, target_s=TARGET_S, hears=lambda: True, clock=now)
        passages = [await gate.enter(buyer(number), begins=True) for number in range(3)]
        waiting = asyncio.create_task(gate.enter(buyer("gone"), begins=True))
        await asyncio.sleep(0)
        assert gate.line.waiting == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        assert gate.line.waiting == 0
        began = now()
        with pytest.raises(Problem) as refused:
            await gate.enter(buyer("late"), begins=True)
        assert refused.value.slug == "busy"
        assert now() - began == pytest.approx(ADMISSION_PATIENCE_S)
        with pytest.raises(Problem) as early:
            await gate.enter(buyer("late"), begins=True)
        assert (early.value.status, early.value.slug) == (429, "rate-limited")
        for number in range(ADMISSION_REFUSED_MAX + 10):
            gate.refused(f"u{number}", number, now())
        assert gate.remembered() == ADMISSION_REFUSED_MAX
        for passage in passages:
            passage.left()
        assert (gate.line.running, gate.line.keys_known()) == (0, 0)

    run(scenario())


def intervals() -> Iterator[float]:
    return (number * (INTERVAL_S + 0.001) for number in count(1))


def test_the_limit_follows_the_ratio_of_target_and_delay_and_grows_back() -> None:
    control, at = DelayControl(target_s=0.1, least=10, most=10_000, now=0.0), intervals()
    control.decided(0.5)
    assert not control.adjusted(0.1, 1_000, 0.5)
    assert control.adjusted(next(at), 1_000, 0.5)
    assert control.limit == 500  # half of what was under way, not a fifth
    control.decided(0.125)
    control.adjusted(next(at), 500, 0.2)
    assert control.limit == 400
    control.decided(0.02)
    control.adjusted(next(at), 400, 0.1)
    assert control.limit == 561
    for _ in range(60):
        control.decided(0.02)
        control.adjusted(next(at), 5, 0.0)
    assert control.limit == 10_000


def test_a_slow_decision_of_a_few_commands_is_no_overload() -> None:
    control = DelayControl(target_s=0.1, least=10, most=1_000, now=0.0)
    control.decided(3.0)
    assert not control.adjusted(1.0, 10, 0.0)
    assert control.limit == 1_000
