"""The README's walk-through and the operations page's rebuilding, run as they are written, on a whole platform."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.platform import Platform
from tests.unit.docs.pages import blocks, section, text_of

WALK_S_MAX = 60
CAUGHT_UP_S_MAX = 30.0
TABLES = ("events", "ticket_types", "reservations", "seat_claims", "tickets", "payments", "notifications")


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


@pytest.fixture(scope="module")
def walk(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the walk-through prints."""
    return run(platform, "README.md", "Try it", tmp_path_factory.mktemp("walk"))


def run(platform: Platform, page: str, heading: str, scratch: Path) -> str:
    """What a page's commands under a heading print."""
    script = scratch / "walk.sh"
    script.write_text("\n".join(blocks(section(text_of(page), heading), "bash")))
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", str(script)],
        env={**os.environ, "CIRCLE_URL": platform.url},
        capture_output=True,
        text=True,
        timeout=WALK_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_walk_through_sells_three_seats_and_tells_of_it(walk: str) -> None:
    assert '"status":"published"' in walk
    assert '"status":"held"' in walk
    assert '"seats":["A-3","A-4","A-5"]' in walk, "the README shows these"
    assert '"available":37,"held":3,"sold":0' in walk
    assert '"status":"confirmed"' in walk
    assert '"kind":"ticket.held"' in walk
    assert "event: reservation.confirmed\n" in walk


def test_the_buyers_guide_makes_an_account_and_deletes_it(platform: Platform, tmp_path: Path) -> None:
    printed = run(platform, "ops/docs/guide/buyer.md", "Your account", tmp_path)
    assert '"email":"bob@example.org"' in printed, "the address has one form"
    assert printed.count('"name":"Bob the buyer"') == 3
    assert printed.rstrip().endswith("204")


def test_the_organizers_guide_invites_staff_and_names_what_is_in_use(platform: Platform, tmp_path: Path) -> None:
    printed = run(
        platform, "ops/docs/guide/organizer.md", "Your account, and the people at the door", tmp_path
    ).splitlines()
    profile = '"role":"organizer","description":"Concerts in small rooms.","links":["https://carol.example.org"]}'
    assert any(line.endswith(profile) and "email" not in line for line in printed)
    assert any('"title":"Quartet"' in line and '"status":"draft"' in line for line in printed), "Dora's doors"
    assert "204" in printed
    assert '"type":"/problems/category-in-use"' in printed[-1]


def test_rows_that_are_emptied_as_the_operations_page_says_come_back_as_they_were(
    platform: Platform, walk: str
) -> None:
    assert walk
    (truncate,) = blocks(section(text_of("ops/docs/operations.md"), "Rebuilding the rows"), "sql")
    before = asyncio.run(read(platform.settings.postgres_url))
    assert all(before[table] for table in TABLES)
    stop = platform.supervisor
    stop.stop()
    asyncio.run(empty(platform.settings.postgres_url, truncate))
    assert not any(asyncio.run(read(platform.settings.postgres_url)).values())
    start_again(platform)
    deadline = time.monotonic() + CAUGHT_UP_S_MAX
    while (after := asyncio.run(read(platform.settings.postgres_url))) != before:
        assert time.monotonic() < deadline, {table: (before[table], after[table]) for table in TABLES}
        time.sleep(0.05)


def start_again(platform: Platform) -> None:
    """Every process of the platform anew, on the same services."""
    from ops.supervisor import Supervisor

    platform._supervisor = Supervisor(
        platform._specs(), env=platform.env, logs=Path(platform.logs), services=platform.stack.services
    )
    platform.supervisor.start()
    platform.supervisor.wait_ready(60)


async def read(url: str) -> dict[str, list[dict[str, Any]]]:
    """What the log has made. A message about an account (partition -1) is not on it, as the page says."""
    connection = await asyncpg.connect(url)
    try:
        return {
            table: sorted(
                [dict(row) for row in await connection.fetch(f"SELECT * FROM {table} WHERE partition >= 0")],
                key=repr,
            )
            for table in TABLES
        }
    finally:
        await connection.close()


async def empty(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
