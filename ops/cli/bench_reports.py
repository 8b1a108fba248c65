"""The reports of `circle bench …` as tables."""

from collections.abc import Sequence

from ops.output import emit_json, emit_table
from ops.proof.bench.baselines.bench import BaselineReport, BaselinesReport, cpu_us
from ops.proof.bench.baselines.terms import DESCRIBED, Baseline
from ops.proof.bench.connections import ConnectionsReport
from ops.proof.bench.drop import DropReport, Step
from ops.proof.bench.greedy import GreedyReport
from ops.proof.bench.ingress import IngressReport
from ops.proof.bench.kernel import KernelReport
from ops.proof.bench.replay import ReplayReport
from ops.proof.bench.resume import ResumeReport
from ops.proof.bench.suite.figures import Figure
from ops.proof.bench.suite.measurement import Measurement
from ops.proof.bench.watching import CONSOLES, WATCHING
from schemas.ids import US_PER_S


def show_measurement(one: Measurement, json: bool) -> int:
    """A bench in rounds: its figures, goals and checks. Returns the exit code."""
    if json:
        emit_json(one)
        return 0 if one.passed else 1
    show_figures(one.name, one.figures)
    for goal in one.goals:
        print(f"{'goal met' if goal.holds else 'goal not met'}: {goal.name} ({goal.detail})")
    for check in one.checks:
        print(f"{'holds' if check.holds else 'FAILED'}: {check.name}" + (f" ({check.detail})" if check.detail else ""))
    return 0 if one.passed else 1


def show_figures(name: str, figures: Sequence[Figure]) -> None:
    """The figures of a bench with the value of each round."""
    rows = [
        (
            figure.name,
            f"{figure.median:,g}",
            f"{figure.spread:.0%}",
            ", ".join(f"{value:,g}" for value in figure.values),
            figure.unit,
        )
        for figure in figures
    ]
    emit_table((f"{name} bench", "median", "spread", "rounds", "unit"), rows)


def show_baselines(report: BaselinesReport) -> None:
    """Each step of the last round, the ratios, and the figures of all rounds."""
    last = report.rounds[-1]
    for step in last.platform.steps:
        show_step(step, "the platform, ")
    for one in last.baselines:
        described = DESCRIBED[one.baseline]
        print(f"{one.baseline}: {described.does}. It has no {described.lacks}.")
        for step in one.steps:
            show_step(step, f"{one.baseline}, ")
        _show_ratios(last.platform, one)
    if len(report.rounds) > 1:
        show_figures(Baseline.ROW_LOCKS, report.figures)
    print("nothing was lost or sold twice" if report.passed else "FAILED: something is missing or sold twice")


def _show_ratios(platform: DropReport, one: BaselineReport) -> None:
    ours, theirs, ratios = platform.steps[0], one.steps[0], one.ratios
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
        rows.append(("sustained rate", platform.limit_rate or 0, one.limit_rate or 0, ratios.limit_rate))
    columns = (f"at {ours.rate:,.0f}/s", "the platform", one.baseline.value, "times as well")
    emit_table(columns, [(name, f"{a:,.1f}", f"{b:,.1f}", f"{ratio:.2f}") for name, a, b, ratio in rows])
    print()


def show_step(step: Step, whose: str = "") -> None:
    """Print a step: latency, throughput, and the CPU of each process."""
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


def show_verdict(report: DropReport) -> None:
    """Print what a drop has shown: a companion's cost, the limit, and whether anything was lost or sold twice."""
    beside = report.beside
    if beside is not None:
        wrong = f", {beside.diverged} of them diverged" if beside.diverged else ""
        alone, other = (
            ", ".join(f"{p99:,.0f}" for p99 in p99s) for p99s in (beside.alone_p99_ms, beside.beside_p99_ms)
        )
        companion = report.options.beside
        print(f"p99 alone {alone} ms, with {companion} {other} ms: {report.p99_ratio} times, the median of the rounds")
        alone, other = (", ".join(f"{one:,.0f}" for one in cpu) for cpu in (beside.alone_cpu_us, beside.beside_cpu_us))
        print(f"our CPU alone {alone} µs a request, with {companion} {other} µs: {beside.cpu_ratio} times")
        if companion == WATCHING:
            print(f"each process's metrics were read {beside.runs} times; {CONSOLES} consoles were open")
        else:
            print(f"{companion} (niceness {beside.niceness}) ended {beside.runs} times{wrong}")
    if report.limit_rate is not None:
        print(
            f"limit: {report.limit_rate:,.0f} requests/s sustained" if report.limit_rate else "limit: below the start"
        )
    print(
        "nothing was lost or sold twice"
        if report.passed
        else "FAILED: something acknowledged is missing or was sold twice, or nothing was answered"
    )


def show_replay(report: ReplayReport) -> None:
    """Print a replay: how fast facts were read and decided again, and whether all agreed."""
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


def show_kernel(report: KernelReport) -> None:
    """Print how fast the core has decided commands, and whether each was decided once."""
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
        figures = f"{phase.cpu_us_per_command:.1f} µs, {phase.commands_per_s:,.0f}/s over {phase.commands:,} commands"
        rows.append((f"phase {phase.phase}", figures))
    emit_table(("kernel bench", ""), rows)
    print()
    emit_table(("fact", "count"), [(name, f"{count:,}") for name, count in report.facts.items()])
    print("every command was decided once" if report.passed else "FAILED: not every command was decided exactly once")


def show_resume(report: ResumeReport) -> None:
    """Print how fast events were taken up after a restart, and whether each replied."""
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
    print("every chosen event replied" if report.passed else "FAILED: not every event replied")


def show_greedy(report: GreedyReport) -> None:
    """Print what a greedy client costs the others, by its kind."""
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
    emit_table(("greedy", "p99 alone, ms", "at once, ms", "ratio", "door refused", "what it got"), rows)


def show_connections(report: ConnectionsReport) -> None:
    """Print how many connections were held, and whether each has its answer."""
    options, latency = report.options, report.latency
    sent = f"{options.connections:,} at {options.rate:,.0f}/s from {options.addresses} addresses"
    rows = [
        ("connections", sent + (", kept open" if options.keep else "")),
        ("opened", f"in {report.opened_s:.2f} s; the last answer after {report.seconds:.2f} s"),
        *((f"status {status}", f"{count:,}") for status, count in report.statuses.items()),
        *((f"no answer: {why}", f"{count:,}") for why, count in report.unanswered.items()),
        (
            "latency",
            f"p50 {latency.p50_ms} ms, p95 {latency.p95_ms} ms, p99 {latency.p99_ms} ms, max {latency.max_ms} ms",
        ),
    ]
    emit_table(("connections bench", ""), rows)
    print("every connection has an answer" if report.passed else "FAILED: no answer, or an internal error")


def show_ingress(report: IngressReport) -> None:
    """The rounds of `circle bench ingress`, and whether the log has each acknowledged request."""
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
