"""`circle verify`, `circle explain`, `circle seats`, `circle replay …`: what the log is good for afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from connectors.kafka import StopFlag
from connectors.settings import Settings
from ops.cli.output import AsJson, emit_json
from ops.load.progress import Progress
from ops.replay import verify as verifying
from ops.replay.verify import PartitionRun, VerifyOptions, VerifyReport
from pipelines.replay.verify import Divergence

SHOWN_MAX = 20

EventOption = Annotated[str | None, typer.Option("--event", help="This event alone.")]
PartitionOption = Annotated[int | None, typer.Option("--partition", help="This partition alone.", min=0)]


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    event: EventOption = None,
    partition: PartitionOption = None,
    postgres: Annotated[bool, typer.Option(help="Compare the rows in PostgreSQL, too.")] = True,
    redis: Annotated[bool, typer.Option(help="Compare claims and counters in Redis, too.")] = True,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new facts until Ctrl-C.")] = False,
    json: AsJson = False,
) -> int:
    """Decide every command on the log again and compare with the facts, byte for byte; then with Postgres and Redis.

    Exit 1 when anything differs. Writes nothing.
    """
    settings = Settings.from_env()
    options = VerifyOptions(event_id=event, partition=partition, postgres=postgres, redis=redis)
    if follow:
        return _follow(settings, options, json=json)
    with Progress(quiet=json) as progress:
        report = verifying.verify(settings, options, progress)
    if json:
        emit_json({"ok": report.ok, "report": report})
    else:
        _show_verified(report)
    return 0 if report.ok else 1


def _show_verified(report: VerifyReport) -> None:
    for one in report.partitions:
        if one.through < 0 and not one.diverged:
            continue
        left = f", {one.undecided:,} commands not decided yet" if one.undecided else ""
        again = f", {one.repeated:,} told again alike" if one.repeated else ""
        print(
            f"verified through {one.partition}/{one.through}, digest {one.digest}: "
            f"{one.commands:,} commands, {one.facts:,} facts{again}{left}; "
            f"{one.postgres_events:,} events in Postgres, {one.redis_events:,} in Redis"
        )
        for text in one.not_compared[:SHOWN_MAX]:
            print(f"  not compared: {text}")
        _show_divergences(one.divergences, one.diverged)
    total = sum(one.diverged for one in report.partitions)
    verdict = "no divergence" if report.ok else f"DIVERGED: {total:,} divergences"
    print(f"{verdict} in {report.facts:,} facts ({report.cpu_us_per_fact} µs of CPU a fact, {report.seconds} s)")


def _show_divergences(divergences: list[Divergence], total: int) -> None:
    for one in divergences[:SHOWN_MAX]:
        print(f"  {one.text()}")
        if one.recorded is not None:
            print(f"    on the log    {one.recorded}")
        if one.decided is not None:
            print(f"    by the rules  {one.decided}")
    if total > SHOWN_MAX:
        print(f"  and {total - SHOWN_MAX:,} more (--json lists up to 1,000 a partition)")


def _follow(settings: Settings, options: VerifyOptions, *, json: bool) -> int:
    stop = StopFlag().install()
    metrics = verifying.metrics(settings)
    shown: dict[int, int] = {}

    def told(runs: list[PartitionRun]) -> None:
        metrics(runs)
        for run in runs:
            found = run.verifier
            news = found.divergences[shown.get(run.partition, 0) :]
            shown[run.partition] = len(found.divergences)
            for one in news:
                if json:
                    emit_json(one)
                else:
                    print(one.text(), flush=True)
        if not json:
            facts = sum(run.verifier.facts for run in runs)
            diverged = sum(run.verifier.diverged for run in runs)
            at = " ".join(f"{run.partition}/{run.verifier.through}" for run in runs if run.verifier.through >= 0)
            print(f"verified through {at or 'nothing yet'}: {facts:,} facts, {diverged:,} divergences", flush=True)

    ok = verifying.follow(settings, options, told=told, stop=lambda: stop.requested)
    return 0 if ok else 1
