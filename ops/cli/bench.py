"""`circle bench …`: measures throughput, latency and CPU."""

from typing import Annotated

import typer

from connectors.errors import SettingsError
from ops.cli.output import AsJson, emit_json, emit_table
from ops.proof.bench import drop as drop_bench
from ops.proof.bench import greedy as greedy_bench
from ops.proof.bench import ingress as ingress_bench
from ops.proof.bench import kernel as kernel_bench
from ops.proof.bench import replay as replay_bench
from ops.proof.bench import resume as resume_bench
from ops.proof.bench import row_locks as row_locks_bench
from ops.proof.bench.drop import DropOptions, DropReport, Step
from ops.proof.bench.greedy import GreedyOptions
from ops.proof.bench.greedy_client import KINDS
from ops.proof.bench.ingress import IngressOptions, IngressReport
from ops.proof.bench.kernel import KernelOptions, KernelReport
from ops.proof.bench.replay import ReplayOptions, ReplayReport
from ops.proof.bench.replay_under_load import REPLAYS
from ops.proof.bench.resume import ResumeOptions
from ops.proof.bench.row_locks import RowLocksReport, cpu_us
from ops.proof.load.progress import ProgressBars
from ops.proof.load.target import own_platform, running_platform
from ops.run.services.process import run_coroutine
from schemas.ids import US_PER_S

bench = typer.Typer(help="Measure throughput, latency and CPU, on a stack of its own.")

EXPLAINED = """circle bench measures on this machine, on a stack of its own (Ctrl-C ends it and removes the stack):

  circle bench kernel   commands preloaded, one reservations process alone: commands a second, CPU a command
  circle bench drop     over HTTP at a stated rate, open loop: latency to the outcome, CPU a request by process
  circle bench ingress   the API process alone: POST to the durable acknowledgement, open loop, CPU a request
  circle bench row-locks   the same drop on the platform and on row locks in PostgreSQL, and their ratios
  circle bench greedy   one greedy client of each kind beside a modest sale: p99 of the others, and the door
  circle bench replay   logs of several sizes read, folded and verified: facts a second a core, peak memory
  circle bench resume   a worker takes over a partition with a long past: seconds until it is loaded and replies

All take --json; `circle bench kernel --help` lists the rest."""


def register(app: typer.Typer) -> None:
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
        report = kernel_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        _show_kernel(report)
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
        _show_replay(report)
    return 0 if report.passed else 1


