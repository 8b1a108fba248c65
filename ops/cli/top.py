"""`circle top`, `circle alerts`: the platform at a glance, and what its monitoring warns of."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.output import PIPE_WIDTH, AsJson, emit_json, emit_table
from ops.run.discovery import operator_settings
from pipelines.monitoring.alert_rules import Severity
from pipelines.watch.alerts import AlertView, alerts
from pipelines.watch.overview import Observer, Overview

EVERY_S, EVERY_S_MIN = 2.0, 0.5
ALERTS_SHOWN, ALERTS_MAX = 20, 1_000
COLOURS = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("top")(top)
    app.command("alerts")(show_alerts)


def top(
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks.", min=EVERY_S_MIN)] = EVERY_S,
    looks: Annotated[
        int | None, typer.Option("--looks", help="How many. Default: until Ctrl-C; one without a terminal.", min=1)
    ] = None,
    json: AsJson = False,
) -> int:
    """Show the platform live: rates, lags, sales, dead letters and alerts. With --json, each look is one line."""
    observer, console = Observer(operator_settings()), Console()
    if not console.is_terminal:  # a file or a pipe has no width
        console.width = PIPE_WIDTH
    left = looks if looks is not None or json or console.is_terminal else 1
    if json:
        while True:
            sys.stdout.write(msgspec.json.encode(observer.look()).decode() + "\n")
            sys.stdout.flush()
            if (left := _less(left)) == 0:
                return 0
            time.sleep(every)
    first = picture(observer.look())
    if not console.is_terminal:
        console.print(first)
        while (left := _less(left)) != 0:
            time.sleep(every)
            console.print(picture(observer.look()))
        return 0
    with Live(first, console=console, screen=True, auto_refresh=False) as live:
        live.refresh()
        while (left := _less(left)) != 0:
            time.sleep(every)
            live.update(picture(observer.look()), refresh=True)
    return 0


def show_alerts(
    firing: Annotated[bool, typer.Option("--firing", help="Only those that fire now.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="How many, the latest first.", min=1, max=ALERTS_MAX)] = (
        ALERTS_SHOWN
    ),
    json: AsJson = False,
) -> int:
    """Show the history of alerts, as monitoring keeps it. Exit 1 when one fires."""
    found = alerts(operator_settings(), firing=firing, limit=limit)
    if json:
        emit_json(found)
    elif not found:
        print("no alert fires" if firing else "no alert has fired")
    else:
        columns = ("alert", "about", "severity", "status", "value", "fired", "resolved", "summary", "runbook")
        emit_table(columns, [_alert_row(one) for one in found])
    return 1 if any(not one.resolved_at for one in found) else 0


def picture(seen: Overview) -> RenderableType:
    """One look as tables."""
    parts: list[RenderableType] = [Text(f"General Circle, {seen.at}", style="bold")]
    flows = _table("reader", "topic", "state", "members", "lag", "seconds", "stalled")
    for flow in seen.flows:
        lag = "?" if flow.unknown else f"{flow.lag_records:,}"
        style = "bold red" if flow.stalled_s else "yellow" if flow.unknown or flow.lag_records else ""
        stalled = f"{flow.stalled_s:g} s, since {flow.stalled_since}" if flow.stalled_s else "-"
        cells = (flow.name, flow.topic, flow.state.lower(), str(flow.members), lag, f"{flow.lag_seconds:g}", stalled)
        flows.add_row(*cells, style=style)
    topics = _table("topic", "records", "per second")
    for topic in seen.topics:
        topics.add_row(topic.topic, f"{topic.records:,}", "-" if topic.per_s is None else f"{topic.per_s:,g}")
    parts += [topics, flows]
    report = seen.monitored
    if report is None:
        parts.append(Text("monitoring reports nothing: it does not run, or Redis is away", style="yellow"))
    else:
        letters = report["dead_letters"].items()
        waiting = {topic: of["put_aside"] - of["redriven"] for topic, of in letters if of["put_aside"] > of["redriven"]}
        for name, of in (("places", report["places"]), ("refused", report["refused"]), ("dead letters", waiting)):
            parts.append(Text(f"{name}: " + (", ".join(f"{label} {of[label]:,}" for label in of) or "none")))
        parts.append(Text(f"last fact: {report['last_fact_at'] or 'none'}, {report['facts']:,} facts counted"))
    parts += _alarms(seen.alerts)
    return Group(*parts)


def _alarms(firing: list[AlertView] | None) -> list[RenderableType]:
    if firing is None:
        return [Text("alerts are unknown: PostgreSQL is away", style="yellow")]
    if not firing:
        return [Text("no alert fires", style="green")]
    return [
        Text(
            f"{one.alert} {one.about}: {one.summary}, since {one.fired_at}",
            style=COLOURS[Severity(one.severity)],
        )
        for one in firing
    ]


def _alert_row(one: AlertView) -> tuple[object, ...]:
    ended = one.resolved_at or "-"
    return (one.alert, one.about, one.severity, one.status, one.value, one.fired_at, ended, one.summary, one.runbook)


def _less(left: int | None) -> int | None:
    return None if left is None else left - 1


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table
