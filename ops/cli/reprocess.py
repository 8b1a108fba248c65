"""`circle replay projections`, `shadow`, `redis`, `load`: run the dataflows' own code over the log again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectors.errors import SettingsError
from connectors.kafka import StopFlag
from ops.archive import playback as loads
from ops.archive.export import span
from ops.output import AsJson, DryRun, emit_json, emit_table
from ops.progress import ProgressBars
from ops.rebuild import projections as generations
from ops.rebuild import redis as showings
from ops.rebuild.rows import CALLED
from ops.run.discovery import operator_settings
from ops.shadow import shadow as shades
from ops.shadow.comparison import ShadowReport
from pipelines.watch.rebuilt_letters import end_rebuilt
from schemas.ids import EventId

SHOWN_MAX = 20


def add_to(replay: typer.Typer) -> None:
    """Add these commands to the group."""
    replay.command("projections")(projections)
    replay.command("shadow")(shadow)
    replay.command("redis")(redis)
    replay.command("load")(load)


def projections(
    promote: Annotated[
        bool, typer.Option("--promote", help="Swap the tables. The old tables stay in generation_previous.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Only events with facts from this offset of tickets.facts, or this time, on."),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start from the beginning, not where it stopped.")] = False,
    back: Annotated[
        bool,
        typer.Option("--back", help="Update the rows from before the last swap; make no new rows."),
    ] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Rebuild the rows from tickets.facts next to the live rows. Compare both, and swap them with --promote.

    Exit 1 when they differ, with or without a swap.
    """
    since = None if start is None else span(start, None)
    if back and (restart or dry_run or since is not None):
        raise SettingsError("--back", "goes on with the rows that are there: not with --from, --restart or --dry-run")
    settings = operator_settings()
    with ProgressBars(quiet=json) as progress:
        if back:
            report = generations.go_back(settings, progress, promote=promote)
        else:
            report = generations.rebuild(
                settings, progress, promote=promote, restart=restart, dry_run=dry_run, since=since
            )
    ended = end_rebuilt(settings) if report.promoted and not back else 0
    if json:
        emit_json({"ok": report.ok, "report": report, "letters": ended})
        return 0 if report.ok else 1
    rows = [
        (one.table, f"{one.live_rows:,}", f"{one.new_rows:,}", "same" if one.same else "DIFFERS")
        for one in report.tables
    ]
    emit_table(("table", "live rows", f"{CALLED[report.beside]} rows", "digests"), rows)
    for table in report.tables:
        for one in table.differences:
            print(f"{table.table} {one.key}, by the fact at {one.position}: {one.what}")
    if report.from_empty:
        print("there were no live rows: nothing to compare with")
    if report.made_anew is not None:
        print(f"{report.made_anew:,} events rebuilt; all other events keep their live rows")
    print(f"{report.facts:,} facts to {', '.join(report.positions.values()) or 'nowhere yet'}")
    print("promoted: the tables of before are in generation_previous" if report.promoted else "not promoted")
    if ended:
        print(f"{ended:,} dead letters have ended: their facts have rows now")
    return 0 if report.ok else 1


