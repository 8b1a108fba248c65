"""`circle bench …`: measures throughput, latency and CPU."""

from typing import Annotated

import typer
from msgspec.structs import replace

from connectors.errors import SettingsError
from ops.cli import bench_baselines, bench_scaling, bench_suite
from ops.cli.bench_reports import (
    show_connections,
    show_greedy,
    show_ingress,
    show_kernel,
    show_measurement,
    show_replay,
    show_resume,
    show_step,
    show_verdict,
)
from ops.output import AsJson, emit_json
from ops.progress import ProgressBars
from ops.proof.bench import connections as connections_bench
from ops.proof.bench import drop as drop_bench
from ops.proof.bench import greedy as greedy_bench
from ops.proof.bench import ingress as ingress_bench
from ops.proof.bench import kernel as kernel_bench
from ops.proof.bench import kernel_rounds
from ops.proof.bench import replay as replay_bench
from ops.proof.bench import resume as resume_bench
from ops.proof.bench.connections import ConnectionsOptions
from ops.proof.bench.drop import COMPANIONS, DropOptions
from ops.proof.bench.greedy import GreedyOptions
from ops.proof.bench.greedy_client import KINDS
from ops.proof.bench.ingress import IngressOptions
from ops.proof.bench.kernel import KernelOptions
from ops.proof.bench.replay import ReplayOptions
from ops.proof.bench.resume import ResumeOptions
from ops.proof.bench.suite import runner
from ops.proof.bench.suite.runner import RunOptions
from ops.proof.bench.suite.scenarios import DROP, sized
from ops.proof.bench.warm_up import S_MAX
from ops.proof.load.target import own_platform, running_platform
from ops.run.services.process import run_coroutine

WarmUp = Annotated[float, typer.Option(help="The longest warm-up, in seconds.", min=1, max=600)]

bench = typer.Typer(help="Measure throughput, latency and CPU, on a stack of its own.")

EXPLAINED = """circle bench measures on this machine, on a stack of its own (Ctrl-C ends it and removes the stack):

  circle bench kernel   commands preloaded, one reservations process alone: commands a second, CPU a command
  circle bench ingress   the API process alone: POST to the durable acknowledgement, open loop, CPU a request
  circle bench row-locks   the same drop on the platform and on other ways to sell, and their ratios
  circle bench scaling  CPU a command as sections, events, pending holds and the log grow: a verdict for each law
  circle bench greedy   one greedy client of each kind during a modest sale: p99 of the others, and the door
  circle bench connections   new connections at a rate, one hold on each: answers by status, and those without any
  circle bench replay   logs of several sizes read, folded and verified: facts a second a core, peak memory
  circle bench resume   a worker takes over a partition with a long past: seconds until it is loaded and replies
  circle bench readside   facts preloaded, the read side alone: facts a second a core, CPU a fact by process
  circle bench watchers   live streams of one event: the time until each has a change, CPU a message
  circle bench expiry   many holds that run out together: the time until the last one has ended, CPU a hold

the suite, in rounds, each in turns with a baseline:

  circle bench drop     a sale over HTTP at a stated rate; --ramp raises the rate, without rounds
  circle bench quiet, steady, stampede, hot, sellout, overload   another kind of load each, over HTTP
  circle bench all       the whole suite, with one page of figures and charts, and one JSON file; --quick is smaller
  circle bench compare   two such files: what changed beyond noise

All take --json; `circle bench kernel --help` lists the rest."""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    bench_suite.add_to(bench)
    bench_baselines.add_to(bench)
    bench_scaling.add_to(bench)
    app.add_typer(bench, name="bench")


@bench.callback(invoke_without_command=True)
def explain(context: typer.Context) -> None:
    """Measure throughput, latency and CPU, on a stack of its own."""
    if context.invoked_subcommand is None:
        print(EXPLAINED)


