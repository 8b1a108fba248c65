"""A reader that stands still says since when, by monitoring's last look, in `circle top` too."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ops.cli.top import picture
from pipelines.monitoring.lag_trend import STALLED_S
from pipelines.watch.overview import FlowLine, Overview, stalls_of

AT_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def monitored(**stalled: float) -> dict[str, Any]:
    return {"sample": {"at": AT_S, "stalled": {f"circle.{flow}": seconds for flow, seconds in stalled.items()}}}


def test_a_stall_has_its_length_and_the_time_of_the_last_movement() -> None:
    assert stalls_of(monitored(payments=72.5)) == {"circle.payments": (72.5, "2027-01-15T07:58:47.500Z")}


def test_a_moment_between_two_batches_is_no_stall() -> None:
    assert stalls_of(monitored(payments=STALLED_S - 0.1)) == {}
    assert stalls_of(monitored()) == stalls_of(None) == {}


@pytest.mark.parametrize(("stalled", "shown"), [((72.5, "2027-01-15T07:58:47Z"), "72.5 s, since 2027-01-15T07:58:47Z"),
                                                ((0.0, ""), "-")])  # fmt: skip
def test_top_shows_since_when_a_reader_stands_still(stalled: tuple[float, str], shown: str) -> None:
    line = FlowLine(
        name="payments",
        topic="tickets.facts",
        state="STABLE",
        members=1,
        lag_records=7,
        lag_seconds=70.0,
        unknown="",
        stalled_s=stalled[0],
        stalled_since=stalled[1],
    )
    text = io.StringIO()
    Console(file=text, width=200).print(picture(Overview(at="now", topics=[], flows=[line], monitored=None, alerts=[])))
    (row,) = [one for one in text.getvalue().splitlines() if one.startswith("payments")]
    assert row.rstrip().endswith(shown)
