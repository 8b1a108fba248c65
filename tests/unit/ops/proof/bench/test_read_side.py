"""The figures of the read side: facts by the clock and by its own CPU; a missing row voids them."""

from __future__ import annotations

from msgspec.structs import replace

from ops.proof.bench.read_side import ReadSideOptions, ReadSideReport, ReadSideRound, figures_of
from ops.statistics import ProcessCpu
from tests.harness.bench_results import result_of

ROUND = ReadSideRound(
    facts=1_000,
    seconds=0.5,
    reservations=400,
    rows=400,
    messages=300,
    cpu=[ProcessCpu("read-side", 0.1, 100.0, ours=True), ProcessCpu("postgres", 0.05, 50.0, ours=False)],
)


def report(one: ReadSideRound) -> ReadSideReport:
    return ReadSideReport(
        options=ReadSideOptions(),
        machine=result_of().machine,
        rounds=[one],
        baseline_us=[4.0],
        figures=figures_of([one], [4.0]),
    )


def test_a_core_is_worth_the_facts_of_its_own_cpu() -> None:
    figures = {figure.name: figure.values for figure in figures_of([ROUND, replace(ROUND, seconds=1.0)], [4.0, 5.0])}
    assert figures == {
        "facts": [2_000.0, 1_000.0],
        "facts a core of the read side": [10_000.0, 10_000.0],
        "CPU of read-side": [100.0, 100.0],
        "CPU of postgres": [50.0, 50.0],
        "baseline: read and decoded alone": [4.0, 5.0],
    }


def test_each_reservation_needs_its_row() -> None:
    assert report(ROUND).passed
    assert not report(replace(ROUND, rows=399)).passed
    assert not report(replace(ROUND, messages=0)).passed
