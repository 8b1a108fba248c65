"""A drop with PostgreSQL behind PgBouncer: processes and servers are killed, and every promise holds as without it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ops.cli.main import run
from tests.harness.faults import HOLD_TTL_S, PER_SECOND
from tests.harness.flows import eventually
from tests.harness.pooler import PooledPostgres, PooledStack
from tests.harness.stage import Stage

SERVERS = {"transaction": 6, "session": 60}  # fewer than connections in transaction mode; one for each in session mode
SMALL = ["demo", "--buyers", "300", "--seats", "120", "--hold-ttl", "3", "--json"]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=SERVERS)
def pooled(request: pytest.FixtureRequest) -> Iterator[PooledStack]:
    with PooledStack(request.param, default_pool_size=SERVERS[request.param]) as running:
        yield running


@pytest.fixture(scope="module")
def stage(pooled: PooledStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(pooled, tmp_path_factory.mktemp("workers"), strict=False)
    try:
        yield made.start()
    finally:
        made.close()


def test_worker_read_side_pooler_and_server_are_killed_in_the_middle_of_a_drop(
    stage: Stage, pooled: PooledStack
) -> None:
    """The checker compares log, rows and Redis afterwards, and a second generation of the rows is made."""
    drop = stage.drop(hold_ttl_s=HOLD_TTL_S)
    read_side = stage.others[0]
    with drop.rush(PER_SECOND) as crowd:
        crowd.wait_sent(100)
        stage.reservations.kill()
        stage.reservations.start()
        crowd.wait_sent(100)
        read_side.kill()
        read_side.start()
        stage.reservations.wait_ready()
        crowd.wait_sent(100)
        pooled.pooler.restart(kill=True)
        crowd.wait_sent(100)
        decided = stage.committed()
        pooled.postgres.restart(kill=True)
        crowd.wait_sent(100)
        eventually(lambda: stage.committed() > decided, "sales go on")
    report = stage.settled()
    assert report.counts["TicketsHeld"] > 50


@pytest.mark.long
def test_a_sold_out_drop_over_http_finds_nothing_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.run.services.stack.Postgres", PooledPostgres)
    code = run(SMALL)
    document = json.loads(capsys.readouterr().out)
    report = document["report"]
    assert (code, document["passed"], report["findings"]) == (0, True, [])
    assert report["sold"] == report["seats"] == 120
    assert report["oversold"] == report["lost"] == report["duplicates"] == 0
