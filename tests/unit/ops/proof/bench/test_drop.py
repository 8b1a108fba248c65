"""A step's CPU counts for the requests that were sent: the others have cost the platform nothing."""

from __future__ import annotations

import os

import pytest

from ops.progress import ProgressBars
from ops.proof.bench import drop
from ops.proof.load.open_loop import NOT_SENT, Plan, Result, Target
from ops.statistics import CpuMeter, Latencies
from pipelines.reservations.core.limits import TICKETS_PER_USER_MAX
from schemas.ids import EventId

DUE, SENT = 1_000, 400
PLAN = Plan(
    url="",
    tokens=[],
    targets=[Target(EventId("e"), ["stalls"], TICKETS_PER_USER_MAX)],
    rate=100.0,
    seconds=10.0,
    seed=1,
)


class Rows:
    """All rows and messages are there at once."""

    async def persisted(self, events: list[EventId]) -> int:
        assert events == ["e"]
        return SENT

    notified = persisted


async def test_requests_that_the_client_did_not_send_do_not_lower_the_cpu_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def loaded(plan: Plan, progress: ProgressBars) -> Result:
        assert plan is PLAN
        del progress
        while meter.read(1)[0].cpu_s < 0.1:  # work of this process, which stands for the platform
            sum(range(10_000))
        latency = Latencies(count=SENT, p50_ms=1.0, p95_ms=1.0, p99_ms=1.0, max_ms=1.0)
        return Result(
            due=DUE, sent=SENT, seconds=10.0, outcomes={"held": SENT, NOT_SENT: DUE - SENT}, places_asked=DUE,
            latency=latency, client_cpu_s=0.0,
        )  # fmt: skip

    monkeypatch.setattr(drop, "send_plan", loaded)
    meter = CpuMeter({"api": os.getpid()}, {})
    with ProgressBars(quiet=True) as progress:
        step = await drop.measured(PLAN, meter, Rows(), progress)
    (api,) = step.cpu
    assert (step.requests, step.expected) == (DUE, SENT)
    assert api.us_per_request == pytest.approx(api.cpu_s * 1_000_000 / SENT, rel=0.01)
