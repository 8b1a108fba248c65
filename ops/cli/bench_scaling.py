"""`circle bench scaling`: the cost laws."""

from typing import Annotated

import typer

from connectors.errors import SettingsError
from ops.cli.bench_reports import show_measurement
from ops.output import AsJson, emit_json
from ops.progress import ProgressBars
from ops.proof.bench.scaling import bench as scaling_bench
from ops.proof.bench.scaling.bench import COMMANDS_MIN, ScalingOptions
from ops.proof.bench.scaling.laws import Law


def add_to(bench: typer.Typer) -> None:
    """The command."""
    bench.command("scaling")(scaling)


def scaling(
    laws: Annotated[str, typer.Option(help="What grows, separated by commas.")] = ",".join(Law),
    commands: Annotated[
        int, typer.Option(help="The measured commands of each run.", min=COMMANDS_MIN, max=1_000_000)
    ] = 20_000,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller sizes: a look, not a result.")] = False,
    rounds: Annotated[int, typer.Option(help="Rounds; the sizes of a law take turns in each.", min=1, max=20)] = 3,
    broker: Annotated[str, typer.Option(help="embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed makes the same commands.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the CPU of a command as sections, events, pending holds and the log grow. A verdict for each law."""
    names = [name.strip() for name in laws.split(",")]
    if not set(names) <= set(Law):
        raise SettingsError("--laws", f"some of {', '.join(Law)}", got=laws, example="seats,events")
    options = ScalingOptions(
        laws=[Law(name) for name in names], commands=commands, rounds=rounds, quick=quick, broker=broker, seed=seed
    )
    with ProgressBars(quiet=json) as progress:
        report = scaling_bench.run(options, progress)
    if json:
        emit_json(report)
        return 0 if report.passed else 1
    return show_measurement(scaling_bench.measurement(report), json)
