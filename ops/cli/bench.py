"""`circle bench …`: figures."""

from typing import Annotated

import typer

from ops.bench import kernel as kernel_bench
from ops.bench.kernel import KernelOptions, KernelReport
from ops.cli.output import AsJson, emit_json, emit_table
from ops.load.progress import Progress

bench = typer.Typer(help="Throughput, latency and CPU, on a stack of its own.")

EXPLAINED = """circle bench measures on this machine, on a stack of its own (Ctrl-C ends it and leaves nothing behind):

  circle bench kernel   commands preloaded, one reservations process alone: commands a second, CPU a command
  circle bench drop     over HTTP at a stated rate, open loop: latency to the outcome, CPU a request by process

Both take --json; `circle bench kernel --help` lists the rest."""


def register(app: typer.Typer) -> None:
    app.add_typer(bench, name="bench")


@bench.callback(invoke_without_command=True)
def explain(context: typer.Context) -> None:
    """Throughput, latency and CPU, on a stack of its own."""
    if context.invoked_subcommand is None:
        print(EXPLAINED)


@bench.command()
def kernel(
    commands: Annotated[int, typer.Option(help="Reservations to decide.", min=1, max=10_000_000)] = 200_000,
    events: Annotated[int, typer.Option(help="Events they are for.", min=1, max=kernel_bench.EVENTS_MAX)] = 8,
    partitions: Annotated[int, typer.Option(help="Partitions of the topics.", min=1, max=1_024)] = 8,
    seats: Annotated[int, typer.Option(help="Seats of one section.", min=1, max=50_000)] = 1_000,
    pending_holds: Annotated[int, typer.Option(help="Open holds made before.", min=0, max=1_000_000)] = 0,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed makes the same commands.")] = 1,
    json: AsJson = False,
) -> int:
    """The reservations dataflow alone: commands are preloaded, then one process decides them all."""
    options = KernelOptions(
        commands=commands, events=events, partitions=partitions, seats=seats, pending_holds=pending_holds,
        broker=broker, seed=seed,
    )  # fmt: skip
    with Progress(quiet=json) as progress:
        report = kernel_bench.run(options, progress)
    if json:
        emit_json(report)
    else:
        _show_kernel(report)
    return 0 if report.passed else 1


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
