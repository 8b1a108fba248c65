"""The warm-up of every bench over HTTP: windows of load until the figures stand still, or until a bound.

A JVM compiles its code for a minute, so a cold Apache Kafka uses twice the CPU of a warm one. The windows end when the
median latency of the last ones and the broker's CPU a request differ by little. Nothing of them is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from ops.progress import ProgressBars
from ops.proof.bench.sending import send_plan
from ops.proof.load.open_loop import Plan, Result
from ops.statistics import CpuMeter, ProcessCpu

RATE_MIN, RATE_MAX = 50.0, 400.0
WINDOW_S = 2.0
SEED = 500  # above the number of rounds: a seed also makes the keys of requests, and its sign does not count
S_MAX = 60.0
P50_WINDOWS, BROKER_WINDOWS, STILL_SPREAD = 3, 5, 0.15
BROKERS = ("kafka", "tansu")


class WarmUp(msgspec.Struct, frozen=True, kw_only=True):
    """Each window: the median latency, and the CPU of the broker, or of all services where there is no broker."""

    p50_ms: list[float]
    broker_us: list[float]

    @property
    def warm(self) -> bool:
        """Whether both stood still at the end."""
        return stands_still(self.p50_ms, P50_WINDOWS) and stands_still(self.broker_us, BROKER_WINDOWS)


def rate_of(rate: float) -> float:
    """The rate of the windows for a bench at `rate`."""
    return min(max(rate / 2, RATE_MIN), RATE_MAX)


def warm_up(
    plan: Plan,
    bound_s: float,
    meter: CpuMeter,
    progress: ProgressBars,
    on_sent: Callable[[Result], None] = lambda _: None,
) -> WarmUp:
    """Send the plan in windows, at its rate, until the figures stand still or `bound_s` are over.

    `on_sent` gets the result of each window.
    """
    window_s, asked = min(WINDOW_S, bound_s), plan.skip
    done = WarmUp(p50_ms=[], broker_us=[])
    for number in range(int(bound_s / window_s)):
        window = msgspec.structs.replace(plan, seconds=window_s, seed=plan.seed + number, skip=asked)
        meter.start()
        result = send_plan(window, progress, "warming up")
        done.broker_us.append(broker_us(meter.read(result.sent)))
        done.p50_ms.append(result.latency.p50_ms)
        asked = result.places_asked
        on_sent(result)
        if done.warm:
            break
    return done


def broker_us(cpu: Sequence[ProcessCpu]) -> float:
    """The broker's CPU in microseconds a request; of all services where there is no broker."""
    brokers = [process for process in cpu if process.name in BROKERS]
    return round(sum(one.us_per_request for one in brokers or cpu if not one.ours), 1)


def stands_still(values: Sequence[float], windows: int) -> bool:
    """Whether the last `windows` values differ by at most STILL_SPREAD of their median."""
    last = values[-windows:]
    return len(last) == windows and max(last) - min(last) <= STILL_SPREAD * median(last)
