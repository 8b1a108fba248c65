"""Tools find the platform on Apache Kafka as on the embedded broker: its own node, or a foreign one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cli.main import run
from ops.run.discovery import ADDRESSES
from ops.run.platform import Platform
from ops.run.services.stack import Stack
from tests.harness.shop import Shop, done


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime directory of a user who has nothing else running."""
    directory = tmp_path_factory.mktemp("runtime")
    directory.chmod(0o700)
    return directory


@pytest.fixture(scope="module", params=["apache", "host:port"])
def platform(request: pytest.FixtureRequest, runtime: Path) -> Iterator[Platform]:
    """`circle up --broker …`."""
    broker = request.param
    if broker == "host:port":
        somebodys: Stack = request.getfixturevalue("stack")
        somebodys.fresh()
        broker = somebodys.kafka.url
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        with Platform(broker=broker, findable=True) as running:
            yield running


@pytest.fixture
def elsewhere(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another terminal of this user: no address of any service."""
    for name in [name for name in os.environ if name.startswith("CIRCLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))


def test_every_tool_works_in_another_terminal_with_nothing_set(
    platform: Platform,
    elsewhere: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = Shop(platform.url, platform.settings)
    event, buyer = shop.event(shop.organizer()), shop.person()
    hold = done(buyer.reserve(event.id, ticket_type_id=event.seated, quantity=2), 201)
    shop.http.close()
    for command, printed in (
        ("verify --json", '"ok": true'),
        ("dlq list", "no dead letters"),
        (f"explain {hold['id']}", hold["seats"][0]),
        (f"seats {event.id}", "..hh.."),
        (f"users promote {buyer.email} --role organizer", "is organizer"),
        (f"locks list {event.id}", "no foreign locks"),
        ("replay projections --dry-run", "not promoted"),
        ("topics describe", "tickets.facts"),
        ("migrate", "up to date"),
    ):
        code = run(command.split())
        told = capsys.readouterr()
        assert code == 0, (command, told)
        assert printed in told.out, command
    assert run(["doctor", "--no-start", "--json", "--port", str(platform.port)]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert platform.url in found["platform"]["detail"]
    assert [found[name]["result"] for name in ("Kafka", "PostgreSQL", "Redis")] == ["ok"] * 3
    by_url(platform, tmp_path, monkeypatch)
    assert run(["verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def by_url(platform: Platform, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings by addresses, where no platform of this user runs."""
    empty.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(empty))
    for name in ADDRESSES:
        monkeypatch.setenv(name, platform.env[name])