def shadow(
    group_: Annotated[str, typer.Option("--group", help="The shadow's name. Its facts go to a topic of that name.")],
    partition: Annotated[int | None, typer.Option("--partition", help="This partition alone.", min=0)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start from the beginning, not where it stopped.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", help="The largest number of commands of each partition in this run.", min=1)
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the shadow's topic at the end.")] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Run this version's reservations dataflow over the log's commands into a topic of its own, and compare the facts.

    Nothing live changes. Exit 1 when a decision differs.
    """
    settings, stop = operator_settings(), StopFlag().install()
    with ProgressBars(quiet=json) as progress:
        report = shades.shadow(
            settings, group_, progress, stop=stop, partition=partition, restart=restart, limit=limit, dry_run=dry_run
        )
    if remove and not dry_run:
        shades.remove(settings, group_)
    if json:
        emit_json({"ok": report.ok, "dry_run": dry_run, "report": report})
    elif dry_run:
        print(f"{report.commands:,} commands would be decided into {report.topic}")
    else:
        _show_shadow(report)
    return 0 if report.ok else 1


def _show_shadow(report: ShadowReport) -> None:
    rows = [
        ("commands decided by both", f"{report.commands:,}"),
        ("decided alike", f"{report.same:,}"),
        (f"  recorded under other rules than version {report.rules_version}", f"{report.under_other_rules:,}"),
        ("decided otherwise", f"{report.different:,}"),
        ("granted on the log only", f"{report.granted_only_recorded:,}"),
        ("granted in the shadow only", f"{report.granted_only_shadow:,}"),
    ]
    emit_table((report.topic, ""), rows)
    if report.changes:
        print()
        emit_table(("on the log → in the shadow", "commands"), [(what, f"{n:,}") for what, n in report.changes.items()])
    for one in report.differences[:SHOWN_MAX]:
        print(f"{one.position}, event {one.event_id}: {one.change}")
        print(f"  on the log     {one.recorded}\n  in the shadow  {one.shadow}")
    if report.stopped:
        print("stopped before the end; run the same command to continue")


def redis(
    event: Annotated[str | None, typer.Option("--event", help="This event alone.")] = None,
    partition: Annotated[int | None, typer.Option("--partition", help="This partition alone.", min=0)] = None,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Compare Redis with the log. The owners of the partitions rebuild what differs or is missing.

    Exit 1 when something still differs, or when an event has no owner. With --dry-run: exit 1 when something differs.
    Foreign locks stay as they are.
    """
    with ProgressBars(quiet=json) as progress:
        wanted = None if event is None else EventId(event)
        report = showings.rebuild(operator_settings(), progress, event_id=wanted, partition=partition, dry_run=dry_run)
    if json:
        emit_json({"ok": report.ok, "report": report})
        return 0 if report.ok else 1
    rows: list[tuple[object, ...]] = []
    for one in report.partitions:
        counts = (len(one.differed), one.missing, one.shown_again, len(one.differs_still))
        if one.events:
            rows.append((one.partition, one.through, one.events, *counts))
    emit_table(("partition", "through", "events", "differed", "missing", "shown again", "differ still"), rows)
    for one in report.partitions:
        for event_id in one.differed[:SHOWN_MAX]:
            print(f"partition {one.partition}: event {event_id} was shown otherwise than the log says")
        if one.not_shown:
            print(f"partition {one.partition}: no owner has installed {one.not_shown} events; its next owner will")
    return 0 if report.ok else 1


def load(
    to: Annotated[str, typer.Option("--to", help="The bootstrap servers of the other cluster.")],
    directory: Annotated[Path | None, typer.Argument(help="An export. Default: this cluster's own log.")] = None,
    speed: Annotated[
        float, typer.Option(help="1 is the speed of the recorded drop, 10 is ten times as fast.", min=0.01, max=10_000)
    ] = 1.0,
    new_ids: Annotated[
        bool, typer.Option("--new-ids", help="Use new event and reservation ids, so that you can play it again.")
    ] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Play a recorded drop against another cluster, as a load test. Ctrl-C ends the test with a report.

    Exit 1 when commands were not acknowledged.
    """
    stop = StopFlag().install()
    with ProgressBars(quiet=json) as progress:
        report = loads.play(
            operator_settings(), to, progress, speed=speed, stop=stop, directory=directory, new_ids=new_ids,
            dry_run=dry_run,
        )  # fmt: skip
    if json:
        emit_json({"ok": not report.unacknowledged, "dry_run": dry_run, "report": report})
        return 1 if report.unacknowledged else 0
    left_out = ", ".join(f"{n:,} {name}" for name, n in report.left_out.items()) or "none"
    rows: list[tuple[str, object]] = [
        ("commands on the log", f"{report.commands:,} in {report.recorded_s:,} s"),
        ("left to the other cluster", left_out),
        ("would be played" if dry_run else "played", f"{report.played:,}, {report.speed:g} times as fast"),
    ]
    if not dry_run:
        rows += [
            ("in", f"{report.seconds:,} s, {report.per_second:,} a second, at most {report.behind_s} s behind"),
            ("not acknowledged", f"{report.unacknowledged:,}"),
            ("decided", f"{report.decided:,}: 50 % in {report.latency.p50_ms} ms, 99 % in {report.latency.p99_ms} ms"),
            *((f"  {name}", f"{n:,}") for name, n in report.facts.items()),
        ]
    emit_table((report.to, ""), rows)
    return 1 if report.unacknowledged else 0
