"""The first steps, the README's five calls, and the rebuild of the operations page run as they are written."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ops.cli.main import run
from ops.run.platform import Platform
from tests.unit.docs.pages import ROOT, blocks, section, text_of

WALK_S_MAX = 60
CAUGHT_UP_S_MAX = 30.0
TABLES = ("events", "ticket_types", "reservations", "seat_claims", "tickets", "payments", "notifications")


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime directory of a user who has nothing else running."""
    directory = tmp_path_factory.mktemp("runtime")
    directory.chmod(0o700)
    return directory


@pytest.fixture(scope="module")
def platform(runtime: Path) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        with Platform(findable=True) as running:
            yield running


@pytest.fixture
def elsewhere(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another terminal of this user: no address of any service."""
    for name in [name for name in os.environ if name.startswith("CIRCLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))


@pytest.fixture(scope="module")
def walk(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of the first steps, and of the README's five calls after them."""
    scripts = [
        block
        for page, heading in (("ops/docs/guide/first-steps.md", "Try it"), ("README.md", "Five calls"))
        for block in blocks(section(text_of(page), heading), "bash")
    ]
    assert len(re.findall(r"^call ", scripts[-1], re.MULTILINE)) == 5
    scratch = tmp_path_factory.mktemp("walk")
    return run_script(platform, scripts, scratch, cwd=scratch)


def run_page(platform: Platform, page: str, heading: str, scratch: Path) -> str:
    """The output of a page's commands under a heading."""
    return run_script(platform, blocks(section(text_of(page), heading), "bash"), scratch)


def run_script(platform: Platform, scripts: Sequence[str], scratch: Path, *, cwd: Path = ROOT) -> str:
    """The output of these commands, in one shell."""
    script = scratch / "walk.sh"
    script.write_text("\n".join(scripts))
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", str(script)],
        cwd=cwd,
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
    assert '"seats":["A-3","A-4","A-5"]' in walk, "the page shows these"
    assert '"available":37,"held":3,"sold":0' in walk
    assert '"status":"confirmed"' in walk
    assert '"kind":"ticket.held"' in walk
    assert "event: reservation.confirmed\n" in walk


def test_the_buyers_guide_makes_an_account_and_deletes_it(platform: Platform, tmp_path: Path) -> None:
    printed = run_page(platform, "ops/docs/guide/buyer.md", "Your account", tmp_path)
    assert '"email":"bob@example.org"' in printed, "the address has one form"
    assert printed.count('"name":"Bob the buyer"') == 3
    assert printed.rstrip().endswith("204")


def test_the_organizers_guide_invites_staff_and_names_what_is_in_use(platform: Platform, tmp_path: Path) -> None:
    printed = run_page(
        platform, "ops/docs/guide/organizer.md", "Your account, and the people at the door", tmp_path
    ).splitlines()
    profile = '"role":"organizer","description":"Concerts in small rooms.","links":["https://carol.example.org"]}'
    assert any(line.endswith(profile) and "email" not in line for line in printed)
    assert any('"title":"Quartet"' in line and '"status":"draft"' in line for line in printed), "Dora's doors"
    assert "204" in printed
    assert '"type":"/problems/category-in-use"' in printed[-1]


def test_the_guides_commands_work_in_another_terminal_with_nothing_set(
    walk: str, elsewhere: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of the page on replay as they are written, with the event and the reservation of the
    walk-through."""
    hold = re.search(
        r'"id":"([0-9a-f-]{36})","status":"held","event_id":"([0-9a-f-]{36})".*"position":{"partition":(\d+)', walk
    )
    assert hold is not None
    reservation, event, partition = hold.groups()
    monkeypatch.chdir(tmp_path)
    ran = set()
    for line in re.findall(r"^\$ circle (.*)$", text_of("ops/docs/guide/replay.md"), re.MULTILINE):
        words = shlex.split(line)
        kind = " ".join(words[: 2 if words[0] == "replay" else 1])
        if set(words) & {"--follow", "--receipt", "load", "dlq"}:
            continue  # they do not end, or need something that this platform lacks: a letter, another cluster
        if set(words) & {"shadow", "--back"} or kind in ran:
            continue  # the first of a kind is enough; these two have tests of their own
        own = dict.fromkeys(range(len(words)), event) | ({1: reservation} if kind == "explain" else {})
        words = [re.sub(r"^[0-9a-f-]{36}$", own[place], word) for place, word in enumerate(words)]
        words = [
            f"{partition}-3" if before == "--at" else word for before, word in zip(["", *words], words, strict=False)
        ]
        assert run(words) == 0, (words, capsys.readouterr().err)
        ran.add(kind)
    assert ran >= {
        "verify",
        "explain",
        "seats",
        "replay projections",
        "replay redis",
        "replay what-if",
        "replay export",
    }


@pytest.mark.parametrize(
    ("command", "code", "printed"),
    [
        ("verify --json", 0, '"ok": true'),
        ("dlq list", 0, "no dead letters"),
        ("users promote ada@example.org --role admin", 0, "is admin"),
        ("locks list 11111111-1111-4111-8111-111111111111", 0, "no foreign locks"),
        ("topics list", 0, "tickets.commands"),
        ("topics describe", 0, "tickets.facts"),
        ("migrate", 0, "up to date"),
        ("--stack 1 verify", 3, ""),
        ("verify --stack 1", 3, ""),
    ],
)
def test_tools_find_the_platform(
    walk: str, elsewhere: None, capsys: pytest.CaptureFixture[str], command: str, code: int, printed: str
) -> None:
    assert walk
    assert run(command.split()) == code
    assert printed in capsys.readouterr().out


def test_a_shell_reaches_the_platform_by_what_env_prints(platform: Platform, elsewhere: None) -> None:
    circle = shlex.join([sys.executable, "-m", "ops.cli.main"])
    script = f'eval "$({circle} env)"; echo "$CIRCLE_KAFKA_BOOTSTRAP_SERVERS $CIRCLE_URL"'
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [platform.settings.kafka_bootstrap_servers, platform.url]


def test_doctor_says_which_platform_it_found(
    platform: Platform, elsewhere: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["doctor", "--no-start", "--json", "--port", str(platform.port)])
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert platform.url in checks["platform"]["detail"]
    assert "the platform that runs here" in checks["port"]["detail"]
    assert [checks[name]["result"] for name in ("Kafka", "PostgreSQL", "Redis")] == ["ok"] * 3


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
    """Restart every process of the platform on the same services."""
    from ops.run.supervisor import Supervisor

    platform._supervisor = Supervisor(
        platform._specs(), env=platform.env, logs=Path(platform.logs), services=platform.stack.services
    )
    platform.supervisor.start()
    platform.supervisor.wait_ready(60)


async def read(url: str) -> dict[str, list[dict[str, Any]]]:
    """The rows that come from the log. A message about an account (partition -1) does not, as the page says.

    Nor does the number of a message in its inbox: a rebuild counts on.
    """
    connection = await asyncpg.connect(url)
    try:
        return {
            table: sorted(
                [
                    {name: value for name, value in row.items() if name != "outbound_offset"}
                    for row in await connection.fetch(f"SELECT * FROM {table} WHERE partition >= 0")
                ],
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
