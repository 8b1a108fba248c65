"""tickets.facts → rows, messages and totals, together: one decode, one PostgreSQL transaction.

                                 ┌─▶ projections ───┐
    facts ──▶ decode ──▶ admit ──┼─▶ monitoring ────┼──▶ join ──▶ postgres
                                 └─▶ notifications ─┘

Exactly once per position and branch: one transaction writes the rows of a batch and the position of each branch, and an
applied fact is not admitted again. After the commit, readers learn over Redis what is new. The positions are the
branches' own, so each branch can also run alone, where it has to be scaled apart. A change from one composition to
another repeats nothing and loses nothing. Of two processes that run the same branch on a partition, the one that has
lost the partition ends.
"""

from __future__ import annotations

from contextlib import ExitStack, closing

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from connectors.execution import execute
from connectors.kafka import StopFlag
from connectors.logs import Log
from connectors.postgres import Database
from connectors.publisher import Publisher
from pipelines.flows import READ_SIDE_BRANCHES, Flow
from pipelines.platform_settings import PlatformSettings
from pipelines.read_side.wiring import ReadSideDeps, branch_of, wire
from sinks.batch_sink import BatchSink

log = Log("read-side")


def build(name: str, deps: ReadSideDeps) -> Dataflow:
    """The flow: the branches part after `admit`, and join in one transaction."""
    flow = Dataflow(name)
    records = op.input("facts", flow, deps.source)
    decoded = op.map("decode", records, deps.decode)
    admitted = op.map("admit", decoded, deps.admit)
    branches = [op.map(branch, admitted, prepare) for branch, prepare in deps.prepare.items()]
    op.output("postgres", op.merge("join", *branches), BatchSink(deps.write))
    return flow


def run(settings: PlatformSettings, *, flow: Flow = Flow.READ_SIDE, stop: StopFlag | None = None) -> int:
    """Run the read side, or one branch of it as a flow of its own.

    Runs until a stop is requested or an error ends the flow. Returns the process's exit code.
    """
    stop = stop or StopFlag().install()
    together = READ_SIDE_BRANCHES if flow is Flow.READ_SIDE else (flow,)
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database(settings.postgres_url)))
        publisher = stack.enter_context(closing(Publisher(settings)))
        branches = [stack.enter_context(branch_of(one, settings, database)) for one in together]
        deps = wire(flow.value, settings, branches, database, publisher, stop=stop)
        return execute(build(flow.value, deps), log)
