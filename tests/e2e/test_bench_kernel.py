"""The kernel bench runs, and counts right. No figure is asserted: reported figures are of another machine."""

import json

import pytest

from ops.cli.main import run


def test_kernel_bench_decides_all_that_was_preloaded(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "kernel", "--commands", "600", "--events", "2", "--seats", "100", "--pending-holds", "50"]
    assert run([*arguments, "--partitions", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["decided"] == report["preloaded"] >= 650
    assert report["positions_repeated"] == 0
    assert report["facts"]["TicketsHeld"] > 0
    assert report["facts"]["ReservationRejected"] > 0
    assert report["batch_sizes"]["batches"] > 0


@pytest.mark.long
def test_rounds_of_the_dataflow_take_turns_with_the_plain_loop(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "kernel", "--commands", "8000", "--events", "2", "--seats", "100", "--rounds", "2"]
    assert run([*arguments, "--partitions", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [check["holds"] for check in report["checks"]] == [True]
    figures = {figure["name"]: figure["values"] for figure in report["figures"]}
    assert min(figures["CPU"]) > 0
    assert min(figures["baseline: the consumer loop"]) > 0
    assert len(report["machine"]["calibration_ms"]) == 2


def test_kernel_bench_refuses_a_broker_that_it_would_have_to_empty(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "kernel", "--broker", "127.0.0.1:1"]) == 2
    assert "--broker" in capsys.readouterr().err


def test_bench_alone_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench"]) == 0
    assert "circle bench drop" in capsys.readouterr().out
