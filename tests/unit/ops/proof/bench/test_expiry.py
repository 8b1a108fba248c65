"""The expiry bench fails when a hold stays or a place is not free, and gives the platform time to write the holds."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ops.proof.bench.expiry import HOLDS_MAX, ExpiryOptions, ExpiryReport, ExpiryRound, figures_of, measurement
from ops.statistics import ProcessCpu
from pipelines.reservations.core.limits import HOLD_TTL_S_MAX
from tests.harness.bench_results import result_of

ROUND = ExpiryRound(
    holds=100,
    expired=100,
    free=100,
    due_within_s=0.5,
    decided_s=1.0,
    persisted_s=2.0,
    cpu=[ProcessCpu("read-side", 0.1, 100.0, ours=True), ProcessCpu("postgres", 0.05, 50.0, ours=False)],
)


def report(one: ExpiryRound) -> ExpiryReport:
    return ExpiryReport(options=ExpiryOptions(), machine=result_of().machine, rounds=[one], figures=figures_of([one]))


def test_every_hold_ends_and_every_place_is_free() -> None:
    assert report(ROUND).passed
    assert not report(replace(ROUND, expired=99)).passed
    assert not report(replace(ROUND, free=99)).passed


def test_holds_that_do_not_run_out_within_a_second_are_another_load() -> None:
    late = report(replace(ROUND, due_within_s=1.1))
    assert not late.passed
    assert [check.name for check in measurement(late).checks if not check.holds] == ["due within 1 s"]
    assert measurement(report(ROUND)).passed


def test_the_figures_are_those_of_the_rounds() -> None:
    figures = {figure.name: figure.values for figure in figures_of([ROUND, replace(ROUND, decided_s=3.0)])}
    assert figures["all ended"] == [1.0, 3.0]
    assert figures["all persisted"] == [2.0, 2.0]
    assert figures["our CPU"] == [100.0, 100.0]
    assert figures["CPU of postgres"] == [50.0, 50.0]


@pytest.mark.parametrize("holds", [1, 50_000, HOLDS_MAX])
def test_the_platform_allows_the_holds_to_last_so_long(holds: int) -> None:
    assert holds / 500 < ExpiryOptions(holds=holds).hold_ttl_s <= HOLD_TTL_S_MAX
