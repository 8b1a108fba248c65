"""`circle size`: what a load needs, from measured costs."""

from pathlib import Path
from typing import Annotated

import typer

from connectors.errors import SettingsError
from ops.output import AsJson, emit_json, emit_table
from ops.sizing.costs import MEASURED, Limits, measured
from ops.sizing.sizing import Keeping, Load, OneEvent, Sizing, size


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("size")(command)


def command(
    requests: Annotated[float, typer.Option("--requests", help="Reservations asked for a second.")] = 1_000_000,
    events: Annotated[int, typer.Option("--events", help="Events on sale at once, equally busy.")] = 1_000,
    places: Annotated[int, typer.Option("--places", help="The places of each event.")] = 50_000,
    refused: Annotated[float, typer.Option("--refused", help="The share of requests that gets no place.")] = 0.5,
    edge: Annotated[
        bool, typer.Option("--edge", help="Requests for what is sold out share records (CIRCLE_EDGE_REFUSALS).")
    ] = False,
    cores: Annotated[int, typer.Option("--cores", help="The cores of one machine.")] = 16,
    busy: Annotated[float, typer.Option("--busy", help="The share of each limit that may be in use.")] = 0.6,
    file: Annotated[
        Path | None, typer.Option("--measured", help="Take the costs from a result of circle bench drop --json.")
    ] = None,
    json: AsJson = False,
) -> int:
    """Say what a load needs: processes, partitions, brokers, databases, and what breaks first."""
    _within("--requests", requests, requests > 0, "must be above 0", "1000000")
    _within("--events", events, events >= 1, "must be at least 1", "1000")
    _within("--places", places, places >= 1, "must be at least 1", "50000")
    _within("--refused", refused, 0 <= refused < 1, "must be from 0 to less than 1", "0.95")
    _within("--cores", cores, cores >= 1, "must be at least 1", "16")
    _within("--busy", busy, 0 < busy <= 1, "must be above 0 and at most 1", "0.6")
    load = Load(
        requests_per_s=requests, events=events, refused=refused, edge=edge, places=places, cores=cores, busy=busy
    )
    found = size(load, MEASURED if file is None else measured(file), Limits())
    if json:
        emit_json(found)
    else:
        _show(found)
    return 0


def _within(option: str, value: float, holds: bool, problem: str, example: str) -> None:
    if not holds:
        raise SettingsError(option, problem, got=f"{value:g}", example=example)


def _show(found: Sizing) -> None:
    load, one = found.load, found.one_event
    emit_table(
        ("part", "cores in use", "needs", "a unit is bounded by", "scales by"),
        [(p.name, f"{p.cores:,.1f}", f"{p.units:,} {p.unit}", p.bounded_by, p.scales_by) for p in found.parts],
        title=f"{load.requests_per_s:,.0f} requests/s over {load.events:,} events, {load.refused:.0%} refused",
    )
    emit_table(
        ("as a whole", ""),
        [
            ("machines", f"{found.machines:,} of {load.cores} cores, {load.busy:.0%} in use"),
            ("partitions", f"{found.partitions:,}; the busiest has {found.busiest_partition:.2f} times its share"),
            ("log", f"{found.log_mb_per_s:,.1f} MB/s; {found.log_tb_per_day:,.2f} TB a day with all copies"),
            ("rows", f"{found.rows_per_s:,} a second"),
            ("accepted", f"{found.accepted_per_s:,.0f} requests/s; {found.turned_away_per_s:,.0f} get 503"),
            (
                "one event",
                f"{one.asked_per_s:,.0f} requests/s; it grants at most {one.ceiling_per_s:,}: {_keeping(one)}",
            ),
            ("its sale", f"sold out after {one.sold_out_s:,.1f} s, then at most {one.refusals_per_s:,} refusals/s"),
            ("its state", f"{one.state_mb:,.1f} MB in its worker"),
            *(("then" if place else "breaks first", text) for place, text in enumerate(found.breaks_first)),
            ("costs", found.costs),
        ],
    )


def _keeping(one: OneEvent) -> str:
    return f"{one.keeping}, {one.times:,.1f} times" if one.keeping == Keeping.TOO_MUCH else str(one.keeping)
