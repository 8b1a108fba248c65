"""An export of a decided drop, loaded into a fresh cluster: the same log and digests, no effect done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.kafka import committed_offsets, consumer
from connectors.log_reader import LogReader
from connectors.settings import Settings
from ops.archive import export as archive
from ops.archive import imports as importing
from ops.archive.export import NotEmpty
from ops.progress import ProgressBars
from ops.run.services.stack import Stack
from ops.verify.verify import VerifyOptions, verify
from pipelines.configuration import settings_from_env
from schemas.commands import ReserveInTurn
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import Flow, environment, eventually, projections, rows_of
from tests.harness.impatient import Impatient, stopped_at_random


def digests(settings: Settings) -> dict[int, tuple[int, str]]:
    with ProgressBars(quiet=True) as progress:
        report = verify(settings, VerifyOptions(postgres=False, redis=False), progress)
    assert report.ok
    return {one.partition: (one.through, one.digest) for one in report.partitions}


@pytest.fixture
def log(settings: Settings) -> list[BothLogs]:
    made = [BothLogs(partition=partition, seed=41, in_turn=True) for partition in (0, 3)]
    for one in made:
        one.take(250)
        assert any(isinstance(command, ReserveInTurn) for _, command in one.commands)
    write_both(settings, made)
    return made


@pytest.fixture
def second(circle: Circle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Another cluster; `circle` uses it from here on."""
    with Stack("embedded") as stack:
        settings = settings_from_env(stack.fresh())
        yield settings


def point_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(settings).items():
        if name.startswith("CIRCLE_"):
            monkeypatch.setenv(name, value)


def test_a_log_moves_to_a_fresh_cluster(
    circle: Circle, settings: Settings, second: Settings, log: list[BothLogs], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    code, manifest = circle("replay", "export", str(tmp_path / "x"), "--json")
    assert code == 0
    counts = {(one["topic"], one["partition"]): one["records"] for one in manifest["files"]}
    assert counts[COMMANDS, 0] == counts[COMMANDS, 3] == 250
    assert counts[FACTS, 3] == len(log[1].facts)
    before = digests(settings)
    assert circle("replay", "import", str(tmp_path / "x"))[0] == 1  # not into a cluster that has records
    point_to(second, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"), "--dry-run")[0] == 0
    assert digests(second)[0][0] == -1
    code, text = circle("replay", "import", str(tmp_path / "x"))
    assert code == 0, text
    assert digests(second) == before
    for group, topic, wanted in (
        ("circle.reservations", COMMANDS, 250),
        ("circle.payments", FACTS, len(log[0].facts)),
        ("circle.notifications", FACTS, len(log[0].facts)),
    ):
        client = consumer(second, group=group)
        assert committed_offsets(client, topic, [0]) == {0: wanted}
        client.close()
    with rows_of(second) as query, Flow(projections, second):
        eventually(
            lambda: query('SELECT count(*) FROM projection_positions WHERE "offset" = 249') == [(2,)], "projected"
        )
    with ProgressBars(quiet=True) as progress:
        report = verify(second, VerifyOptions(redis=False), progress)
    assert report.ok, report.partitions
    assert sum(one.postgres_events for one in report.partitions) == 6


def test_an_import_stopped_at_random_places_goes_on_to_the_same_log(
    circle: Circle, settings: Settings, second: Settings, log: list[BothLogs], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert circle("replay", "export", str(tmp_path / "x"), "--topic", COMMANDS, "--topic", FACTS)[0] == 0
    before = digests(settings)
    monkeypatch.setattr(importing, "BAR_EVERY", 23)
    written: list[int] = []
    _, stops = stopped_at_random(
        lambda progress: importing.load(second, tmp_path / "x", progress),
        seed=3, batches=(9, 16), then=lambda: written.append(records(second)),
    )  # fmt: skip
    assert stops > 1
    assert written == sorted(written)
    assert written[0] < written[-1]  # it continued, and did not start again
    assert (records(second), digests(second)) == (500 + sum(len(one.facts) for one in log), before)
    with ProgressBars(quiet=True) as progress, pytest.raises(NotEmpty, match="all records"):
        importing.load(second, tmp_path / "x", progress)
    write_both(second, [log[0]])
    point_to(second, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"))[0] == 1  # another program has written there


def records(settings: Settings) -> int:
    found = 0
    for topic in (COMMANDS, FACTS):
        for partition in (0, 3):
            with LogReader(settings, topic, partition) as reader:
                found += sum(1 for _ in reader.messages())
    return found


def test_an_export_stopped_at_random_places_is_none_until_it_was_made_whole(
    circle: Circle, second: Settings, settings: Settings, log: list[BothLogs], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(archive, "BAR_EVERY", 23)
    options = {"topics": [COMMANDS, FACTS], "within": archive.Span(), "pseudonymise": False}
    with pytest.raises(KeyboardInterrupt):
        archive.export(settings, tmp_path / "x", Impatient(15), **options)
    with pytest.raises(archive.BadArchive, match=r"no \(whole\) export"):
        archive.manifest_of(tmp_path / "x")
    archive.export(settings, tmp_path / "x", ProgressBars(quiet=True), **options)
    with ProgressBars(quiet=True) as progress:
        importing.load(second, tmp_path / "x", progress)
    assert digests(second) == digests(settings)


def test_a_pseudonymised_log_verifies_and_has_nobody_in_it(
    circle: Circle, second: Settings, log: list[BothLogs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert circle("replay", "export", str(tmp_path / "x"), "--pseudonymise")[0] == 0
    point_to(second, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"))[0] == 0
    assert digests(second)[3][0] == 249


def test_a_part_of_a_topic(circle: Circle, log: list[BothLogs], tmp_path: Path) -> None:
    code, manifest = circle(
        "replay", "export", str(tmp_path / "x"), "--topic", COMMANDS, "--from", "10", "--to", "19", "--json"
    )
    assert code == 0
    assert [(one["records"], one["first"], one["last"]) for one in manifest["files"]] == [(10, 10, 19)] * 2
    assert circle("replay", "export", str(tmp_path / "x"))[0] == 1  # holds one already
    assert circle("replay", "export", str(tmp_path / "y"), "--dry-run")[0] == 0
    assert not (tmp_path / "y").exists()
    assert circle("replay", "export", str(tmp_path / "y"), "--topic", "nonsense")[0] == 1
    assert circle("replay", "export", str(tmp_path / "y"), "--from", "tomorrow")[0] == 2


def test_what_is_no_whole_export_is_refused(
    circle: Circle, settings: Settings, second: Settings, log: list[BothLogs], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    point_to(second, monkeypatch)
    assert circle("replay", "import", str(tmp_path))[0] == 1
    point_to(settings, monkeypatch)
    assert circle("replay", "export", str(tmp_path / "x"), "--from", "10")[0] == 0
    assert circle("replay", "export", str(tmp_path / "y"))[0] == 0
    point_to(second, monkeypatch)
    assert circle("replay", "import", str(tmp_path / "x"))[0] == 1  # commands from offset 10
    (tmp_path / "y" / COMMANDS / "00000.avro").write_bytes(b"Obj\x01 and nothing more")
    assert circle("replay", "import", str(tmp_path / "y"))[0] == 1
    manifest = json.loads((tmp_path / "y" / "manifest.json").read_text())
    manifest["partitions"][COMMANDS] = 5
    (tmp_path / "y" / "manifest.json").write_text(json.dumps(manifest))
    assert circle("replay", "import", str(tmp_path / "y"))[0] == 1
    assert replace(second).partitions == 8
