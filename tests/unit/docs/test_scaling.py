"""The page about scaling against `circle size`: both have the same figures, and the same order of what breaks first."""

from __future__ import annotations

import re

import pytest

from ops.sizing.costs import MEASURED, Limits
from ops.sizing.sizing import Load, Sizing, size
from tests.unit.docs.pages import rows, section, text_of

PAGE = text_of("ops/docs/scaling.md")
NAMES = {"API": "api", "read side": "read-side", "brokers": "broker", "PostgreSQL": "postgres", "Redis": "redis"}
MANY = "One million requests a second over 1,000 events"
ONE = "One event of one million places"
LOADS = {
    MANY: Load(requests_per_s=1_000_000, events=1_000),
    ONE: Load(requests_per_s=1_000_000, events=1, places=1_000_000, refused=0.95, edge=True),
}


def sized(heading: str) -> Sizing:
    return size(LOADS[heading], MEASURED, Limits())


def table(heading: str) -> list[list[str]]:
    return rows(section(PAGE, heading))


@pytest.mark.parametrize("heading", LOADS)
def test_the_table_has_the_units_of_circle_size(heading: str) -> None:
    found = sized(heading)
    written = {NAMES.get(name, name): how_many for name, how_many, _ in table(heading)}
    counted = {part.name: f"{part.units:,} {part.unit}" for part in found.parts}
    assert written == {**counted, "partitions": f"{found.partitions:,}"}


def test_the_table_of_one_event_says_how_many_times_the_limit_is_asked_for() -> None:
    written = {NAMES.get(name, name): times for name, _, times in table(ONE) if times}
    counted = {part.name: f"{part.times_too_much:.1f}" for part in sized(ONE).parts if part.name != "api"}
    assert written == counted


@pytest.mark.parametrize("heading", LOADS)
def test_what_breaks_first_is_in_the_order_of_circle_size(heading: str) -> None:
    written = re.findall(r"^\d\. \*\*(One .+?)\.\*\*", section(PAGE, heading), re.MULTILINE)
    counted = [line.partition(":")[0] for line in sized(heading).breaks_first]
    if heading == MANY:
        assert counted.pop() == "one event's worker", "far from its limit, so the page leaves it out"
    assert [one[0].lower() + one[1:] for one in written] == counted


def test_the_text_has_the_figures_of_circle_size() -> None:
    many, one = sized(MANY), sized(ONE)
    text = " ".join(section(PAGE, MANY).split())
    assert f"{many.log_mb_per_s:,.0f} MB/s of log before copies, {many.log_tb_per_day:,.0f} TB a day" in text
    assert f"{many.rows_per_s / 1e6:.1f} million rows a second" in text
    text = " ".join(section(PAGE, ONE).split())
    assert f"So {one.accepted_per_s:,.0f} a second are decided, and {one.turned_away_per_s:,.0f} get 503" in text
    assert f"places take {one.one_event.sold_out_s:.0f} s at the least" in text
    assert f"memory for it is {one.one_event.state_mb:.0f} MB" in text
    granting = size(Load(requests_per_s=1_000_000, events=1, places=1_000_000, refused=0.0), MEASURED, Limits())
    times = {part.name: part.times_too_much for part in granting.parts}
    assert f"the worker would be needed {times['reservations']:.1f} times" in text
    assert f"accepts {granting.accepted_per_s:,.0f} a second" in text
    assert f"one read-side process needs {times['read-side']:.1f} cores" in text


def test_the_page_and_performance_have_the_costs_that_are_sized_with() -> None:
    costs = MEASURED.cpu_us
    text = " ".join(text_of("ops/docs/performance.md").split())
    said = (
        f"the API took {costs['api']:.0f}, the worker {costs['reservations']:.0f}, the read side "
        f"{costs['read-side']:.0f} and payments {costs['payments']:.0f}; PostgreSQL added {costs['postgres']:.0f} and "
        f"Valkey {costs['redis']:.0f}."
    )
    assert said in text
    assert f"301 and {costs['broker']:.0f} µs" in text
    assert f"median {MEASURED.full_batch_us} µs of six" in text
    here = " ".join(section(PAGE, "What the figures rest on").split())
    parts = (
        "159 µs in the API",
        "69 in the worker",
        "61 in the read side",
        "8 in payments",
        "65 in PostgreSQL",
        "14 in Valkey",
    )
    assert [
        part
        for part in (*parts, "137 in the broker", "takes 24.5", "860 bytes", "3.8 rows", "640 bytes")
        if part not in here
    ] == []
    figures = (*costs.values(), MEASURED.full_batch_us, MEASURED.log_bytes, MEASURED.rows, MEASURED.state_bytes)
    assert [figure for figure in figures if f"{figure:g}" not in here] == []
