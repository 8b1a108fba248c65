"""`circle groups`, `circle follow`: who reads the topics and how far, and what became of one request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from connectors.errors import CircleError
from connectors.settings import Settings
from ops.output import AsJson, emit_json, emit_table
from ops.run.discovery import operator_settings
from ops.verify import receipt as receipts
from pipelines.watch import journey
from pipelines.watch.consumer_groups import GroupView, groups
from pipelines.watch.journey import Journey, NotFollowed
from schemas.ids import EventId, Position, ReservationId, UserId, reservation_id


class BadRequestName(CircleError):
    """Wrong usage: a request is named by a reservation, a position, a key with its user, or a receipt."""

    exit_code = 2


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("groups")(show_groups)
    app.command("follow")(follow)


def show_groups(
    name: Annotated[
        str | None, typer.Argument(help="One flow or consumer group, with its members and partitions.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Show who reads the topics: state, members, and the lag in records and seconds of each flow and other group."""
    views = groups(operator_settings(), name)
    if json:
        emit_json(views)
        return 0
    columns = ("reader", "topic", "group", "state", "members", "lag", "seconds")
    emit_table(columns, [_row(view) for view in views])
    for view in views:
        if view.unknown:
            print(f"{view.name}: positions unknown: {view.unknown}")
        if name is not None:
            _show_whole(view)
    return 0


def _row(view: GroupView) -> tuple[object, ...]:
    lag = "?" if view.unknown else view.lag_records
    return (view.name, view.topic, view.group, view.state.lower(), len(view.members), lag, view.lag_seconds)


def _show_whole(view: GroupView) -> None:
    print(f"\n{view.name}: coordinator {view.coordinator or 'unknown'}, assignor {view.assignor or 'unknown'}")
    for member in view.members:
        print(f"  {member.client_id} on {member.host}: partitions {', '.join(map(str, member.partitions)) or 'none'}")
    rows = [
        (one.partition, "-" if one.next_offset is None else one.next_offset, one.end, one.lag_records, one.lag_seconds,
         one.member)
        for one in view.partitions
    ]  # fmt: skip
    emit_table(("partition", "next", "end", "lag", "seconds", "member"), rows)


def follow(
    request: Annotated[str | None, typer.Argument(help="A reservation's id, or a command's position (3-1200).")] = None,
    event: Annotated[
        str | None, typer.Option("--event", help="The reservation's event. Helps where the rows do not know it.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="The Idempotency-Key of a reservation, with --user.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The id of the user who sent the key.")] = None,
    receipt: Annotated[str | None, typer.Option("--receipt", help="A receipt, or @FILE.")] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Public keys for --receipt: the body of /.well-known/jwks.json.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Follow one request: HTTP, command, decision with its reason, facts, rows, messages, mail, webhooks, with times.

    Exit 1 when neither the rows nor the log know it.
    """
    settings = operator_settings()
    found = _followed(settings, request=request, event=event, key=key, user=user, receipt=receipt, keys=keys)
    if json:
        emit_json(found)
        return 0
    _show_journey(found)
    return 0


def _followed(
    settings: Settings,
    *,
    request: str | None,
    event: str | None,
    key: str | None,
    user: str | None,
    receipt: str | None,
    keys: Path | None,
) -> Journey:
    """Raises BadRequestName, NotFollowed."""
    if [request, key, receipt].count(None) != 2 or (key is None) != (user is None):
        raise BadRequestName("name the request once: a reservation or position, --key with --user, or --receipt")
    event_id = None if event is None else EventId(event)
    if receipt is not None:
        result = receipts.check(settings, receipt, keys)
        if not result.holds:
            raise NotFollowed(f"the receipt does not hold: {result.why}")
        return journey.follow_command(settings, Position(result.partition, result.offset))
    if key is not None and user is not None:
        return journey.follow(settings, reservation_id(UserId(_uuid(user)), key), event_id)
    assert request is not None
    try:
        position = Position.parse(request)
    except ValueError:
        return journey.follow(settings, ReservationId(request), event_id)
    return journey.follow_command(settings, position)


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise BadRequestName(f"--user {text}: no user's id") from None


def _show_journey(found: Journey) -> None:
    of = f"reservation {found.reservation_id}" if found.reservation_id else "a command of no reservation"
    print(f"{of} of event {found.event_id}, user {found.user_id or '-'}: {found.status or 'no row'}")
    columns = ("stage", "time", "what", "position", "outcome", "detail")
    rows = [(one.stage, one.time or "-", one.what, one.position, one.outcome, one.detail) for one in found.steps]
    emit_table(columns, rows)
    for waiting in found.waits_for:
        print(f"waits for {waiting}")
    if found.traces:
        print(f"traces: {', '.join(found.traces)}")
    if found.stopped:
        print(f"the reading stopped: {found.stopped}; later steps may be missing")
