"""Two results of the suite compared: what changed by more than the noise of their rounds. Pure.

A machine that needs longer for the fixed computation also needs longer for the benches. So times are divided by the
ratio of both calibrations, and rates are multiplied by it, before they are compared. A change counts when the rounds of
both sides do not overlap and their medians differ by at least CHANGE_MIN. With fewer than ROUNDS_MIN rounds the
noise is not known, and the verdict says so.
"""

from __future__ import annotations

from enum import StrEnum
from statistics import median

import msgspec

from connectors.errors import CircleError
from ops.proof.bench.suite.figures import BenchResult, Figure, Scaling
from ops.proof.bench.suite.measurement import Measurement, SuiteResult

ROUNDS_MIN = 3
CHANGE_MIN = 0.05


class ChangeVerdict(StrEnum):
    """What happened to a figure from A to B."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "within noise"
    UNKNOWN = "unknown: too few rounds"


class FigureChange(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one bench: the medians, B's on A's machine, and the change as a share of A's."""

    bench: str
    figure: str
    unit: str
    a: float
    b: float
    b_calibrated: float
    change: float | None  # null at a median of 0
    verdict: ChangeVerdict


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All figures that both results have. `machine_ratio`: how many times as long B's machine took, by bench."""

    machine_ratio: dict[str, float]
    changes: list[FigureChange]
    only_a: list[str]
    only_b: list[str]
    differing: list[str]

    @property
    def passed(self) -> bool:
        """Whether nothing became worse beyond noise, and something could be compared."""
        return bool(self.changes) and not any(change.verdict is ChangeVerdict.WORSE for change in self.changes)


def compare(a: SuiteResult, b: SuiteResult) -> Comparison:
    """Every figure that both have. A bench whose load differs is listed, not compared."""
    first, second = a.by_name, b.by_name
    both = [name for name in first if name in second]
    alike = [name for name in both if first[name].load == second[name].load]
    ratios = {name: machine_ratio(first[name], second[name]) for name in alike}
    return Comparison(
        machine_ratio={name: round(ratio, 3) for name, ratio in ratios.items()},
        changes=[change for name in alike for change in _changes(first[name], second[name], ratios[name])],
        only_a=[name for name in first if name not in second],
        only_b=[name for name in second if name not in first],
        differing=[name for name in both if name not in alike],
    )


def machine_ratio(a: BenchResult | Measurement, b: BenchResult | Measurement) -> float:
    """How many times as long B's machine took for the fixed computation."""
    return median(b.machine.calibration_ms) / median(a.machine.calibration_ms)


def change_of(bench: str, a: Figure, b: Figure, ratio: float) -> FigureChange:
    """What happened to one figure, with B's values as A's machine would have them."""
    factor = {Scaling.TIME: 1 / ratio, Scaling.RATE: ratio, Scaling.NONE: 1.0}[a.scaling]
    calibrated = [value * factor for value in b.values]
    before, after = median(a.values), median(calibrated)
    return FigureChange(
        bench=bench,
        figure=a.name,
        unit=a.unit,
        a=round(before, 3),
        b=b.median,
        b_calibrated=round(after, 3),
        change=round(after / before - 1, 3) if before else None,
        verdict=_verdict(a, calibrated),
    )


def read(data: bytes, name: str) -> SuiteResult:
    """A result from its JSON. Raises CircleError that names the file when it is none."""
    try:
        return msgspec.json.decode(data, type=SuiteResult)
    except msgspec.DecodeError as error:
        raise CircleError(f"{name} is no result of `circle bench all`: {error}") from None


def _changes(a: BenchResult | Measurement, b: BenchResult | Measurement, ratio: float) -> list[FigureChange]:
    after = {figure.name: figure for figure in b.figures}
    return [change_of(a.name, figure, after[figure.name], ratio) for figure in a.figures if figure.name in after]


def _verdict(a: Figure, after: list[float]) -> ChangeVerdict:
    if min(len(a.values), len(after)) < ROUNDS_MIN:
        return ChangeVerdict.UNKNOWN
    apart = max(after) < min(a.values) or min(after) > max(a.values)
    if not apart or abs(median(after) - median(a.values)) < CHANGE_MIN * abs(median(a.values)):
        return ChangeVerdict.SAME
    return ChangeVerdict.BETTER if (median(after) > median(a.values)) == a.higher_is_better else ChangeVerdict.WORSE
