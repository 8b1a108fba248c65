"""The result of a bench that is no scenario of load, in a form that a page shows and a comparison reads. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ops.proof.bench.suite.figures import BenchCheck, BenchResult, Figure, Machine, Scaling
from ops.statistics import ProcessCpu


class Curves(msgspec.Struct, frozen=True, kw_only=True):
    """A chart: the values of each series at the labels of the x axis."""

    title: str
    x_name: str
    y_name: str
    labels: list[str]
    series: dict[str, list[float]]


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one bench. Results with another `load` are not compared.

    `checks` must hold for the figures to mean anything; `goals` are what we want."""

    name: str
    about: str
    load: dict[str, int | float | str]
    machine: Machine
    figures: list[Figure]
    checks: list[BenchCheck]
    goals: list[BenchCheck] = []
    charts: list[Curves] = []

    @property
    def passed(self) -> bool:
        """Whether the figures count."""
        return all(check.holds for check in self.checks)


class SuiteResult(msgspec.Struct, frozen=True, kw_only=True):
    """The benches of one run. `took_s` has the seconds that each took, by name."""

    made_at: str
    benches: list[BenchResult]
    measurements: list[Measurement] = []
    took_s: dict[str, float] = {}

    @property
    def by_name(self) -> dict[str, BenchResult | Measurement]:
        """All benches by their names."""
        benches: list[BenchResult | Measurement] = [*self.benches, *self.measurements]
        return {bench.name: bench for bench in benches}

    @property
    def passed(self) -> bool:
        return all(bench.passed for bench in self.by_name.values())


def cpu_figures(rounds: Sequence[Sequence[ProcessCpu]], unit: str) -> list[Figure]:
    """The CPU of each process in each round, in microseconds; `unit` names what it is divided by."""
    by_name = [{process.name: process.us_per_request for process in cpu} for cpu in rounds]
    return [
        Figure(name=f"CPU of {process.name}", unit=unit, values=[cpu.get(process.name, 0.0) for cpu in by_name])
        for process in rounds[0]
    ]


def rate_figure(name: str, values: Sequence[float], *, scaling: Scaling = Scaling.RATE) -> Figure:
    """Something a second: more is better."""
    return Figure(name=name, unit="/s", values=list(values), scaling=scaling, higher_is_better=True)


def rounds_chart(name: str, figures: Sequence[Figure], wanted: Callable[[Figure], bool]) -> Curves:
    """The wanted figures of each round. They have one unit."""
    chosen = [figure for figure in figures if wanted(figure)]
    return Curves(
        title=f"{name}: each round",
        x_name="round",
        y_name=chosen[0].unit,
        labels=[str(number) for number in range(1, len(chosen[0].values) + 1)],
        series={figure.name: figure.values for figure in chosen},
    )
