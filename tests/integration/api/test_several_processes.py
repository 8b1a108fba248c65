"""Two API processes at the same log: each knows the writes of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from connectors.settings import Settings
from ops.run.services.process import run_coroutine, wait_for
from ops.run.services.stack import Stack
from schemas.ids import UserId, reservation_id
from tests.harness.api_process import ApiProcess, api_process
from tests.harness.shop import done, problem, unique

ONE_EVENT, OTHER_EVENT, TYPE_ID = str(uuid4()), str(uuid4()), str(uuid4())
ADA = str(uuid4())
BEFORE = "used-before-any-process-started"


@pytest.fixture(scope="module")
def processes(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ApiProcess]]:
    scratch = tmp_path_factory.mktemp("apis")
    run_coroutine(put_reservation(module_settings))
    with api_process(module_settings, scratch) as first, api_process(module_settings, scratch) as second:
        for api in (first, second):  # it listens first, and then looks for writes that it has missed
            assert wait_for(lambda api=api: recalled(api) >= 1, timeout_s=15) is None
        yield [first, second]


async def put_reservation(settings: Settings) -> None:
    """A row of a reservation that no process has seen."""
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        await connection.execute(
            'INSERT INTO reservations (id, event_id, partition, "offset", user_id, ticket_type_id, status, quantity,'
            " fingerprint, created_at, updated_at, updated_offset, updated_index)"
            " VALUES ($1, $2, 0, 0, $3, $4, 'held', 1, 0,"
            " (extract(epoch FROM now()) * 1e6)::bigint, 0, 0, 0)",
            reservation_id(UserId(ADA), BEFORE), ONE_EVENT, ADA, TYPE_ID,
        )  # fmt: skip
    finally:
        await connection.close()


def recalled(api: ApiProcess) -> int:
    """The number of times that it has read the rows."""
    return api.log.read_text().count("action=reservations.recalled")


def reserve(api: ApiProcess, event_id: str, key: str, **options: str) -> int:
    options = {"prefer": "respond-async"} | options
    return api.person(ADA).reserve(event_id, key=key, ticket_type_id=TYPE_ID, quantity=1, **options).status_code


def knows(api: ApiProcess, event_id: str, key: str) -> bool:
    response = api.person(ADA).reserve(event_id, key=key, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1)
    if response.status_code == 202:
        return False
    problem(response, 422, "idempotency-key-reused")
    return True


def await_pending(api: ApiProcess, reservation: str) -> Any:
    """The reservation, as soon as the process knows it: a moment after the writing process has answered."""
    path = f"/v1/reservations/{reservation}"
    found: list[httpx.Response] = []

    def told() -> bool:
        found[:] = [api.person(ADA).get(path, prefer="wait=0")]
        return found[0].status_code == 200

    assert wait_for(told, timeout_s=15) is None, found[0].text
    return found[0].json()


@pytest.mark.parametrize("first", [0, 1])
def test_a_key_that_was_used_for_one_event_is_refused_for_another_by_every_process(
    processes: list[ApiProcess], first: int
) -> None:
    key = unique()
    assert reserve(processes[first], ONE_EVENT, key) == 202
    await_pending(processes[1 - first], str(reservation_id(UserId(ADA), key)))
    assert knows(processes[1 - first], OTHER_EVENT, key)
    assert knows(processes[first], OTHER_EVENT, key)
    assert reserve(processes[1 - first], ONE_EVENT, key) == 202, "the same event is the same request"


def test_a_process_recalls_keys_from_the_rows(processes: list[ApiProcess]) -> None:
    for api in processes:
        assert knows(api, OTHER_EVENT, BEFORE)


def test_a_reservation_is_shown_as_pending_through_every_process(processes: list[ApiProcess]) -> None:
    accepted = done(
        processes[0].person(ADA).reserve(ONE_EVENT, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202
    )
    found = await_pending(processes[1], accepted["id"])
    assert (found["status"], found["position"]) == ("pending", accepted["position"])
    path = f"/v1/reservations/{accepted['id']}"
    problem(processes[1].person(str(uuid4())).get(path, prefer="wait=0"), 404, "reservation-not-found")


def test_a_reservation_is_changed_through_another_process_at_once(processes: list[ApiProcess]) -> None:
    """Also when its answer is faster than its announcement."""
    first, second = (api.person(ADA) for api in processes)
    for _ in range(20):
        accepted = done(first.reserve(ONE_EVENT, prefer="respond-async", ticket_type_id=TYPE_ID, quantity=1), 202)
        done(second.delete(f"/v1/reservations/{accepted['id']}", prefer="respond-async"), 202)


def test_what_redis_lost_is_recalled_from_the_rows(
    processes: list[ApiProcess], stack: Stack, module_settings: Settings
) -> None:
    first, second = processes
    key, before = unique(), recalled(second)
    stack.valkey.stop()
    try:
        assert reserve(first, ONE_EVENT, key) == 202
        assert reserve(first, ONE_EVENT, key, prefer="wait=1") == 202, "by now nobody was told"
        run_coroutine(project(module_settings, key))
    finally:
        stack.valkey.start()
    assert wait_for(lambda: recalled(second) > before, timeout_s=15) is None
    assert knows(second, OTHER_EVENT, key)


async def project(settings: Settings, key: str) -> None:
    """The projection's work meanwhile."""
    connection = await asyncpg.connect(settings.postgres_url)
    try:
        await connection.execute(
            "UPDATE reservations SET id = $1 WHERE user_id = $2", reservation_id(UserId(ADA), key), ADA
        )
    finally:
        await connection.close()
