"""`circle bench row-locks`: the same drop on the platform and on other ways to sell."""

from typing import Annotated

import typer

from connectors.errors import SettingsError
from ops.cli.bench_reports import show_baselines
from ops.output import AsJson, emit_json
from ops.progress import ProgressBars
from ops.proof.bench.baselines import bench as baselines
from ops.proof.bench.baselines.bench import BaselinesOptions
from ops.proof.bench.baselines.terms import Baseline
from ops.proof.bench.drop import DropOptions
from ops.proof.bench.warm_up import S_MAX


def add_to(bench: typer.Typer) -> None:
    """The command."""
    bench.command(Baseline.ROW_LOCKS.value)(row_locks)


def row_locks(
    baseline: Annotated[
        str, typer.Option(help=f"What to compare with, separated by commas: {', '.join(Baseline)}.")
    ] = Baseline.ROW_LOCKS.value,
    rate: Annotated[
        float, typer.Option(help="Requests a second; the first rate of a ramp.", min=1, max=100_000)
    ] = 1_000,
    seconds: Annotated[float, typer.Option(help="How long each rate lasts.", min=0.5, max=600)] = 10,
    ramp: Annotated[bool, typer.Option("--ramp", help="Raise the rate until a side does not keep up.")] = False,
    rounds: Annotated[int, typer.Option(help="Rounds of each side, in turns.", min=1, max=20)] = 1,
    durable: Annotated[
        bool, typer.Option("--durable", help="PostgreSQL of each side answers when the disk has the transaction.")
    ] = False,
    events: Annotated[int, typer.Option(help="Events on sale at once.", min=1, max=1_000)] = 8,
    buyers: Annotated[int, typer.Option(help="Accounts that reserve.", min=1, max=1_000_000)] = 2_000,
    warm_up_s: Annotated[float, typer.Option(help="The longest warm-up, in seconds.", min=1, max=600)] = S_MAX,
    broker: Annotated[str, typer.Option(help="The platform's: embedded, apache or apache-3.")] = "embedded",
    seed: Annotated[int, typer.Option(help="The same seed sends the same requests.")] = 1,
    json: AsJson = False,
) -> int:
    """Measure the same drop on the platform and on `SELECT … FOR UPDATE` or other baselines, and give the ratios."""
    names = [name.strip() for name in baseline.split(",")]
    if not set(names) <= set(Baseline):
        raise SettingsError("--baseline", f"some of {', '.join(Baseline)}", got=baseline, example="row-locks")
    drop = DropOptions(
        rate=rate, seconds=seconds, ramp=ramp, events=events, buyers=buyers, warm_up_s=warm_up_s, seed=seed
    )
    options = BaselinesOptions(
        drop=drop, baselines=[Baseline(name) for name in names], rounds=rounds, broker=broker, durable=durable
    )
    with ProgressBars(quiet=json) as progress:
        report = baselines.run(options, progress)
    if json:
        emit_json(report)
    else:
        show_baselines(report)
    return 0 if report.passed else 1
