"""A data directory of version 0.1 serves this version: the schema is migrated, every decision and row verifies, old
accounts, tickets and codes are valid, and the sale goes on.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from connectors.settings import Settings
from ops.migrations import migrations
from ops.progress import ProgressBars
from ops.proof.checker import wait_until_settled
from ops.proof.checker.check import check
from ops.rebuild.projections import rebuild
from ops.run.platform import Platform
from ops.run.services.postgres import Postgres, unprivileged_user
from ops.run.services.process import run_coroutine
from ops.verify.verify import VerifyOptions, VerifyReport, verify
from tests.harness.door import scan
from tests.harness.flows import eventually, rows_of
from tests.harness.shop import OnSale, Person, Shop, done, problem

pytestmark = pytest.mark.timeout(300)

DATA = Path(__file__).parents[2] / "data" / "data-directory-of-0.1"
THEN = json.loads((DATA / "answers.json").read_text(encoding="utf-8"))
PARTITIONS = 2  # as `CIRCLE_PARTITIONS` was when it was written
MIGRATIONS_THEN = 10
COMMANDS_THEN, EVENTS_THEN = 43, 4
CENTURY_S = 100 * 365 * 86_400.0  # a hold outlives its deadline while the directory lies unused


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """The directory as version 0.1 left it. PostgreSQL may enter it, and owns its own part."""
    top = Path(tempfile.mkdtemp(prefix="circle-kept-"))
    top.chmod(0o755)
    try:
        with tarfile.open(DATA / "directory.tar.xz") as archive:
            archive.extraction_filter = lambda member, _path: member  # it is ours; PostgreSQL looks at the modes
            archive.extractall(top / "data")
        if os.geteuid() == 0:
            for path in [*(top / "data/postgres").rglob("cluster"), *(top / "data/postgres/cluster").rglob("*")]:
                os.chown(path, *unprivileged_user())
        yield top / "data"
    finally:
        shutil.rmtree(top)


@pytest.fixture(scope="module")
def migrated_then(directory: Path) -> int:
    """The number of migrations that the directory has before this version starts."""
    with Postgres(data_dir=directory / "postgres") as postgres:
        return run_coroutine(applied(postgres.url))


async def applied(url: str) -> int:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM schema_migrations"))
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def platform(directory: Path, migrated_then: int) -> Iterator[Platform]:
    """`circle up --broker apache --data-dir …` of this version."""
    env = {"CIRCLE_RATE_LIMIT_SCALE": "0"}
    with Platform(broker="apache", data_dir=directory, partitions=PARTITIONS, keep_mails=True, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def shop(platform: Platform) -> Iterator[Shop]:
    opened = Shop(platform.url, platform.settings)
    yield opened
    opened.http.close()


def old_account(shop: Shop, name: str) -> Person:
    """A user who registered with version 0.1, and logs in now."""
    account = {"email": f"{name}@example.org", "password": THEN["password"]}
    tokens = done(shop.http.post("/v1/auth/login", json=account), 200)
    return Person(
        http=shop.http,
        id="",
        email=account["email"],
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
    )


def verified(settings: Settings) -> VerifyReport:
    with ProgressBars(quiet=True) as progress:
        report = verify(settings, VerifyOptions(), progress)
    assert report.ok, [(one.divergences, one.not_compared) for one in report.partitions]
    assert [one.not_compared for one in report.partitions if one.not_compared] == []
    return report


def same_as_then(shown: list[dict[str, Any]], then: list[dict[str, Any]]) -> None:
    """Every field that version 0.1 showed has the same value; there may be more fields."""
    found = {one["id"]: one for one in shown}
    assert found.keys() == {one["id"] for one in then}
    assert [{name: found[one["id"]][name] for name in one} for one in then] == then


def test_a_directory_of_version_0_1_is_migrated_verified_and_goes_on_selling(
    platform: Platform, shop: Shop, migrated_then: int
) -> None:
    settings = platform.settings
    assert migrated_then == MIGRATIONS_THEN < len(migrations())
    assert run_coroutine(applied(settings.postgres_url)) == len(migrations())
    before = verified(settings)
    assert sum(one.commands for one in before.partitions) >= COMMANDS_THEN
    assert sum(one.postgres_events for one in before.partitions) == EVENTS_THEN
    ada, bob, cleo, olga = (old_account(shop, name) for name in ("ada", "bob", "cleo", "olga"))
    night = OnSale(THEN["events"]["night"], THEN["night"]["seated"], THEN["night"]["general"], olga)
    same_as_then(done(ada.get("/v1/reservations"), 200)["items"], THEN["reservations"]["ada"])
    same_as_then(done(bob.get("/v1/reservations"), 200)["items"], THEN["reservations"]["bob"])
    for name, person in (("ada", ada), ("bob", bob)):
        kinds = [one["kind"] for one in done(person.get("/v1/notifications"), 200)["items"]]
        assert kinds == THEN["notifications"][name]
    left = f"/v1/reservations/{THEN['cleo']['left_held']}"
    eventually(lambda: done(cleo.get(left), 200)["status"] == "expired", "the hold that nobody paid expires")
    the_door_knows_the_old_codes(cleo, night)
    the_sale_goes_on(ada, bob, cleo, night)
    wait_until_settled(settings)
    after = verified(settings)
    assert sum(one.commands for one in after.partitions) > sum(one.commands for one in before.partitions)
    report = check(settings, strict=True, tick_bound_s=CENTURY_S)  # `verified` decides again, by each fact's own rules
    assert report.ok, report.text()
    rows_are_made_again_from_the_log(settings)


def the_door_knows_the_old_codes(cleo: Person, night: OnSale) -> None:
    """One ticket went in with version 0.1, the other goes in now, and neither twice."""
    used, unused = ({"code": code} for code in THEN["ada"]["codes"])
    problem(scan(cleo, night, used), 409, "already-checked-in")
    done(scan(cleo, night, unused), 201)
    problem(scan(cleo, night, unused), 409, "already-checked-in")


def the_sale_goes_on(ada: Person, bob: Person, cleo: Person, night: OnSale) -> None:
    """The seat of the expired hold is sold; a sold seat is not; who cancels a ticket makes room for who waits."""
    problem(cleo.reserve(night.id, ticket_type_id=night.seated, seats=["C-4"]), 409, "seat-taken")
    held = done(ada.reserve(night.id, ticket_type_id=night.seated, seats=["A-10"]), 201)
    sold = done(ada.confirm(held["id"]), 200)
    assert (sold["status"], [one["seat"] for one in sold["tickets"]]) == ("confirmed", ["A-10"])
    (place,) = done(bob.get("/v1/waitlist"), 200)["items"]
    assert place["status"] == "waiting"
    theirs = next(one for one in THEN["reservations"]["ada"] if one["event_id"] == THEN["events"]["tiny"])
    assert ada.delete(f"/v1/reservations/{theirs['id']}", prefer="wait=20").status_code in (200, 204)
    eventually(
        lambda: done(bob.get(f"/v1/waitlist/{place['id']}"), 200)["status"] == "offered",
        "the next in line has an offer",
    )


def rows_are_made_again_from_the_log(settings: Settings) -> None:
    with ProgressBars(quiet=True) as progress:
        generation = rebuild(settings, progress)
    assert generation.ok, [one for one in generation.tables if not one.same]
    with rows_of(settings) as query:
        assert query("SELECT count(*) FROM facts_set_aside") == [(0,)]
