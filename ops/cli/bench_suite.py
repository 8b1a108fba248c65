"""`circle bench quiet`, `steady` and the other scenarios of the suite; `all` of them, and `compare` of two results."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from connectors import clock
from connectors.errors import SettingsError
from ops.cli.bench_reports import show_figures, show_measurement
from ops.output import AsJson, emit_json, emit_table
from ops.progress import ProgressBars
from ops.proof.bench import expiry as expiry_bench
from ops.proof.bench import read_side
from ops.proof.bench import watchers as watchers_bench
from ops.proof.bench.catalogue import BENCHES, OVER_HTTP, SuiteOptions
from ops.proof.bench.expiry import ExpiryOptions
from ops.proof.bench.read_side import ReadSideOptions
from ops.proof.bench.suite import comparison, runner
from ops.proof.bench.suite.figures import BenchResult
from ops.proof.bench.suite.measurement import SuiteResult
from ops.proof.bench.suite.page import PAGE, RESULT, write
from ops.proof.bench.suite.runner import RunOptions
from ops.proof.bench.suite.scenarios import SCENARIOS, Scenario, sized
from ops.proof.bench.warm_up import S_MAX
from ops.proof.bench.watchers import WatchersOptions
from ops.proof.load.target import own_platform, running_platform
from ops.run.services.process import run_coroutine

Rate = Annotated[float, typer.Option(help="Requests a second; of `overload`, before and after it.", min=1, max=100_000)]
Seconds = Annotated[float, typer.Option(help="How long a round lasts at this rate.", min=1, max=600)]
Overload = Annotated[float, typer.Option(help="How long ten times the rate lasts.", min=1, max=600)]
Rounds = Annotated[int, typer.Option(help="Rounds, in turns with a baseline.", min=1, max=20)]
Buyers = Annotated[int, typer.Option(help="Accounts that reserve.", min=1, max=1_000_000)]
WarmUp = Annotated[float, typer.Option(help="The longest warm-up, in seconds.", min=1, max=600)]
Broker = Annotated[str, typer.Option(help="embedded, apache or apache-3.")]
Url = Annotated[str | None, typer.Option(help="The URL of a running platform; CIRCLE_* names its services.")]
Seed = Annotated[int, typer.Option(help="The same seed sends the same requests.")]
Result = Annotated[Path, typer.Argument(help=f"A {RESULT} of `circle bench all`.")]


def add_to(bench: typer.Typer) -> None:
    """The commands of the suite."""
    for scenario in SCENARIOS.values():
        command = _with_overload(scenario) if scenario.overload_s else _command(scenario)
        bench.command(scenario.name, help=f"Measure {scenario.about}, over HTTP and open loop.")(command)
    bench.command("readside")(readside)
    bench.command("watchers")(watchers)
    bench.command("expiry")(expiry)
    bench.command("all")(run_all)
    bench.command("compare")(compare)


def _command(scenario: Scenario) -> Callable[..., int]:
    def command(
        rate: Rate = scenario.rate,
        seconds: Seconds = scenario.seconds,
        rounds: Rounds = 3,
        buyers: Buyers = 2_000,
        warm_up_s: WarmUp = S_MAX,
        broker: Broker = "embedded",
        url: Url = None,
        seed: Seed = 1,
        json: AsJson = False,
    ) -> int:
        options = RunOptions(rounds=rounds, buyers=buyers, warm_up_s=warm_up_s, broker=broker, seed=seed)
        return show_result(_measure([sized(scenario, rate=rate, seconds=seconds)], options, url, quiet=json)[0], json)

    return command


def _with_overload(scenario: Scenario) -> Callable[..., int]:
    def command(
        rate: Rate = scenario.rate,
        seconds: Seconds = scenario.seconds,
        overload_s: Overload = scenario.overload_s,
        rounds: Rounds = 3,
        buyers: Buyers = 2_000,
        warm_up_s: WarmUp = S_MAX,
        broker: Broker = "embedded",
        url: Url = None,
        seed: Seed = 1,
        json: AsJson = False,
    ) -> int:
        options = RunOptions(rounds=rounds, buyers=buyers, warm_up_s=warm_up_s, broker=broker, seed=seed)
        load = sized(scenario, rate=rate, seconds=seconds, overload_s=overload_s)
        return show_result(_measure([load], options, url, quiet=json)[0], json)

    return command


def readside(
    facts: Annotated[int, typer.Option(help="Facts of the log.", min=100, max=10_000_000)] = 100_000,
    rounds: Rounds = 3,
    broker: Broker = "embedded",
    seed: Seed = 1,
    json: AsJson = False,
) -> int:
    """Measure the read side alone over preloaded facts: facts a second a core, CPU a fact by process."""
    options = ReadSideOptions(facts=facts, rounds=rounds, broker=broker, seed=seed)
    with ProgressBars(quiet=json) as progress:
        report = read_side.run(options, progress)
    if json:
        emit_json(report)
    else:
        show_figures("readside", report.figures)
        print("each reservation has its row" if report.passed else "FAILED: rows or messages are missing")
    return 0 if report.passed else 1


def watchers(
    streams: Annotated[
        int, typer.Option(help="Live streams of one event.", min=1, max=watchers_bench.STREAMS_MAX)
    ] = 1_000,
    changes: Annotated[int, typer.Option(help="Holds of each round.", min=1, max=100)] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds with streams, in turns with as many without.", min=1, max=10)] = 3,
    rate: Annotated[float, typer.Option(help="Reservations a second of each drop.", min=20, max=10_000)] = 200.0,
    seconds: Annotated[float, typer.Option(help="How long each drop lasts.", min=2, max=600)] = 10.0,
    warm_up_s: WarmUp = S_MAX,
    broker: Broker = "embedded",
    url: Url = None,
    json: AsJson = False,
    seed: Seed = 1,
) -> int:
    """Measure live streams of one event: the time until each has a change, CPU a message, and what a sale pays."""
    options = WatchersOptions(
        streams=streams, changes=changes, rounds=rounds, rate=rate, seconds=seconds, warm_up_s=warm_up_s, seed=seed,
        broker=broker,
    )  # fmt: skip
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        platform = running_platform(url) if url else own_platform(broker=broker, reservations=1, say=say)
        with platform as target:
            report = run_coroutine(watchers_bench.run(options, target, progress))
    if json:
        emit_json(report)
        return 0 if report.passed else 1
    print(f"{streams:,} streams had their first state after {report.opened_s:.2f} s")
    return show_measurement(watchers_bench.measurement(report), json=False)


def expiry(
    holds: Annotated[
        int, typer.Option(help="Holds that run out together.", min=1, max=expiry_bench.HOLDS_MAX)
    ] = 50_000,
    rounds: Rounds = 3,
    broker: Broker = "embedded",
    url: Url = None,
    json: AsJson = False,
) -> int:
    """Measure many holds that run out at the same time: the time until the last one has ended, CPU a hold."""
    options = ExpiryOptions(holds=holds, rounds=rounds, broker=broker)
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        platform = running_platform(url) if url else own_platform(broker=broker, reservations=1, say=say)
        with platform as target:
            report = run_coroutine(expiry_bench.run(options, target, progress))
    if json:
        emit_json(report)
    else:
        show_figures("expiry", report.figures)
        for check in expiry_bench.measurement(report).checks:
            print(f"{'holds' if check.holds else 'FAILED'}: {check.name} ({check.detail})")
    return 0 if report.passed else 1


def run_all(
    out: Annotated[Path, typer.Option(help=f"The folder of {PAGE}, {RESULT} and the charts.")] = Path("bench-result"),
    only: Annotated[str, typer.Option(help="The benches, separated by commas.")] = ",".join(BENCHES),
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes: a look, not a result.")] = False,
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second of each bench over HTTP, not its own rate.", min=1, max=100_000),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="How long each rate of each bench over HTTP lasts, not its own time.", min=1, max=600),
    ] = None,
    rounds: Rounds = 3,
    buyers: Buyers = 2_000,
    warm_up_s: WarmUp = S_MAX,
    broker: Broker = "embedded",
    url: Url = None,
    seed: Seed = 1,
    json: AsJson = False,
) -> int:
    """Run the suite, and write one page with charts, and one JSON file that `circle bench compare` reads."""
    names = [name.strip() for name in only.split(",")]
    known = OVER_HTTP if url else tuple(BENCHES)
    if not set(names) <= set(known):
        raise SettingsError("--only", f"some of {', '.join(known)}", got=only, example="quiet,steady")
    options = SuiteOptions(
        quick=quick, rate=rate, seconds=seconds, rounds=rounds, buyers=buyers, warm_up_s=warm_up_s, broker=broker,
        url=url, seed=seed,
    )  # fmt: skip
    result = SuiteResult(made_at=clock.now_rfc3339(), benches=[])
    with ProgressBars(quiet=json) as progress:
        for name in names:
            began = time.monotonic()
            progress.say(f"{name}, {names.index(name) + 1} of {len(names)}")
            found = BENCHES[name](options, progress)
            (result.benches if isinstance(found, BenchResult) else result.measurements).append(found)  # type: ignore[arg-type]
            result.took_s[name] = round(time.monotonic() - began, 1)
            write(result, out)  # an end before the last bench loses no figure
    if json:
        emit_json(result)
    else:
        for bench in result.benches:
            _table(bench)
        for one in result.measurements:
            show_measurement(one, json)
            print()
        print(f"the page is {out / PAGE}, the result {out / RESULT}")
    return 0 if result.passed else 1


def compare(a: Result, b: Result, json: AsJson = False) -> int:
    """Compare two results: what changed beyond the noise of their rounds. Exit code 1 when something is worse."""
    first, second = (comparison.read(_bytes(path), str(path)) for path in (a, b))
    report = comparison.compare(first, second)
    if json:
        emit_json(report)
        return 0 if report.passed else 1
    rows = [
        (
            f"{change.bench}: {change.figure}",
            f"{change.a:,g}",
            f"{change.b:,g}",
            f"{change.b_calibrated:,g}",
            "" if change.change is None else f"{change.change:+.1%}",
            change.verdict.value,
            change.unit,
        )
        for change in report.changes
    ]
    emit_table(("figure", "A", "B", "B calibrated", "change", "verdict", "unit"), rows)
    for name, ratio in report.machine_ratio.items():
        print(f"{name}: B's machine took {ratio:.2f} times as long for the fixed computation")
    for what, names in (("only in A", report.only_a), ("only in B", report.only_b)):
        if names:
            print(f"{what}: {', '.join(names)}")
    if report.differing:
        print(f"not compared, since the loads differ: {', '.join(report.differing)}")
    print("nothing is worse beyond noise" if report.passed else "FAILED: something is worse, or nothing is compared")
    return 0 if report.passed else 1


def _measure(loads: list[Scenario], options: RunOptions, url: str | None, *, quiet: bool) -> list[BenchResult]:
    """Each load on a platform of its own, or all on the running one."""
    results = []
    with ProgressBars(quiet=quiet) as progress:
        say = (lambda _: None) if quiet else progress.say
        for load in loads:
            platform = running_platform(url) if url else own_platform(broker=options.broker, reservations=1, say=say)
            with platform as target:
                results.append(run_coroutine(runner.run(load, options, target, progress)))
    return results


def show_result(bench: BenchResult, json: bool) -> int:
    """A scenario's rounds. Returns the exit code."""
    if json:
        emit_json(bench)
    else:
        _table(bench)
    return 0 if bench.passed else 1


def _table(bench: BenchResult) -> None:
    show_figures(bench.scenario.name, bench.figures)
    if not bench.warm:
        print("the figures did not stand still within the warm-up")
    for goal in bench.goals:
        print(f"{'goal met' if goal.holds else 'goal not met'}: {goal.name} ({goal.detail})")
    for check in bench.checks:
        if not check.holds:
            print(f"FAILED: {check.name} ({check.detail})")
    if bench.passed:
        print("nothing was lost or sold twice")
    print()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError("the result", str(error), got=str(path), example=f"bench-result/{RESULT}") from None
