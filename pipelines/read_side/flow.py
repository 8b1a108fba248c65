"""tickets.facts → rows, messages and totals, together: one decode, one PostgreSQL transaction, one position for each.

This flow joins the branches `projections`, `notifications` and `monitoring`. Each of them can also run alone
(`circle pipeline NAME`), where it has to be scaled apart. Their positions are theirs, so a change from one composition
to another repeats nothing and loses nothing. Of two processes that run the same branch on a partition, the one that has
lost the partition ends.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import Any

from connectors.kafka import StopFlag
from connectors.postgres import Database
from connectors.publisher import Publisher
from pipelines.branches.branch import Branch
from pipelines.branches.flow import run_branches
from pipelines.monitoring import flow as monitoring
from pipelines.notifications import flow as notifications
from pipelines.platform_settings import PlatformSettings
from pipelines.projections import flow as projections

NAME = "read-side"
BRANCHES = (projections.branch, monitoring.branch, notifications.branch)  # the inbox last: its lock is short then


def run(settings: PlatformSettings, *, stop: StopFlag | None = None) -> int:
    """Run until a stop is requested or an error ends the flow. Returns the process's exit code."""
    stop = stop or StopFlag().install()
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database(settings.postgres_url)))
        publisher = stack.enter_context(closing(Publisher(settings)))
        branches: list[Branch[Any, Any]] = [stack.enter_context(made(settings, database)) for made in BRANCHES]
        return run_branches(NAME, settings, branches, database, publisher, stop=stop)
