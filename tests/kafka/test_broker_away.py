"""The broker is killed under the whole path over HTTP: what was asked meanwhile is asked again, and happens once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from api.auth.tokens import Role
from connectors.settings import Settings
from ops.checker import Told, check, wait_until_settled
from ops.services.process import wait_for
from ops.services.stack import Stack
from tests.harness.api_process import api_process
from tests.harness.shop import Person, Shop, done, problem, unique
from tests.harness.stage import SESSION_TIMEOUT_MS
from tests.harness.workers import Crew

CROWD = 20
BACK_S = 60.0


@pytest.mark.timeout(240)
def test_requests_meanwhile_are_503_and_their_keys_have_one_outcome_each_afterwards(
    stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    settings = replace(settings, session_timeout_ms=SESSION_TIMEOUT_MS)
    with Crew(settings, tmp_path / "logs", strict=True) as crew, api_process(settings, tmp_path) as api:
        crew.start("reservations", "projections")
        shop = Shop(str(api.http.base_url))
        event = shop.event(api.person(str(uuid4()), Role.ORGANIZER), max_tickets_per_user=2)
        crowd = [(api.person(str(uuid4())), unique()) for _ in range(CROWD)]

        def ask(who: tuple[Person, str]) -> httpx.Response:
            buyer, key = who
            return buyer.reserve(event.id, key=key, prefer="wait=2", ticket_type_id=event.seated, quantity=2)

        before = done(ask(crowd[0]), 201)
        stack.kafka.kill()
        try:
            with ThreadPoolExecutor(CROWD) as pool:
                answers = list(pool.map(ask, crowd))
        finally:
            stack.kafka.start()
        for answer in answers:
            problem(answer, 503, "not-acknowledged")
            assert int(answer.headers["retry-after"]) >= 1
        outcomes: dict[str, dict[str, object]] = {}

        def all_have_theirs() -> bool:
            for worker in crew.workers:
                worker.revive()  # one that was within a transaction ends, and the supervisor starts it again
            left = [who for who in crowd if who[1] not in outcomes]
            with ThreadPoolExecutor(CROWD) as pool:
                for (_, key), answer in zip(left, pool.map(ask, left), strict=True):
                    assert answer.status_code in (201, 202, 503), answer.text
                    if answer.status_code == 201:
                        outcomes[key] = answer.json()
            return len(outcomes) == CROWD

        assert wait_for(all_have_theirs, timeout_s=BACK_S) is None
        assert outcomes[crowd[0][1]] == before, "what was acknowledged before is what it was"
        assert all(done(ask(who), 201) == outcomes[who[1]] for who in crowd)
        seats = [seat for one in outcomes.values() for seat in one["seats"]]  # type: ignore[attr-defined]
        assert len(seats) == len(set(seats)) == 2 * CROWD
        for worker in crew.workers:
            worker.ensure()
        wait_until_settled(settings, inbox=False, payments=False)
        told = [
            Told(str(one["id"]), one["position"]["partition"], one["position"]["offset"])  # type: ignore[index]
            for one in outcomes.values()
        ]
        report = check(settings, told=told, strict=True, tick_bound_s=BACK_S, inbox=False)
        assert report.ok, report.text()
        assert report.counts["TicketsHeld"] == CROWD
        shop.http.close()
