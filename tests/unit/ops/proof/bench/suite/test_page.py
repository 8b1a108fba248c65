"""The page of a run names every figure, check and goal, and its charts are SVG that any reader can open."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from ops.cli.main import run
from ops.proof.bench.suite.chart import line_chart, rounded_up
from ops.proof.bench.suite.page import page, write
from ops.proof.bench.suite.scenarios import SCENARIOS
from tests.harness.bench_results import STEP, measurement_of, result_of, suite_of, with_figure

SVG = "{http://www.w3.org/2000/svg}"


def test_the_page_names_every_figure_check_and_goal() -> None:
    bench = result_of()
    text = page(suite_of(bench))
    for figure in bench.figures:
        assert f"| {figure.name} | {figure.median:,g} |" in text
    assert "- holds: nothing is lost (100 on the log" in text
    assert "- goal met: the platform keeps up" in text
    assert "3 windows, figures stood still" in text


def test_the_page_says_how_long_each_bench_took() -> None:
    assert "3 rounds. It took 75 s." in page(replace(suite_of(result_of()), took_s={"quiet": 75.2}))
    assert "It took" not in page(suite_of(result_of()))


def test_the_page_says_what_failed() -> None:
    text = page(suite_of(result_of(rounds=[replace(STEP, notified=1)])))
    assert "- FAILED: nothing is lost" in text


def test_the_folder_has_every_file_that_the_page_shows(tmp_path: Path) -> None:
    write(suite_of(result_of(), result_of(SCENARIOS["hot"])), tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    charts = {f"{bench}-{kind}.svg" for bench in ("quiet", "hot") for kind in ("latency", "outcomes")}
    assert names == charts | {"page.md", "result.json"}
    shown = (tmp_path / "new" / "page.md").read_text()
    assert all(f"]({name})" in shown for name in charts)


def test_a_bench_that_is_no_scenario_has_its_section_and_its_chart(tmp_path: Path) -> None:
    write(suite_of(measurements=[measurement_of()]), tmp_path)
    shown = (tmp_path / "page.md").read_text()
    assert "## kernel" in shown
    assert "Commands are decided. commands 10. It took 90 s." in shown
    assert "| CPU | 31 | 6% | 30, 31, 32 | µs a command |" in shown
    assert "- goal not met: at most 25 µs a command (31 µs)" in shown
    assert "![kernel-1.svg](kernel-1.svg)" in shown
    assert (tmp_path / "kernel-1.svg").exists()


def test_a_chart_over_sizes_names_each_of_them() -> None:
    root = ElementTree.fromstring(
        line_chart("cost", "facts", "µs", {"a": [1.0, 2.0, 3.0]}, labels=["0", "10", "1,000"])
    )
    texts = {text.text: float(text.attrib["x"]) for text in root.iter(f"{SVG}text")}
    assert texts["0"] < texts["10"] < texts["1,000"]


def test_a_chart_has_a_line_with_a_point_for_each_value() -> None:
    root = ElementTree.fromstring(line_chart("a < b", "seconds", "ms", {"p50": [0.0, 5.0, 10.0], "p99": [10.0, 8.0]}))
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [3, 2]
    lowest, middle, highest = (tuple(map(float, point.split(","))) for point in lines[0])
    assert lowest[0] < middle[0] < highest[0]
    assert lowest[1] > middle[1] > highest[1]  # y grows downwards
    assert root.findtext(f"{SVG}title") == "a < b"


def test_a_chart_of_nothing_is_a_chart() -> None:
    assert ElementTree.fromstring(line_chart("empty", "x", "y", {"none": []})).tag == f"{SVG}svg"


@pytest.mark.parametrize(("value", "top"), [(0.0, 1.0), (0.7, 0.7), (9.1, 10.0), (101.0, 200.0), (1_000.0, 1_000.0)])
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert rounded_up(value) == pytest.approx(top)


def test_two_results_are_compared_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    write(suite_of(result_of()), before)
    write(suite_of(with_figure(result_of(), "p99", [500.0, 501.0, 502.0])), after)
    files = [str(folder / "result.json") for folder in (before, after)]
    assert run(["bench", "compare", *files]) == 1
    assert "FAILED: something is worse" in capsys.readouterr().out
    assert run(["bench", "compare", files[0], files[0]]) == 0
    assert run(["bench", "compare", files[0], files[0], "--json"]) == 0
    assert run(["bench", "compare", files[0], str(tmp_path / "none.json")]) == 2
    assert "no result" not in capsys.readouterr().err


def test_only_benches_that_exist_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "all", "--only", "quiet,loud"]) == 2
    assert "--only: some of kernel, ingress" in capsys.readouterr().err
