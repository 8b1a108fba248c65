"""Every bench of `circle bench all`: how it runs, how large it is, and how large with `--quick`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec

from ops.progress import ProgressBars
from ops.proof.bench import expiry, ingress, kernel_rounds, read_side, replay, resume, watchers
from ops.proof.bench.baselines import bench as baselines
from ops.proof.bench.baselines.terms import Baseline
from ops.proof.bench.drop import DropOptions
from ops.proof.bench.expiry import ExpiryOptions
from ops.proof.bench.ingress import IngressOptions
from ops.proof.bench.kernel import KernelOptions
from ops.proof.bench.read_side import ReadSideOptions
from ops.proof.bench.replay import ReplayOptions
from ops.proof.bench.resume import ResumeOptions
from ops.proof.bench.scaling import bench as scaling
from ops.proof.bench.scaling.bench import ScalingOptions
from ops.proof.bench.scaling.laws import Law
from ops.proof.bench.suite import runner
from ops.proof.bench.suite.figures import BenchResult
from ops.proof.bench.suite.measurement import Measurement
from ops.proof.bench.suite.runner import RunOptions
from ops.proof.bench.suite.scenarios import DROP, SCENARIOS, Scenario, sized
from ops.proof.bench.warm_up import S_MAX
from ops.proof.bench.watchers import WatchersOptions
from ops.proof.load.target import LoadTarget, own_platform, running_platform
from ops.run.services.process import run_coroutine

QUICK_S, QUICK_OVERLOAD_S = 5.0, 10.0
OVER_HTTP = ("watchers", "expiry", *SCENARIOS, DROP.name)  # these take a running platform, too


class SuiteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What all benches share. `rate` and `seconds` are for the benches over HTTP. `url`: a running platform."""

    quick: bool = False
    rate: float | None = None
    seconds: float | None = None
    rounds: int = 3
    buyers: int = 2_000
    warm_up_s: float = S_MAX
    broker: str = "embedded"
    url: str | None = None
    seed: int = 1


class Size(NamedTuple):
    """A number of something in a full and in a quick run."""

    full: int
    quick: int

    def of(self, options: SuiteOptions) -> int:
        return self.quick if options.quick else self.full


KERNEL_COMMANDS = Size(100_000, 20_000)
READ_SIDE_FACTS = Size(100_000, 20_000)
REPLAY_FACTS = (Size(100_000, 10_000), Size(1_000_000, 50_000))
RESUME_FACTS = Size(1_000_000, 20_000)
RESUME_ORDERS = Size(10_000, 500)
SCALING_COMMANDS = Size(20_000, 5_000)
STREAMS, CHANGES = Size(1_000, 100), Size(10, 5)
HOLDS = Size(50_000, 2_000)
INGRESS_RATE = Size(1_000, 500)
DROP_RATE = Size(300, 150)  # against row locks
WATCHED_RATE = Size(200, 100)
Bench = Callable[[SuiteOptions, ProgressBars], BenchResult | Measurement]


def over_http(scenario: Scenario, options: SuiteOptions) -> Scenario:
    """A scenario at the size that the options ask for."""
    seconds = options.seconds or (min(scenario.seconds, QUICK_S) if options.quick else scenario.seconds)
    overload_s = options.seconds or (QUICK_OVERLOAD_S if options.quick else scenario.overload_s)
    return sized(scenario, rate=options.rate, seconds=seconds, overload_s=overload_s)


def _scenario(scenario: Scenario) -> Bench:
    def bench(options: SuiteOptions, progress: ProgressBars) -> BenchResult:
        run_options = RunOptions(
            rounds=options.rounds, buyers=options.buyers, warm_up_s=options.warm_up_s, broker=options.broker,
            seed=options.seed,
        )  # fmt: skip
        with target_of(options, progress) as target:
            return run_coroutine(runner.run(over_http(scenario, options), run_options, target, progress))

    return bench


def target_of(options: SuiteOptions, progress: ProgressBars) -> AbstractContextManager[LoadTarget]:
    """A platform of its own, or the running one."""
    if options.url:
        return running_platform(options.url)
    return own_platform(broker=options.broker, reservations=1, say=progress.say)


def _kernel(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = KernelOptions(commands=KERNEL_COMMANDS.of(options), broker=options.broker, seed=options.seed)
    return kernel_rounds.run(sized, options.rounds, progress)


def _ingress(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = IngressOptions(
        rate=options.rate or INGRESS_RATE.of(options), seconds=options.seconds or QUICK_S, rounds=options.rounds,
        buyers=options.buyers, broker=options.broker, warm_up_s=options.warm_up_s, seed=options.seed,
    )  # fmt: skip
    return ingress.measurement(ingress.run(sized, progress))


def _read_side(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = ReadSideOptions(
        facts=READ_SIDE_FACTS.of(options), rounds=options.rounds, broker=options.broker, seed=options.seed
    )
    return read_side.measurement(read_side.run(sized, progress))


def _watchers(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = WatchersOptions(
        streams=STREAMS.of(options), changes=CHANGES.of(options), rounds=options.rounds, broker=options.broker,
        rate=options.rate or WATCHED_RATE.of(options), seconds=options.seconds or (QUICK_S if options.quick else 10),
        warm_up_s=options.warm_up_s, seed=options.seed,
    )  # fmt: skip
    with target_of(options, progress) as target:
        return watchers.measurement(run_coroutine(watchers.run(sized, target, progress)))


def _expiry(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = ExpiryOptions(holds=HOLDS.of(options), rounds=options.rounds, broker=options.broker)
    with target_of(options, progress) as target:
        return expiry.measurement(run_coroutine(expiry.run(sized, target, progress)))


def _row_locks(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    drop = DropOptions(
        rate=options.rate or DROP_RATE.of(options), seconds=options.seconds or (QUICK_S if options.quick else 10),
        buyers=options.buyers, warm_up_s=options.warm_up_s, seed=options.seed,
    )  # fmt: skip
    sized = baselines.BaselinesOptions(
        drop=drop, baselines=list(Baseline), rounds=options.rounds, broker=options.broker
    )
    return baselines.measurement(baselines.run(sized, progress))


def _scaling(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = ScalingOptions(
        laws=list(Law), commands=SCALING_COMMANDS.of(options), rounds=options.rounds, quick=options.quick,
        broker=options.broker, seed=options.seed,
    )  # fmt: skip
    return scaling.measurement(scaling.run(sized, progress))


def _replay(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = ReplayOptions(
        sizes=tuple(size.of(options) for size in REPLAY_FACTS), rounds=options.rounds, broker=options.broker,
        seed=options.seed,
    )  # fmt: skip
    return replay.measurement(replay.run(sized, progress))


def _resume(options: SuiteOptions, progress: ProgressBars) -> Measurement:
    sized = ResumeOptions(
        facts=RESUME_FACTS.of(options), orders_per_event=RESUME_ORDERS.of(options), rounds=options.rounds,
        broker=options.broker, seed=options.seed,
    )  # fmt: skip
    return resume.measurement(resume.run(sized, progress))


BENCHES: dict[str, Bench] = {
    "kernel": _kernel,
    "ingress": _ingress,
    **{scenario.name: _scenario(scenario) for scenario in (DROP, *SCENARIOS.values())},
    "expiry": _expiry,
    "readside": _read_side,
    "watchers": _watchers,
    Baseline.ROW_LOCKS.value: _row_locks,
    "scaling": _scaling,
    "replay": _replay,
    "resume": _resume,
}
