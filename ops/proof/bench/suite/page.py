"""The page of a run of the suite: Markdown with charts, and the same as JSON. Pure, except for `write`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from ops.proof.bench.suite.chart import line_chart
from ops.proof.bench.suite.figures import BenchCheck, BenchResult, Figure, Machine
from ops.proof.bench.suite.measurement import Measurement, SuiteResult

PAGE, RESULT = "page.md", "result.json"


def write(result: SuiteResult, folder: Path) -> None:
    """PAGE, RESULT and the charts in a folder, which is made. Raises OSError when that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    (folder / PAGE).write_text(page(result), encoding="utf-8")
    for name, chart in charts_of(result).items():
        (folder / name).write_text(chart, encoding="utf-8")


def page(result: SuiteResult) -> str:
    """The whole page."""
    sections = [_section(bench, result.took_s.get(bench.name)) for bench in result.benches]
    sections += [_measurement(one, result.took_s.get(one.name)) for one in result.measurements]
    return "\n".join([f"# The bench suite, {result.made_at}", "", *sections])


def charts_of(result: SuiteResult) -> dict[str, str]:
    """All charts of a run, by their file names."""
    found = {name: chart for bench in result.benches for name, chart in charts(bench).items()}
    return found | {name: chart for one in result.measurements for name, chart in measurement_charts(one).items()}


def charts(bench: BenchResult) -> dict[str, str]:
    """The charts of the last round, by their file names."""
    name, timeline = bench.scenario.name, bench.rounds[-1].timeline
    latency = {"p99": [second.p99_ms for second in timeline], "p50": [second.p50_ms for second in timeline]}
    outcomes = {"outcomes": [float(second.outcomes) for second in timeline]}
    return _queue_charts(bench) | {
        f"{name}-latency.svg": line_chart(
            f"{name}: latency of the requests of each second", "seconds", "ms to the outcome", latency
        ),
        f"{name}-outcomes.svg": line_chart(
            f"{name}: outcomes in each second", "seconds", "outcomes a second", outcomes
        ),
    }


def _queue_charts(bench: BenchResult) -> dict[str, str]:
    """The queues of the last round, where they were measured."""
    name, last = bench.scenario.name, bench.rounds[-1]
    if not last.queues:
        return {}
    lengths = {
        "no connection yet": [float(second.unsent) for second in last.timeline],
        "sent, no answer": [float(second.unanswered) for second in last.timeline],
        "in the line of admission": [float(second.in_line) for second in last.queues],
        "undecided": [float(second.undecided) for second in last.queues],
    }
    return {f"{name}-queues.svg": line_chart(f"{name}: queues in each second", "seconds", "requests", lengths)}


def measurement_charts(one: Measurement) -> dict[str, str]:
    """The charts of a measurement, by their file names."""
    return {
        f"{one.name}-{number}.svg": line_chart(
            curves.title, curves.x_name, curves.y_name, curves.series, labels=curves.labels
        )
        for number, curves in enumerate(one.charts, 1)
    }


def _measurement(one: Measurement, took_s: float | None) -> str:
    """A bench that is no scenario."""
    load = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in one.load.items())
    lines = [
        f"## {one.name}",
        "",
        f"{one.about[:1].upper()}{one.about[1:]}. {load}." + (f" It took {took_s:,.0f} s." if took_s else ""),
        "",
        _where(one.machine),
        "",
        *_table(one.figures),
        "",
        *(_line("holds", "FAILED", check) for check in one.checks),
        *(_line("goal met", "goal not met", goal) for goal in one.goals),
        "",
        *(f"![{name}]({name})" for name in measurement_charts(one)),
        "",
    ]
    return "\n".join(lines)


def _section(bench: BenchResult, took_s: float | None) -> str:
    scenario = bench.scenario
    warm = "figures stood still" if bench.warm else "figures did not stand still within the bound"
    load = (
        f"{scenario.about.capitalize()}. {scenario.requests:,} requests a round, {scenario.rate:g} a second at first, "
        f"{scenario.events} events, {len(bench.rounds)} rounds." + (f" It took {took_s:,.0f} s." if took_s else "")
    )
    where = f"{_where(bench.machine)} Warm-up: {len(bench.warm_up_p50_ms)} windows, {warm}."
    lines = [
        f"## {scenario.name}",
        "",
        load,
        "",
        where,
        "",
        *_table(bench.figures),
        "",
        *(_line("holds", "FAILED", check) for check in bench.checks),
        *(_line("goal met", "goal not met", goal) for goal in bench.goals),
        "",
        *(f"![{name}]({name})" for name in charts(bench)),
        "",
    ]
    return "\n".join(lines)


def _where(machine: Machine) -> str:
    return (
        f"{machine.cpus} processors, Python {machine.python}, broker {machine.broker}, load average "
        f"{machine.load_average:g}. The fixed computation took {median(machine.calibration_ms):g} ms."
    )


def _table(figures: Sequence[Figure]) -> list[str]:
    return [
        "| figure | median | spread | rounds | unit |",
        "|---|---|---|---|---|",
        *(
            f"| {figure.name} | {figure.median:,g} | {figure.spread:.0%} | "
            f"{', '.join(f'{value:,g}' for value in figure.values)} | {figure.unit} |"
            for figure in figures
        ),
    ]


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,g}"


def _line(yes: str, no: str, check: BenchCheck) -> str:
    return f"- {yes if check.holds else no}: {check.name}" + (f" ({check.detail})" if check.detail else "")
