"""`circle replay what-if` on a log: figures and a picture, and no other output."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.settings import Settings
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_line import Circle
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.flows import read
from tests.harness.words import ALICE, BOB, EVENT, R2, add_type, create, publish, reserve


@pytest.fixture
def log(settings: Settings) -> BothLogs:
    made = BothLogs(partition=partition_of(EVENT, settings.partitions), seed=1)
    made.take(50)
    layout = {"rows": 1, "seats_per_row": 6}
    for command in (create(), add_type(**layout), publish(), reserve(6), reserve(2, rid=R2, by=BOB)):
        made.put(command)
    write_both(settings, [made])
    return made


def test_a_drop_under_another_limit(circle: Circle, log: BothLogs, settings: Settings, tmp_path: Path) -> None:
    picture = tmp_path / "drop.svg"
    code, found = circle(
        "replay", "what-if", EVENT, "--set", "max_tickets_per_user=2", "--newcomers-pay", "1", "--svg", str(picture),
        "--json",
    )  # fmt: skip
    assert code == 0
    assert (found["difference"]["would_have_won"], found["difference"]["would_have_lost"]) == (1, 1)
    assert found["what_if"]["sold_minor"] == {"EUR": 5_000}
    assert picture.read_text().startswith("<svg")
    assert len(read(settings, COMMANDS, 8, len(log.commands))) == len(log.commands)
    assert len(read(settings, FACTS, 8, len(log.facts))) == len(log.facts)


def test_a_drop_without_some_users_as_a_table(circle: Circle, log: BothLogs, tmp_path: Path) -> None:
    users, picture = tmp_path / "users", tmp_path / "drop.svg"
    users.write_text(f"# bots\n{ALICE}\n")
    code, text = circle("replay", "what-if", EVENT, "--exclude-users", str(users), "--svg", str(picture), "--dry-run")
    assert code == 0
    assert "buyers asking" in text
    assert "1 buyers without places would have some, 1 buyers with places would have none" in text
    assert not picture.exists()


def test_wrong_usage_is_named(circle: Circle, log: BothLogs, tmp_path: Path) -> None:
    assert circle("replay", "what-if", EVENT, "--set", "colour=1")[0] == 2
    assert circle("replay", "what-if", EVENT, "--set", "hold_ttl_s")[0] == 2
    assert circle("replay", "what-if", EVENT, "--set", "hold_ttl_s=0")[0] == 2
    assert circle("replay", "what-if", EVENT, "--exclude-users", str(tmp_path / "none"))[0] == 2
    assert circle("replay", "what-if", "no-such-event")[0] == 1
