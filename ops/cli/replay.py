"""`circle verify`, `circle explain`, `circle seats`, `circle replay …`: questions that the log can answer later."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from connectors.errors import CircleError
from connectors.kafka import StopFlag
from connectors.settings import Settings
from ops.archive import export as archives
from ops.archive import imports as importing
from ops.cli import reprocess
from ops.explain import event_past as past
from ops.output import AsJson, DryRun, emit_json, emit_table
from ops.progress import ProgressBars
from ops.run.discovery import operator_settings
from ops.verify import follow_report
from ops.verify import receipt as receipts
from ops.verify import verify as verifying
from ops.verify.verify import PartitionRun, VerifyOptions, VerifyReport
from ops.what_if import what_if as shadows
from ops.what_if.worlds import RULES_THAT_CAN_CHANGE
from pipelines.history.explain import Explanation, FreeThen, Later
from pipelines.history.seat_map import LEGEND, picture, seat_map
from pipelines.history.verification import Divergence
from pipelines.monitoring.board import Board
from schemas.ids import EventId, ReservationId
from schemas.times import rfc3339

SHOWN_MAX = 20
NAMES_SHOWN_MAX = 8

EventOption = Annotated[str | None, typer.Option("--event", help="This event alone.")]
PartitionOption = Annotated[int | None, typer.Option("--partition", help="This partition alone.", min=0)]


replay = typer.Typer(
    no_args_is_help=True, help="Process the log again, away from the live flow: projections, what-if, export, import."
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    reprocess.add_to(replay)
    app.add_typer(replay, name="replay")
    app.command()(verify)
    app.command()(explain)
    app.command()(seats)


def verify(
    event: EventOption = None,
    partition: PartitionOption = None,
    postgres: Annotated[bool, typer.Option(help="Also compare the rows in PostgreSQL.")] = True,
    redis: Annotated[bool, typer.Option(help="Also compare claims and counters in Redis.")] = True,
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new facts until Ctrl-C.")] = False,
    receipt: Annotated[
        str | None, typer.Option("--receipt", help="Only compare this receipt (or @FILE) with the log.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Public keys for --receipt: the body of /.well-known/jwks.json.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Decide every command of the log again. Compare the facts byte for byte, then PostgreSQL and Redis.

    Exit 1 when something differs. Writes nothing.
    """
    settings = operator_settings()
    if receipt is not None:
        return _show_receipt(receipts.check(settings, receipt, keys), json=json)
    options = VerifyOptions(event_id=_event_of(event), partition=partition, postgres=postgres, redis=redis)
    if follow:
        return _follow(settings, options, json=json)
    with ProgressBars(quiet=json) as progress:
        report = verifying.verify(settings, options, progress)
    if json:
        emit_json({"ok": report.ok, "report": report})
    else:
        _show_verified(report)
    return 0 if report.ok else 1