@bench.command()
def resume(
    facts: Annotated[int, typer.Option(help="Facts of the partition.", min=1)] = resume_bench.FACTS,
    orders_per_event: Annotated[int, typer.Option(help="Orders of one event.", min=1, max=1_000_000)] = 10_000,
    asked: Annotated[int, typer.Option(help="The number of events that get the first commands.", min=1)] = 10,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed makes the same log.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure how a reservations worker takes over a partition with a long history: seconds to load, and to reply."""
    options = ResumeOptions(
        facts=facts, orders_per_event=orders_per_event, asked=asked, broker=broker, seed=seed
    )  # fmt: skip
    with ProgressBars(quiet=json) as progress:
        report = resume_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        rows = [
            ("past", f"{report.facts:,} facts of {report.commands:,} commands, {report.events:,} events"),
            ("partition loaded", f"{report.loaded_s:.3f} s"),
            ("assigned", f"{report.assigned_s:.3f} s"),
            (
                "an event loaded",
                f"{report.event_s:.2f} s, {report.event_cpu_s:.2f} s of CPU; {report.event_reservations:,} orders",
            ),
            ("first reply", f"{report.first_reply_s:.2f} s after the worker's start"),
            ("last reply", f"{report.last_reply_s:.2f} s, of {report.replies:,} events asked for"),
            ("the worker's CPU", f"{report.cpu_s:.2f} s, its start included"),
            ("peak memory", f"{report.peak_mb:,.0f} MB"),
        ]
        emit_table(("resume bench", ""), rows)
        print("every event that was asked for replied" if report.passed else "FAILED: not every event replied")
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
        str | None, typer.Option(help="verify or projections: measure in turns with and without this replay.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="With --beside: how many rounds of each.", min=1, max=20)] = 3,
    url: Annotated[str | None, typer.Option(help="The URL of a running platform; CIRCLE_* names its services.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the whole path over HTTP, open loop: latency to the outcome, CPU a request by process."""
    if beside is not None and beside not in REPLAYS:
        raise SettingsError("--beside", f"one of {', '.join(REPLAYS)}", got=beside, example="verify")
    options = DropOptions(
        rate=rate,
        seconds=seconds,
        ramp=ramp,
        events=events,
        buyers=buyers,
        beside=beside,
        rounds=rounds,
        seed=seed,
    )
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        platform = running_platform(url) if url else own_platform(broker=broker, reservations=reservations, say=say)
        with platform as target:
            report = run_coroutine(drop_bench.run(options, target, progress))
    if json:
        emit_json(report)
    else:
        for step in report.steps:
            _show_step(step)
        _show_verdict(report)
    return 0 if report.passed else 1


@bench.command()
def ingress(
    rate: Annotated[float, typer.Option(help="Requests a second.", min=1, max=100_000)] = 1_000,
    seconds: Annotated[float, typer.Option(help="How long each round lasts.", min=0.5, max=600)] = 5,
    rounds: Annotated[int, typer.Option(help="How many rounds.", min=1, max=100)] = 3,
    events: Annotated[int, typer.Option(help="Events on sale at once.", min=1, max=1_000)] = 8,
    buyers: Annotated[int, typer.Option(help="Accounts that reserve.", min=1, max=1_000_000)] = 2_000,
    partitions: Annotated[int, typer.Option(help="Partitions of the topics.", min=1, max=1_024)] = 8,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the API process alone, open loop: latency to the durable acknowledgement, CPU a request."""
    options = IngressOptions(
        rate=rate, seconds=seconds, rounds=rounds, events=events, buyers=buyers, partitions=partitions,
        broker=broker, seed=seed,
    )  # fmt: skip
    with ProgressBars(quiet=json) as progress:
        report = ingress_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        _show_ingress(report)
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
        rows = [
            (
                one.kind,
                ", ".join(f"{p99:,.0f}" for p99 in one.alone_p99_ms),
                ", ".join(f"{p99:,.0f}" for p99 in one.beside_p99_ms),
                f"{one.ratio:.2f}",
                f"{one.door_refused} of {one.door_batches}",
                ", ".join(f"{status}: {count:,}" for status, count in sorted(one.greedy_statuses.items())),
            )
            for one in report.kinds
        ]
        emit_table(("greedy", "p99 alone, ms", "beside, ms", "ratio", "door refused", "what it got"), rows)
    return 0 if report.passed else 1


@bench.command("row-locks")
def row_locks(
    rate: Annotated[
        float, typer.Option(help="Requests a second; the first rate of a ramp.", min=1, max=100_000)
    ] = 1_000,
    seconds: Annotated[float, typer.Option(help="How long each rate lasts.", min=0.5, max=600)] = 10,
    ramp: Annotated[bool, typer.Option("--ramp", help="Raise the rate until the platform does not keep up.")] = False,
    events: Annotated[int, typer.Option(help="Events on sale at once.", min=1, max=1_000)] = 8,
    buyers: Annotated[int, typer.Option(help="Accounts that reserve.", min=1, max=1_000_000)] = 2_000,
    broker: Annotated[str, typer.Option(help="The platform's: embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the same drop on the platform, then on `SELECT … FOR UPDATE` in PostgreSQL, and give the ratios."""
    options = DropOptions(rate=rate, seconds=seconds, ramp=ramp, events=events, buyers=buyers, seed=seed)
    with ProgressBars(quiet=json) as progress:
        say = (lambda _: None) if json else progress.say
        with own_platform(broker=broker, reservations=1, say=say) as target:
            platform = run_coroutine(drop_bench.run(options, target, progress))
        report = run_coroutine(row_locks_bench.run(options, platform, progress))
    if json:
        emit_json(report)
    else:
        _show_row_locks(report)
    return 0 if report.passed else 1


def _show_ingress(report: IngressReport) -> None:
    rows = [
        (
            str(number),
            f"{one.acknowledged:,} of {one.requests:,}",
            f"{one.latency.p50_ms}",
            f"{one.latency.p99_ms}",
            *(f"{process.us_per_request:,.1f}" for process in one.cpu),
        )
        for number, one in enumerate(report.rounds, 1)
    ]
    names = [f"{process.name}, µs" for process in report.rounds[0].cpu]
    emit_table(("round", "acknowledged", "p50, ms", "p99, ms", *names), rows)
    print(f"the API's CPU: {report.api_us_per_request:,.1f} µs a request, the median of the rounds")
    print(f"{report.acknowledged:,} acknowledged, {report.recorded:,} on the log")
    print("each acknowledged request is on the log" if report.passed else "FAILED: the log differs")


def _show_row_locks(report: RowLocksReport) -> None:
    for step in report.platform.steps:
        _show_step(step, "the platform, ")
    for step in report.row_locks:
        _show_step(step, "row locks, ")
    ours, theirs, ratios = report.platform.steps[0], report.row_locks[0], report.ratios
    rows = [
        ("outcomes a second", ours.outcomes_per_s, theirs.outcomes_per_s, ratios.outcomes_per_s),
        ("p99 to the outcome, ms", ours.latency.p99_ms, theirs.latency.p99_ms, ratios.p99),
        (
            "CPU of our processes, µs a request",
            cpu_us(ours, services=False),
            cpu_us(theirs, services=False),
            ratios.cpu_of_our_processes,
        ),
        (
            "CPU of everything, µs a request",
            cpu_us(ours, services=True),
            cpu_us(theirs, services=True),
            ratios.cpu_of_everything,
        ),
    ]
    if ratios.limit_rate is not None:
        rows.append(
            ("sustained rate", report.platform.limit_rate or 0, report.row_locks_limit_rate or 0, ratios.limit_rate)
        )
    columns = (f"at {ours.rate:,.0f}/s", "the platform", "row locks", "times as well")
    emit_table(columns, [(name, f"{one:,.1f}", f"{two:,.1f}", f"{ratio:.2f}") for name, one, two, ratio in rows])
    print("nothing was lost or sold twice" if report.passed else "FAILED: something is missing or sold twice")


def _show_step(step: Step, whose: str = "") -> None:
    latency = step.latency
    rows = [
        ("requests", f"{step.requests:,} at {step.rate:,.0f}/s"),
        ("outcomes", f"{step.outcomes_per_s:,.0f}/s: " + ", ".join(f"{k} {v:,}" for k, v in step.outcomes.items())),
        (
            "latency to outcome",
            f"p50 {latency.p50_ms} ms, p95 {latency.p95_ms} ms, p99 {latency.p99_ms} ms, max {latency.max_ms} ms",
        ),
        ("on the log", f"{step.expected:,}; in Postgres {step.persisted:,}, in the inbox {step.notified:,}"),
        ("caught up", f"{step.caught_up_s:.2f} s after the last answer"),
        ("our CPU", f"{step.our_cpu_us_per_request:,.1f} µs a request"),
    ]
    emit_table((f"{whose}step {step.rate:,.0f}/s", "sustained" if step.sustained else "not sustained"), rows)
    processes = [(one.name, f"{one.us_per_request:,.1f}", "" if one.ours else "service") for one in step.cpu]
    client_us = step.client_cpu_s / max(1, step.requests) * US_PER_S
    processes.append(("(load generator)", f"{client_us:,.1f}", "not counted"))
    emit_table(("process", "CPU µs a request", ""), processes)
    print()


def _show_verdict(report: DropReport) -> None:
    beside = report.beside
    if beside is not None:
        wrong = f", {beside.diverged} of them diverged" if beside.diverged else ""
        alone, other = (
            ", ".join(f"{p99:,.0f}" for p99 in p99s) for p99s in (beside.alone_p99_ms, beside.beside_p99_ms)
        )
        print(f"p99 alone {alone} ms, beside a replay {other} ms: {report.p99_ratio} times, the median of the rounds")
        print(f"{report.options.beside} (niceness {beside.niceness}) came to its end {beside.runs} times{wrong}")
    if report.limit_rate is not None:
        print(
            f"limit: {report.limit_rate:,.0f} requests/s sustained" if report.limit_rate else "limit: below the start"
        )
    print("nothing was lost" if report.passed else "FAILED: something acknowledged is missing, or nothing was answered")


def _numbers(option: str, text: str) -> tuple[int, ...]:
    parts = [part.strip().replace("_", "") for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise SettingsError(option, "must be numbers above 0 with commas", got=text, example="100000,1000000")
    return tuple(int(part) for part in parts)


def _show_replay(report: ReplayReport) -> None:
    rows = [
        (
            one.what,
            f"{one.facts:,}",
            f"{one.facts_per_s_per_core:,.0f}",
            f"{one.cpu_us_per_fact:.2f}",
            f"{one.seconds:.2f}",
            f"{one.peak_mb:,.0f}",
            one.digest,
        )
        for size in report.sizes
        for one in size.best
    ]
    columns = ("replay bench", "facts", "facts/s a core", "CPU µs a fact", "seconds", "peak MB", "digest")
    emit_table(columns, rows)
    print(f"Python {report.python}: 100,000 squares in {report.reference_ms:.2f} ms; decoder: {report.decoder}")
    print("every fact was read, none diverged" if report.passed else "FAILED: facts were not read, or diverged")


def _show_kernel(report: KernelReport) -> None:
    shape, sizes = report.layout, report.batch_sizes
    wrong = f", {report.positions_repeated} positions repeated" if report.positions_repeated else ""
    rows = [
        ("commands", f"{report.preloaded:,} preloaded, {report.decided:,} decided{wrong}"),
        ("events", f"{shape.events:,} × {shape.sections:,} sections × {shape.seats:,} seats"),
        ("pending holds", f"{report.options.pending_holds:,} made before"),
        ("measured", f"{report.measured:,} commands in {report.seconds:.2f} s"),
        ("throughput", f"{report.commands_per_s:,.0f} commands/s"),
        ("CPU of the process", f"{report.cpu_us_per_command:.1f} µs a command"),
        ("a core's worth", f"{report.commands_per_s_per_core:,.0f} commands/s"),
        ("batches", f"{sizes.batches:,}: p50 {sizes.p50:,}, p95 {sizes.p95:,}, largest {sizes.largest:,} commands"),
    ]
    for phase in report.phases:
        told = f"{phase.cpu_us_per_command:.1f} µs, {phase.commands_per_s:,.0f}/s over {phase.commands:,} commands"
        rows.append((f"phase {phase.phase}", told))
    emit_table(("kernel bench", ""), rows)
    print()
    emit_table(("fact", "count"), [(name, f"{count:,}") for name, count in report.facts.items()])
    print("every command was decided once" if report.passed else "FAILED: not every command was decided exactly once")
