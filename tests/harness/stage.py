"""A platform without the API for fault tests: services, the four dataflows, drops, and the checker at the end.

One stage serves the tests of a module one after the other, since the start of processes takes time. The checker goes
through the whole history each time, so damage by a test shows in this test and in all later ones.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.errors import ServiceUnreachable
from connectors.kafka import committed_offsets, consumer
from connectors.settings import PARTITIONS_DEFAULT
from ops.progress import ProgressBars
from ops.proof.checker import NotSettled, Report, wait_until_settled
from ops.proof.checker.quiescence import RESERVATIONS_GROUP
from ops.proof.full_check import check
from ops.rebuild.projections import rebuild
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from schemas.topics import COMMANDS
from tests.harness.drop import Drop
from tests.harness.workers import Crew, Worker

SESSION_TIMEOUT_MS = 1_500  # after this, other workers get a dead worker's partitions
PARTITIONS = PARTITIONS_DEFAULT
OTHERS = ("read-side", "payments")
LOOK_AGAIN_S = 5.0  # how often dead workers are restarted during the wait for the end
TICK_BOUND_S = 20.0  # holds end late while their worker is dead or paused: add a session, a start, and a busy machine


class Stage:
    """See the module. `strict` is for a broker that hides aborted records."""

    def __init__(self, stack: Stack, logs: Path, *, strict: bool) -> None:
        self.stack, self.strict = stack, strict
        self.settings = replace(settings_from_env(stack.fresh()), session_timeout_ms=SESSION_TIMEOUT_MS)
        assert self.settings.partitions == PARTITIONS
        self.crew = Crew(self.settings, logs, strict=strict)
        self.drops: list[Drop] = []
        self.reservations: Worker

    def start(self) -> Stage:
        self.reservations, *self.others = self.crew.start("reservations", *OTHERS)
        return self

    @property
    def read_side(self) -> Worker:
        return self.others[OTHERS.index("read-side")]

    def drop(self, **options: Any) -> Drop:
        """A drop of its own events, on sale."""
        made = Drop(self.settings, seed=len(self.drops) + 1, **options)
        self.drops.append(made)
        made.open()
        return made

    def ensure_running(self) -> None:
        """Restart dead processes, as the supervisor does."""
        for worker in (self.reservations, *self.others):
            worker.ensure()

    def settled(self, *, no_holds: bool = True, timeout_s: float = 40.0) -> Report:
        """Wait until everything is decided and delivered; the checker's report, which must be without violations."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                wait_until_settled(self.settings, timeout_s=LOOK_AGAIN_S, no_holds=no_holds)
                break
            except (NotSettled, ServiceUnreachable) as error:
                if time.monotonic() > deadline:
                    logs = "\n".join(worker.last_lines(12) for worker in self.crew.workers)
                    raise AssertionError(f"{error}\n{logs}") from error
                self.ensure_running()
        answers = [one for drop in self.drops for one in drop.told]
        report = check(self.settings, told=answers, strict=self.strict, tick_bound_s=TICK_BOUND_S)
        assert report.ok, report.text()
        assert report.counts["told"] == len(answers) > 0
        assert report.counts["commands"] > sum(drop.sent - drop.unacknowledged for drop in self.drops) - 1
        self.made_anew()
        return report

    def made_anew(self) -> None:
        """Rebuild the rows from the facts, and compare them with the live ones. Goes on with the rows of the last
        call."""
        with ProgressBars(quiet=True) as progress:
            generation = rebuild(self.settings, progress)
        assert generation.ok, [one for one in generation.tables if not one.same]
        assert sum(table.new_rows for table in generation.tables) > 0

    def committed(self) -> int:
        """How many commands the group has decided, over all partitions."""
        client = consumer(self.settings, group=RESERVATIONS_GROUP)
        try:
            return sum(offset or 0 for offset in committed_offsets(client, COMMANDS, list(range(PARTITIONS))).values())
        finally:
            client.close()

    def close(self) -> None:
        for worker in self.crew.workers:
            if worker.alive:
                worker.resume()
        self.crew.__exit__(None, None, None)