def explain(
    reservation: Annotated[str, typer.Argument(help="The reservation.", metavar="RESERVATION_ID")],
    event: Annotated[
        str | None, typer.Option("--event", help="The reservation's event. With it, no search is needed.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Explain a reservation's result: its position, the rule, what was free, and the positions that came before it."""
    with ProgressBars(quiet=json) as progress:
        explanation = past.explain(operator_settings(), ReservationId(reservation), _event_of(event), progress)
    if json:
        emit_json(explanation)
    else:
        _show_explanation(explanation)
    return 0


def seats(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    at: Annotated[
        str | None, typer.Option("--at", help="A time (RFC 3339) or a position (3-1200). Default: now.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Show the seat map as it was at a time or a position of the log."""
    with ProgressBars(quiet=json) as progress:
        then = past.past_of(operator_settings(), EventId(event), at, progress)
    view = seat_map(then.state, then.last)
    if json:
        emit_json(view)
        return 0
    when = rfc3339(view.log_time) if view.position else "before its first fact"
    print(f"{view.title or view.event_id} ({view.status or 'no such event yet'}) at {view.position or '-'}, {when}")
    counters = [(one.name, one.kind, one.total, one.available, one.held, one.sold) for one in view.sections]
    emit_table(("ticket type", "kind", "total", "available", "held", "sold"), counters)
    for section in view.sections:
        if section.rows:
            print(f"\n{section.name}   {LEGEND}\n{picture(section)}")
    return 0


@replay.callback()
def group() -> None:
    """Process the log again, away from the live flow: projections, what-if, export, import."""


@replay.command("what-if")
def what_if(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help=f"name=value, may be repeated: {', '.join(RULES_THAT_CAN_CHANGE)}."),
    ] = None,
    exclude_users: Annotated[
        Path | None, typer.Option(help="A file of user ids, one a line. These users do not take part.")
    ] = None,
    newcomers_pay: Annotated[
        float | None,
        typer.Option(help="The share of the new winners who pay. Default: as on the log.", min=0, max=1),
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="The file for a picture of both seat maps.")] = None,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Decide a drop again under other rules, in memory: who would have won or lost, and what would have been sold."""
    rules = shadows.other_rules(set_ or [], exclude_users)
    with ProgressBars(quiet=json) as progress:
        report, as_it_was, other = shadows.what_if(
            operator_settings(), EventId(event), rules, progress, newcomers_pay=newcomers_pay
        )
    if svg is not None and not dry_run:
        write_text(svg, shadows.picture(report, as_it_was, other))
    if json:
        emit_json(report)
        return 0
    emit_table((report.title, "as it was", "what if", "difference"), shadows.figures(report))
    lost, won = report.difference.would_have_lost, report.difference.would_have_won
    print(f"\n{won:,} buyers without places would have some, {lost:,} buyers with places would have none")
    for word, names in (("winners", report.difference.winners), ("losers", report.difference.losers)):
        if names:
            print(f"{word}: {', '.join(names[:NAMES_SHOWN_MAX])}{' …' if len(names) > NAMES_SHOWN_MAX else ''}")
    print("assumed: " + "; ".join(report.assumptions))
    if svg is not None:
        print(f"picture {'would be written to' if dry_run else 'in'} {svg}")
    return 0


@replay.command("export")
def export(
    directory: Annotated[Path, typer.Argument(help="An empty directory. It is made when it does not exist.")],
    topic: Annotated[list[str] | None, typer.Option("--topic", help="Only this topic. May be repeated.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="The first offset, or a time.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last offset, or a time.")] = None,
    pseudonymise: Annotated[
        bool,
        typer.Option("--pseudonymise", help="Replace user ids and payment tokens. The export has no way back to them."),
    ] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Write topics to Avro container files, one for each partition, with a manifest."""
    with ProgressBars(quiet=json) as progress:
        manifest = archives.export(
            operator_settings(),
            directory,
            progress,
            topics=topic or list(archives.TOPICS),
            within=archives.span(start, end),
            pseudonymise=pseudonymise,
            dry_run=dry_run,
        )
    _show_manifest(manifest, directory, "would be written to" if dry_run else "written to", json=json)
    return 0


@replay.command("import")
def import_(
    directory: Annotated[Path, typer.Argument(help="A directory that `circle replay export` wrote.")],
    other_ids: Annotated[
        bool,
        typer.Option("--other-ids", help="Accept that the schemas have other ids here. Receipts of before fail then."),
    ] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Load an export into a new cluster with stopped dataflows. No payment and no notification is made again."""
    with ProgressBars(quiet=json) as progress:
        manifest = importing.load(operator_settings(), directory, progress, other_ids=other_ids, dry_run=dry_run)
    _show_manifest(manifest, directory, "could be loaded from" if dry_run else "loaded from", json=json)
    return 0


def _show_manifest(manifest: archives.Manifest, directory: Path, done: str, *, json: bool) -> None:
    if json:
        emit_json(manifest)
        return
    rows = [(one.topic, one.partition, f"{one.records:,}", one.first, one.last) for one in manifest.files]
    emit_table(("topic", "partition", "records", "first", "last"), rows)
    names = ", users under other names" if manifest.pseudonymised else ""
    print(f"{manifest.records:,} records {done} {directory}{names}")


def write_text(path: Path, text: str) -> None:
    """Write a report's file. Raises CircleError when the file cannot be written."""
    try:
        path.write_text(text)
    except OSError as error:
        raise CircleError(f"{path} cannot be written: {error.strerror}") from None


def _show_explanation(found: Explanation) -> None:
    for one in found.decisions:
        print(f"reservation {found.reservation_id} of event {found.event_id}")
        rows: list[tuple[str, object]] = [
            ("position", f"{one.position} at {one.time}, rules version {one.rules_version}"),
            ("outcome", f"{one.outcome}{': ' + one.reason if one.reason else ''}"),
            ("rule", one.rule),
            ("asked for", ", ".join(one.seats_asked) or f"{one.quantity} of {one.ticket_type_id}"),
        ]
        if one.detail:
            rows.append(("detail", one.detail))
        if one.seats_granted:
            rows.append(("granted", ", ".join(one.seats_granted)))
        if one.free_then is not None:
            then = one.free_then
            rows.append(("free then", _free(then)))
        rows += [("before it", f"{place.place}: {place.status}, {place.position or 'outside'}") for place in one.had_by]
        if one.had_by_more:
            rows.append(("", f"and {one.had_by_more:,} earlier ones"))
        if one.own_positions:
            rows.append(("the buyer's own", ", ".join(one.own_positions)))
        emit_table(("", ""), rows)
    for each in found.later:
        print(
            f"\n{each.position} at {each.time}: {each.what}{', ' + each.reason if each.reason else ''}\n  {_why(each)}"
        )


def _why(one: Later) -> str:
    return one.rule if one.free_then is None else f"{one.rule} (free then: {_free(one.free_then)})"


def _free(then: FreeThen) -> str:
    taken = [("held", then.held), ("sold", then.sold), ("held back", then.blocked), ("waiting", then.waiting)]
    counts = ", ".join(f"{count:,} {name}" for name, count in taken if count or name in ("held", "sold"))
    return f"{then.available:,} of {then.total:,} ({counts}), at most {then.longest_together:,} together"


def _show_receipt(found: receipts.ReceiptResult, *, json: bool) -> int:
    if json:
        emit_json(found)
    else:
        print(f"the receipt {'holds' if found.holds else 'does NOT hold'}: {found.why}")
        if found.command:
            about = f" for reservation {found.reservation_id}" if found.reservation_id else ""
            print(f"{found.partition}/{found.offset} at {found.time}: {found.command}{about}, event {found.event_id}")
    return 0 if found.holds else 1


def _show_verified(report: VerifyReport) -> None:
    for one in report.partitions:
        if one.through < 0 and not one.diverged:
            continue
        left = f", {one.undecided:,} commands not decided yet" if one.undecided else ""
        again = f", {one.repeated:,} repeated with the same bytes" if one.repeated else ""
        again += f", {one.failed:,} commands on which the rules had failed" if one.failed else ""
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
    stop, board = StopFlag().install(), Board(settings)
    metrics, show = follow_report.metrics(settings), follow_report.board_report(board)
    shown: dict[int, int] = {}

    def told(runs: list[PartitionRun]) -> None:
        metrics(runs)
        show(runs)
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

    with closing(board):
        ok = verifying.follow(settings, options, told=told, stop=lambda: stop.requested)
    return 0 if ok else 1


def _event_of(text: str | None) -> EventId | None:
    return None if text is None else EventId(text)
