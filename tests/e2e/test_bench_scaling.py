"""The scaling bench decides every command at every size, with and without a log behind. No figure is asserted."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run
from ops.proof.bench.scaling import laws
from ops.proof.bench.scaling.laws import Law


@pytest.mark.long
@pytest.mark.parametrize(("law", "sizes"), [(Law.SEATS, (50, 200)), (Law.HOLDS, (0, 60)), (Law.FACTS, (0, 400))])
def test_each_size_decides_every_command_and_has_every_row(
    law: Law, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(laws.LAWS, law, laws.LAWS[law]._replace(quick=sizes))
    arguments = ["bench", "scaling", "--laws", law.value, "--commands", "5000", "--rounds", "2", "--quick", "--json"]
    assert run(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert sorted((point["size"], point["round"]) for point in report["points"]) == [
        (s, n) for s in sizes for n in (0, 1)
    ]
    assert all(point["sound"] and point["commands"] >= 5_000 for point in report["points"])
    assert all(point["cost"]["kernel"] > 0 for point in report["points"])
    assert len(report["goals"]) == 2


def test_only_laws_that_exist_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "scaling", "--laws", "weather"]) == 2
    assert "--laws: some of seats, events, holds, facts" in capsys.readouterr().err
