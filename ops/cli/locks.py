"""`circle locks …`: seats that a box office or a partner sells."""

import asyncio
from contextlib import closing
from typing import Annotated

import typer

from ops.operate.locks import SECONDS_MAX, ListedLock, check_owner, listed, places_of
from ops.output import AsJson, DryRun, emit_json, emit_table
from ops.run.discovery import operator_settings
from pipelines.reservations.seat_locks import ForeignLocks
from schemas.ids import EventId, TicketTypeId

SECONDS_DEFAULT = 3_600
locks = typer.Typer(no_args_is_help=True, help="Seats that a box office or a partner keeps for itself.")

Event = Annotated[str, typer.Argument(help="The event's id.")]
Seats = Annotated[list[str], typer.Argument(help="Seats: A-1, or A-1..12 for a part of a row.")]
Owner = Annotated[str, typer.Option(help="The owner's name. Only this owner can free the seats.")]
TicketType = Annotated[str | None, typer.Option(help="The ticket type's id; required when the event has several.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(locks, name="locks")


@locks.command()
def take(
    event: Event,
    seats: Seats,
    owner: Owner,
    ticket_type: TicketType = None,
    seconds: Annotated[
        int, typer.Option(help="When the lock ends, unless its owner frees it before.", min=1, max=SECONDS_MAX)
    ] = SECONDS_DEFAULT,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Lock seats for an owner: all of them, or none. Exit 1 when a buyer or another owner has a seat."""
    settings, owner, event_id = operator_settings(), check_owner(owner), EventId(event.lower())
    places = asyncio.run(places_of(settings, event_id, _type_of(ticket_type), seats))
    taken = 0
    with closing(ForeignLocks(settings.redis_url)) as foreign:
        if dry_run:
            foreign.refuse_taken(event_id, places, owner=owner)
        else:
            taken = foreign.take(event_id, places, owner=owner, seconds=seconds)
    if json:
        emit_json({"dry_run": dry_run, "event_id": event_id, "owner": owner, "seconds": seconds, "places": places})
    else:
        result = f"{len(places)} seats can be locked" if dry_run else f"{taken} seats are locked"
        print(f"{result} for {owner}, {seconds} s")
    return 0


@locks.command()
def free(
    event: Event,
    owner: Owner,
    seats: Annotated[list[str] | None, typer.Argument(help="Seats. With --all, name none.")] = None,
    ticket_type: TicketType = None,
    everything: Annotated[bool, typer.Option("--all", help="Every seat that the owner has of this event.")] = False,
    json: AsJson = False,
    dry_run: DryRun = False,
) -> int:
    """Free an owner's seats. Other owners keep theirs. Exit 1 when the owner had none of the seats."""
    settings, owner, event_id = operator_settings(), check_owner(owner), EventId(event.lower())
    if bool(seats) == everything:
        raise typer.BadParameter("name seats, or --all")
    own = {f"{one.ticket_type_id}/{one.seat}" for one in listed(settings, event_id) if one.owner == owner}
    places = (
        sorted(own) if everything else asyncio.run(places_of(settings, event_id, _type_of(ticket_type), seats or ()))
    )
    freed = len(own & set(places))
    if places and not dry_run:
        with closing(ForeignLocks(settings.redis_url)) as foreign:
            freed = foreign.free(event_id, places, owner=owner)
    if json:
        emit_json({"dry_run": dry_run, "event_id": event_id, "owner": owner, "freed": freed})
    else:
        print(f"{freed} seats {'would be' if dry_run else 'are'} freed")
    return 0 if freed else 1


@locks.command("list")
def list_locks(event: Event, json: AsJson = False) -> int:
    """List an event's foreign locks."""
    found: list[ListedLock] = listed(operator_settings(), EventId(event.lower()))
    if json:
        emit_json(found)
    elif not found:
        print("no foreign locks")
    else:
        rows = [(one.seat, one.owner, _until(one), one.ticket_type_id) for one in found]
        emit_table(("seat", "owner", "until", "ticket type"), rows)
    return 0


def _until(lock: ListedLock) -> str:
    return lock.expires_at.isoformat(timespec="seconds") + (" (ended)" if lock.ended else "")


def _type_of(text: str | None) -> TicketTypeId | None:
    return None if text is None else TicketTypeId(text)
