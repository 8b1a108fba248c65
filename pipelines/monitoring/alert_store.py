"""The history of alerts in PostgreSQL: what fires, since when, and what the operators' webhook knows of it.

Guarantee: an alert about one thing has one row from its firing to its end, also where several processes write. All
changes of a look are one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from connectors.postgres import Connection
from connectors.sql_files import queries
from pipelines.monitoring.alerts import AlertChanges, Evaluator, Readings
from schemas.ids import US_PER_S

KEPT_S = 90 * 86_400  # a quarter shows what comes back
CALL_LEASE_S = 30.0  # a call whose process died is made again after this
CALLED_WITHIN_S = 86_400.0  # an older alert says nothing to a webhook that was set later
CALL_TRIES_MAX = 300  # with the backoff about a day
CALLS_AT_ONCE = 50  # alerts of one call

SQL = queries(Path(__file__).parent / "sql" / "alerts.sql")


async def evaluate(connection: Connection, evaluator: Evaluator, readings: Readings, now_us: int) -> AlertChanges:
    """Evaluate one look on the alerts that fire, and write what has changed."""
    rows = await connection.fetch(SQL["firing_alerts"])
    evaluator.adopt({(row["alert"], row["about"]): (row["began_at"], row["fired_at"]) for row in rows})
    changes = evaluator.evaluate(readings, now_us)
    for one in changes.fired:
        await connection.execute(
            SQL["fire_alert"],
            one.rule.name,
            one.about,
            one.rule.severity,
            one.summary,
            one.value,
            one.began_at,
            one.fired_at,
        )
    for one in changes.still:
        await connection.execute(SQL["note_alert"], one.rule.name, one.about, one.value, one.summary)
    for name, about in changes.resolved:
        await connection.execute(SQL["resolve_alert"], name, about, now_us)
    return changes


async def claimed_calls(connection: Connection, now_us: int) -> list[asyncpg.Record]:
    """The alerts that the webhook must hear of now. They are this process's for CALL_LEASE_S."""
    until = now_us + round(CALL_LEASE_S * US_PER_S)
    since = now_us - round(CALLED_WITHIN_S * US_PER_S)
    return await connection.fetch(SQL["claim_alert_calls"], now_us, until, since, CALL_TRIES_MAX, CALLS_AT_ONCE)


async def called(connection: Connection, states: Sequence[tuple[int, str]]) -> None:
    """Note the state of each alert, by the id of its row, that the webhook has taken."""
    await connection.executemany(SQL["alert_called"], list(states))


async def call_failed(connection: Connection, ids: Sequence[int], due_us: int, error: str) -> None:
    """Note when to call again, and why."""
    await connection.executemany(SQL["alert_call_failed"], [(one, due_us, error) for one in ids])


async def prune(connection: Connection, now_us: int) -> None:
    """Remove alerts that ended more than KEPT_S ago."""
    await connection.execute(SQL["prune_alerts"], now_us - KEPT_S * US_PER_S)
