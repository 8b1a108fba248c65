"""An answer from the log is bounded: in readers at a time, in records, in seconds."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack

import psutil
import pytest

from api.fairness.owner import Who, asking
from api.fairness.pools import HISTORY
from api.http.problem import Problem
from api.log.event_log import BoundExceeded, Bounds, facts_of
from api.reads.history import COMMAND, History, HistoryFailed
from api.reads.history_worker import ReadingPlace
from connectors.settings import Settings
from pipelines.history.moment import Moment
from schemas.facts import EventCreated
from schemas.ids import Position
from schemas.placement import partition_of
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.words import EVENT, add_type, create, publish, reserve


@pytest.fixture
def home(module_settings: Settings) -> int:
    return partition_of(EVENT, module_settings.partitions)


@pytest.fixture(scope="module", autouse=True)
def log(module_settings: Settings) -> BothLogs:
    made = BothLogs(partition=partition_of(EVENT, module_settings.partitions), seed=1)
    for command in (create(), add_type(), publish(), reserve(2, ["B-1", "B-2"])):
        made.put(command)
    made.take(300)
    write_both(module_settings, [made])
    return made


def test_what_is_read_for_one_answer_has_its_bounds(module_settings: Settings, home: int) -> None:
    for bounds in (Bounds(records_max=100, seconds_max=60), Bounds(records_max=10_000, seconds_max=0)):
        with pytest.raises(BoundExceeded):
            list(facts_of(module_settings, EVENT, home, bounds=bounds))
    whole = list(facts_of(module_settings, EVENT, home, bounds=Bounds(records_max=10_000, seconds_max=60)))
    assert len(whole) == 4


def test_an_event_that_began_before_the_time_told_is_read_from_its_beginning(
    module_settings: Settings, home: int
) -> None:
    """The embedded broker cannot look up times, so there it is the only way; on Apache Kafka it is the second try."""
    first = next(facts_of(module_settings, EVENT, home, since_ms=4_102_444_800_000))
    assert isinstance(first[1].fact, EventCreated)


async def test_so_many_are_read_for_at_a_time_and_what_is_over_is_kept(
    module_settings: Settings, home: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reads.history.HISTORY_PATIENCE_S", 60)  # the line is asked for here, not its patience
    history, place = History(module_settings), ReadingPlace(EVENT, home, 0)
    until = Moment(position=Position(home, 2), whole_command=True)
    asking.set(Who("ada", ("n1",)))
    try:
        asked = [asyncio.create_task(history.seats(place, until)) for _ in range(1 + HISTORY.user_line + 1)]
        await asyncio.sleep(0)
        asking.set(Who("bob", ("n2",)))
        others = await history.seats(place, until)  # while another caller asks for everything
        *maps, refused = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(refused, Problem)
        assert (refused.status, refused.headers) == (429, {"retry-after": "1"})
        assert maps[0] == maps[1] == others
        assert await history.seats(place, until) is not await history.seats(place, Moment())
        assert await history.seats(place, until) is await history.seats(place, until)
    finally:
        history.close()


async def test_a_log_that_is_longer_than_the_bound_is_503(module_settings: Settings, home: int) -> None:
    history = History(module_settings, Bounds(records_max=10, seconds_max=60))
    try:
        with pytest.raises(Problem) as refused:
            await history.explanation(ReadingPlace(EVENT, home, 0), "nobody", (10, 0))
        assert (refused.value.status, refused.value.slug) == (503, "unavailable")
        assert refused.value.headers == {"retry-after": "1"}
    finally:
        history.close()


async def test_a_worker_that_was_killed_is_replaced_and_an_answer_is_the_same(
    module_settings: Settings, home: int
) -> None:
    history, place = History(module_settings), ReadingPlace(EVENT, home, 0)
    try:
        first = await history.seats(place, Moment())
        worker = worker_processes()
        assert [os.sched_getscheduler(one.pid) for one in worker] == [os.SCHED_IDLE]
        for one in worker:
            one.kill()
            one.wait(10)
        assert await history.seats(place, Moment()) == first
        assert {one.pid for one in worker_processes()}.isdisjoint({one.pid for one in worker})
    finally:
        history.close()
    assert worker_processes() == []


async def test_closing_ends_a_read_that_is_under_way(module_settings: Settings, home: int) -> None:
    history = History(module_settings)
    asked = asyncio.create_task(history.seats(ReadingPlace(EVENT, home, 0), Moment()))
    while not worker_processes():
        await asyncio.sleep(0.01)
    history.close()
    with pytest.raises(HistoryFailed):
        await asked
    assert worker_processes() == []


async def test_an_answer_comes_to_a_process_with_thousands_of_open_descriptors(
    module_settings: Settings, home: int
) -> None:
    with ExitStack() as opened:
        while (descriptor := os.dup(0)) < 1_200:
            opened.callback(os.close, descriptor)
        opened.callback(os.close, descriptor)
        history = History(module_settings)
        opened.callback(history.close)
        assert (await history.seats(ReadingPlace(EVENT, home, 0), Moment())).exists


def worker_processes() -> list[psutil.Process]:
    """The live workers of this process."""
    children = psutil.Process().children()
    return [one for one in children if COMMAND[-1] in one.cmdline() and one.status() != psutil.STATUS_ZOMBIE]