@bench.command()
def kernel(
    commands: Annotated[int, typer.Option(help="Reservations to decide.", min=1, max=10_000_000)] = 200_000,
    events: Annotated[int, typer.Option(help="The number of events.", min=1, max=kernel_bench.EVENTS_MAX)] = 8,
    partitions: Annotated[int, typer.Option(help="Partitions of the topics.", min=1, max=1_024)] = 8,
    seats: Annotated[int, typer.Option(help="Seats of one section.", min=1, max=50_000)] = 1_000,
    pending_holds: Annotated[int, typer.Option(help="Open holds that exist before.", min=0, max=1_000_000)] = 0,
    rounds: Annotated[
        int, typer.Option(help="More than one: rounds in turns with a plain consumer loop.", min=1, max=20)
    ] = 1,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed makes the same commands.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the reservations dataflow: commands are preloaded, then one process decides all of them."""
    options = KernelOptions(
        commands=commands, events=events, partitions=partitions, seats=seats, pending_holds=pending_holds,
        broker=broker, seed=seed,
    )  # fmt: skip
    with ProgressBars(quiet=json) as progress:
        if rounds > 1:
            return show_measurement(kernel_rounds.run(options, rounds, progress), json)
        report = kernel_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        show_kernel(report)
    return 0 if report.passed else 1


@bench.command()
def replay(
    sizes: Annotated[str, typer.Option(help="The numbers of facts of the logs, separated by commas.")] = ",".join(
        map(str, replay_bench.SIZES)
    ),
    rounds: Annotated[int, typer.Option(help="Runs for each figure; the least disturbed run counts.", min=1)] = 1,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed makes the same log.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure logs of several sizes: one process reads, folds and verifies each. Facts a second a core, peak memory."""
    options = ReplayOptions(sizes=_numbers("--sizes", sizes), rounds=rounds, broker=broker, seed=seed)
    with ProgressBars(quiet=json) as progress:
        report = replay_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        show_replay(report)
    return 0 if report.passed else 1


@bench.command()
def resume(
    facts: Annotated[int, typer.Option(help="Facts of the partition.", min=1)] = resume_bench.FACTS,
    orders_per_event: Annotated[int, typer.Option(help="Orders of one event.", min=1, max=1_000_000)] = 10_000,
    asked: Annotated[int, typer.Option(help="The number of events that get the first commands.", min=1)] = 10,
    rounds: Annotated[int, typer.Option(help="How often a worker takes over.", min=1, max=20)] = 1,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed makes the same log.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure how a reservations worker takes over a partition with a long history: seconds to load, and to reply."""
    options = ResumeOptions(
        facts=facts, orders_per_event=orders_per_event, asked=asked, rounds=rounds, broker=broker, seed=seed
    )  # fmt: skip
    with ProgressBars(quiet=json) as progress:
        report = resume_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        show_resume(report)
    return 0 if report.passed else 1


@bench.command()
def drop(
    rate: Annotated[
        float, typer.Option(help="Requests a second; the first rate of a ramp.", min=1, max=100_000)
    ] = 1_000,
    seconds: Annotated[float, typer.Option(help="How long each rate lasts.", min=0.5, max=600)] = 10,
    ramp: Annotated[bool, typer.Option("--ramp", help="Raise the rate until the platform does not keep up.")] = False,
    events: Annotated[int, typer.Option(help="Events on sale at once.", min=1, max=1_000)] = 8,
    buyers: Annotated[int, typer.Option(help="Accounts that reserve.", min=1, max=1_000_000)] = 2_000,
    reservations: Annotated[int, typer.Option(help="Reservations processes.", min=1, max=64)] = 1,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    beside: Annotated[
        str | None, typer.Option(help="verify, projections or watching: rounds with it and without it, in turns.")
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            help="Rounds of each: the drop and its baseline, or the drop with --beside and without it.", min=1, max=20
        ),
    ] = 3,
    warm_up_s: WarmUp = S_MAX,
    url: Annotated[str | None, typer.Option(help="The URL of a running platform; CIRCLE_* names its services.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the whole path over HTTP, open loop: latency to the outcome, CPU a request by process, in rounds."""
    if beside is not None and beside not in COMPANIONS:
        raise SettingsError("--beside", f"one of {', '.join(COMPANIONS)}", got=beside, example="verify")
    options = DropOptions(
        rate=rate,
        seconds=seconds,
        ramp=ramp,
        events=events,
        buyers=buyers,
        beside=beside,
        rounds=rounds,
        warm_up_s=warm_up_s,
        seed=seed,
    )
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        platform = running_platform(url) if url else own_platform(broker=broker, reservations=reservations, say=say)
        with platform as target:
            if beside is None and not ramp:
                scenario = sized(replace(DROP, events=events), rate=rate, seconds=seconds)
                in_rounds = RunOptions(rounds=rounds, buyers=buyers, warm_up_s=warm_up_s, broker=broker, seed=seed)
                result = run_coroutine(runner.run(scenario, in_rounds, target, progress))
                return bench_suite.show_result(result, json)
            report = run_coroutine(drop_bench.run(options, target, progress))
    if json:
        emit_json(report)
    else:
        for step in report.steps:
            show_step(step)
        show_verdict(report)
    return 0 if report.passed else 1


@bench.command()
def ingress(
    rate: Annotated[float, typer.Option(help="Requests a second.", min=1, max=100_000)] = 1_000,
    seconds: Annotated[float, typer.Option(help="How long each round lasts.", min=0.5, max=600)] = 5,
    rounds: Annotated[int, typer.Option(help="How many rounds.", min=1, max=100)] = 3,
    events: Annotated[int, typer.Option(help="Events on sale at once.", min=1, max=1_000)] = 8,
    buyers: Annotated[int, typer.Option(help="Accounts that reserve.", min=1, max=1_000_000)] = 2_000,
    partitions: Annotated[int, typer.Option(help="Partitions of the topics.", min=1, max=1_024)] = 8,
    warm_up_s: WarmUp = S_MAX,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the API process alone, open loop: latency to the durable acknowledgement, CPU a request."""
    options = IngressOptions(
        rate=rate, seconds=seconds, rounds=rounds, events=events, buyers=buyers, partitions=partitions,
        broker=broker, warm_up_s=warm_up_s, seed=seed,
    )  # fmt: skip
    with ProgressBars(quiet=json) as progress:
        report = ingress_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        show_ingress(report)
    return 0 if report.passed else 1


@bench.command()
def greedy(
    rate: Annotated[float, typer.Option(help="Requests a second of the other clients.", min=1, max=10_000)] = 40,
    seconds: Annotated[float, typer.Option(help="How long each round lasts.", min=1, max=600)] = 5,
    rounds: Annotated[
        int, typer.Option(help="How many rounds of each, with and without the greedy client.", min=1, max=20)
    ] = 3,
    kinds: Annotated[str, typer.Option(help="The kinds, separated by commas.")] = ",".join(KINDS),
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    url: Annotated[str | None, typer.Option(help="The URL of a running platform; CIRCLE_* names its services.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure a modest sale with and without one greedy client of each kind: p99 of the other clients, and the door."""
    chosen = tuple(kinds.split(","))
    if not set(chosen) <= KINDS.keys():
        raise SettingsError("--kinds", f"some of {', '.join(KINDS)}", got=kinds, example="streams,drawing")
    options = GreedyOptions(rate=rate, seconds=seconds, rounds=rounds, kinds=chosen, seed=seed)
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        platform = (
            running_platform(url) if url else own_platform(broker=broker, reservations=1, say=say, rate_limits=True)
        )
        with platform as target:
            report = run_coroutine(greedy_bench.run(options, target, progress))
    if json:
        emit_json(report)
    else:
        show_greedy(report)
    return 0 if report.passed else 1


@bench.command()
def connections(
    count: Annotated[
        int, typer.Option("--connections", help="New connections.", min=1, max=connections_bench.CONNECTIONS_MAX)
    ] = 5_000,
    rate: Annotated[float, typer.Option(help="New connections a second.", min=1, max=100_000)] = 500,
    addresses: Annotated[
        int,
        typer.Option(help="Loopback addresses that they come from.", min=1, max=connections_bench.ADDRESSES_MAX),
    ] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Keep each connection open until the last answer.")] = False,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    url: Annotated[str | None, typer.Option(help="The URL of a running platform; CIRCLE_* names its services.")] = None,
    json: AsJson = False,
) -> int:
    """Measure new connections at a stated rate, one hold on each: answers by status, and connections without any."""
    options = ConnectionsOptions(connections=count, rate=rate, addresses=addresses, keep=keep)
    connections_bench.enough_descriptors(count)
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        platform = running_platform(url) if url else own_platform(broker=broker, reservations=1, say=say)
        with platform as target:
            report = run_coroutine(connections_bench.run(options, target, progress))
    if json:
        emit_json(report)
    else:
        show_connections(report)
    return 0 if report.passed else 1


def _numbers(option: str, text: str) -> tuple[int, ...]:
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise SettingsError(option, "must be numbers above 0 with commas", got=text, example="100000,1000000")
    return tuple(int(part) for part in parts)
