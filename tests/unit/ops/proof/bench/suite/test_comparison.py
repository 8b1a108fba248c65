"""Two results differ where their rounds do not overlap, on machines of the same speed."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from connectors.errors import CircleError
from ops.proof.bench.suite.comparison import ChangeVerdict, change_of, compare, read
from ops.proof.bench.suite.figures import Figure, Scaling
from ops.proof.bench.suite.scenarios import SCENARIOS
from tests.harness.bench_results import measurement_of, result_of, suite_of, with_figure


def verdict(
    a: list[float], b: list[float], *, ratio: float = 1.0, scaling: Scaling = Scaling.TIME, higher: bool = False
) -> ChangeVerdict:
    first, second = (
        Figure(name="p99", unit="ms", values=values, scaling=scaling, higher_is_better=higher) for values in (a, b)
    )
    return change_of("quiet", first, second, ratio).verdict


def test_rounds_that_overlap_are_noise() -> None:
    assert verdict([10, 11, 12], [12, 13, 14]) is ChangeVerdict.SAME
    assert verdict([10, 11, 12], [13, 14, 15]) is ChangeVerdict.WORSE
    assert verdict([10, 11, 12], [7, 8, 9]) is ChangeVerdict.BETTER


def test_a_rate_is_better_when_it_is_higher() -> None:
    assert verdict([100, 101, 102], [120, 121, 122], higher=True) is ChangeVerdict.BETTER
    assert verdict([100, 101, 102], [80, 81, 82], higher=True) is ChangeVerdict.WORSE


def test_a_small_change_is_noise_even_if_rounds_do_not_overlap() -> None:
    assert verdict([100, 100, 100], [104, 104, 104]) is ChangeVerdict.SAME


def test_too_few_rounds_say_nothing() -> None:
    assert verdict([10, 10], [90, 90, 90]) is ChangeVerdict.UNKNOWN
    assert verdict([10, 10, 10], [90, 90]) is ChangeVerdict.UNKNOWN


def test_a_slower_machine_is_no_change() -> None:
    assert verdict([10, 11, 12], [20, 22, 24], ratio=2.0) is ChangeVerdict.SAME
    assert verdict([10, 11, 12], [10, 11, 12], ratio=2.0) is ChangeVerdict.BETTER
    assert verdict([100, 101, 102], [50, 51, 52], ratio=2.0, scaling=Scaling.RATE, higher=True) is ChangeVerdict.SAME
    assert verdict([5, 5, 5], [5, 5, 5], ratio=2.0, scaling=Scaling.NONE) is ChangeVerdict.SAME


def test_a_result_differs_in_nothing_from_itself() -> None:
    result = suite_of(result_of(), result_of(SCENARIOS["hot"]))
    report = compare(result, result)
    assert {change.verdict for change in report.changes} == {ChangeVerdict.SAME}
    assert report.machine_ratio == {"quiet": 1.0, "hot": 1.0}
    assert report.passed


def test_one_worse_figure_fails_the_comparison() -> None:
    after = with_figure(result_of(), "p99", [90.0, 91.0, 92.0])
    report = compare(suite_of(result_of()), suite_of(after))
    assert [change.figure for change in report.changes if change.verdict is ChangeVerdict.WORSE] == ["p99"]
    assert not report.passed


def test_the_calibration_of_both_machines_counts() -> None:
    slow = replace(result_of(calibration_ms=10.0))
    report = compare(suite_of(result_of(calibration_ms=5.0)), suite_of(slow))
    assert report.machine_ratio == {"quiet": 2.0}
    p99 = next(change for change in report.changes if change.figure == "p99")
    assert (p99.b_calibrated, p99.change) == (pytest.approx(p99.a / 2), -0.5)


def test_other_loads_and_missing_benches_are_listed_and_not_compared() -> None:
    faster = result_of(replace(SCENARIOS["quiet"], rate=20.0))
    report = compare(
        suite_of(result_of(), result_of(SCENARIOS["hot"])), suite_of(faster, result_of(SCENARIOS["stampede"]))
    )
    assert (report.differing, report.only_a, report.only_b) == (["quiet"], ["hot"], ["stampede"])
    assert report.changes == []
    assert not report.passed


def test_a_result_is_read_back_as_it_was() -> None:
    result = suite_of(result_of())
    assert read(msgspec.json.encode(result), "a.json") == result


def test_another_file_is_no_result() -> None:
    with pytest.raises(CircleError, match=r"page\.md is no result of `circle bench all`"):
        read(b"# The bench suite", "page.md")


def test_benches_that_are_no_scenario_are_compared_if_their_loads_are_alike() -> None:
    before = suite_of(measurements=[measurement_of(), measurement_of("replay")])
    after = suite_of(measurements=[measurement_of(values=[60.0, 61.0, 62.0]), measurement_of("replay", size=20)])
    found = compare(before, after)
    assert [(change.bench, change.verdict) for change in found.changes] == [("kernel", ChangeVerdict.WORSE)]
    assert found.differing == ["replay"]
    assert not found.passed


def test_a_result_of_a_former_build_is_read_without_what_it_did_not_have() -> None:
    data = msgspec.to_builtins(suite_of(result_of()))
    for name in ("measurements", "took_s"):
        del data[name]
    del data["benches"][0]["warm_up_broker_us"]
    assert read(msgspec.json.encode(data), "old") == suite_of(result_of())
