"""The replay bench runs, and counts right. No figure is asserted: this machine is not the one that is reported."""

import json

import pytest

from ops.cli.main import run


def test_replay_bench_reads_folds_and_verifies_all_that_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "replay", "--sizes", "300,700", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [size["facts"] >= wanted for size, wanted in zip(report["sizes"], (300, 700), strict=True)] == [True, True]
    for size in report["sizes"]:
        assert [one["what"] for one in size["best"]] == ["read", "fold", "verify"]
        assert {one["facts"] for one in size["best"]} == {size["facts"]}
    assert report["sizes"][0]["best"][1]["digest"] != report["sizes"][1]["best"][1]["digest"]


def test_sizes_that_are_no_numbers_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "replay", "--sizes", "many"]) == 2
    assert "--sizes" in capsys.readouterr().err
