"""`circle bench row-locks`: the same drop on the platform and on row locks, one after the other, on the same machine.

Both get the same requests from the same client at the same rate, on as many seats. During its measurement each has the
machine for itself. The baseline (`ops/proof/bench/ledger.py`) does less: its figures flatter it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from api.auth.keys import KeyRing
from api.auth.tokens import AccessTokens, Role
from connectors.errors import CircleError
from connectors.postgres import Connection, connect
from ops.proof.bench.drop import (
    HOLD_TTL_S,
    SECTION_SEATS_PER_ROW,
    TICKETS_PER_USER_MAX,
    DropOptions,
    DropReport,
    Step,
    limit_of,
    measured,
    ramped,
    sections_of,
    warmed_up,
)
from ops.proof.bench.ledger import SQL, RowLockLedger
from ops.proof.load.accounts import TOKEN_TTL_S
from ops.proof.load.open_loop import Plan, Target
from ops.proof.load.progress import ProgressBars
from ops.proof.load.statistics import CpuMeter
from ops.run.platform import development_key
from ops.run.services.postgres import Postgres
from ops.run.services.process import LOOPBACK, free_port, log_tail, port_answers, spawn, wait_for
from schemas.ids import US_PER_S, UserId

COUNTS = SQL["persisted"], SQL["notified"]
START_S = 20.0
STOP_S = 15.0
SERVER = "row-locks"


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as good as the row locks the platform is, in the first step of both; below 1 the row locks are
    better."""

    outcomes_per_s: float
    p99: float
    cpu_of_our_processes: float
    cpu_of_everything: float
    limit_rate: float | None


class RowLocksReport(msgspec.Struct, frozen=True, kw_only=True):
    """Both runs. `oversold`: reserved places beyond the claims. An index allows each seat one claim."""

    platform: DropReport
    row_locks: list[Step]
    row_locks_limit_rate: float | None
    oversold: int
    ratios: Ratios

    @property
    def passed(self) -> bool:
        """Whether both lost nothing, and the ledger sold no place twice."""
        whole = bool(self.row_locks) and all(step.whole for step in self.row_locks)
        return self.platform.passed and whole and self.oversold == 0


async def run(options: DropOptions, platform: DropReport, progress: ProgressBars) -> RowLocksReport:
    """The baseline's run, compared with the platform's. Raises CircleError when the server does not start."""
    async with _serving(progress) as (url, tokens_of, ledger, meter, connection):
        tokens, events = tokens_of(options.buyers), list[str]()

        async def plan(rate: float, number: int, seconds: float = options.seconds) -> Plan:
            made = await _plan(msgspec.structs.replace(options, seconds=seconds), ledger, url, tokens, rate, number)
            events.extend(target.event_id for target in made.targets)
            return made

        async def step(rate: float, number: int) -> Step:
            return await measured(await plan(rate, number), meter, connection, progress, COUNTS)

        await warmed_up(options, plan, progress)
        steps = await ramped(options, step)
        claimed, reserved = await ledger.sold(events)
    return report(options, platform, steps, reserved - claimed)


def report(options: DropOptions, platform: DropReport, steps: list[Step], oversold: int) -> RowLocksReport:
    """Both, and their ratios. Pure."""
    ours, theirs, limit = platform.steps[0], steps[0], limit_of(options, steps)
    return RowLocksReport(
        platform=platform,
        row_locks=steps,
        row_locks_limit_rate=limit,
        oversold=oversold,
        ratios=Ratios(
            outcomes_per_s=_ratio(ours.outcomes_per_s, theirs.outcomes_per_s),
            p99=_ratio(theirs.latency.p99_ms, ours.latency.p99_ms),
            cpu_of_our_processes=_ratio(*(cpu_us(step, services=False) for step in (theirs, ours))),
            cpu_of_everything=_ratio(*(cpu_us(step, services=True) for step in (theirs, ours))),
            limit_rate=_ratio(platform.limit_rate, limit) if platform.limit_rate and limit else None,
        ),
    )


def cpu_us(step: Step, *, services: bool) -> float:
    """CPU of our processes for each accepted request; with `services`, of their services, too."""
    return round(sum(one.cpu_s for one in step.cpu if one.ours or services) / max(1, step.expected) * US_PER_S, 1)


def _ratio(better: float, worse: float) -> float:
    return round(better / worse, 2) if worse else 0.0


class _Tokens:
    """Buyers' tokens; the baseline has no accounts."""

    def __init__(self, key_file: Path) -> None:
        self._tokens = AccessTokens(KeyRing.load(key_file))

    def __call__(self, count: int) -> list[str]:
        return [self._tokens.issue(UserId(str(uuid4())), Role.BUYER, ttl_s=TOKEN_TTL_S) for _ in range(count)]


@asynccontextmanager
async def _serving(progress: ProgressBars) -> AsyncIterator[tuple[str, _Tokens, RowLockLedger, CpuMeter, Connection]]:
    """A PostgreSQL of its own and one server process in front of it."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="circle-bench-")))
        postgres, key_file = stack.enter_context(Postgres()), development_key(directory / "jwt.pem")
        ledger = await RowLockLedger.open(postgres.url, connections=2)
        stack.push_async_callback(ledger.close)
        await ledger.create()
        connection = await connect(postgres.url)
        stack.push_async_callback(connection.close)
        port, log = free_port(), directory / "row-locks.log"
        progress.say("starting the row-lock baseline: PostgreSQL and one Sanic process")
        process = spawn(
            [sys.executable, "-m", "ops.proof.bench.row_lock_server", str(port)],
            log=log,
            env={**os.environ, "CIRCLE_POSTGRES_URL": postgres.url, "CIRCLE_JWT_KEY_FILE": str(key_file)},
        )
        stack.callback(process.wait, STOP_S)
        stack.callback(process.terminate)
        failure = wait_for(
            lambda: port_answers(port),
            timeout_s=START_S,
            abort=lambda: None if process.poll() is None else f"it ended with code {process.returncode}",
        )
        if failure is not None:
            raise CircleError(f"the row-lock baseline does not serve: {failure}; the end of its log:\n{log_tail(log)}")
        assert postgres.pid is not None
        meter = CpuMeter({SERVER: process.pid}, {postgres.name: postgres.pid})
        yield f"http://{LOOPBACK}:{port}", _Tokens(key_file), ledger, meter, connection


async def _plan(
    options: DropOptions, ledger: RowLockLedger, url: str, tokens: list[str], rate: float, number: int
) -> Plan:
    """The drop bench's own plan, on the ledger's events."""
    sections, rows = sections_of(options, rate)
    targets = []
    for _ in range(options.events):
        event_id, section_ids = str(uuid4()), [str(uuid4()) for _ in range(sections)]
        await ledger.furnish(
            event_id, section_ids, rows=rows, width=SECTION_SEATS_PER_ROW, tickets_per_user_max=TICKETS_PER_USER_MAX,
            hold_ttl_s=HOLD_TTL_S,
        )  # fmt: skip
        targets.append(Target(event_id, section_ids, sections * rows * SECTION_SEATS_PER_ROW))
    return Plan(
        url=url, tokens=tokens, targets=targets, rate=rate, seconds=options.seconds, seed=options.seed * 1_000 + number
    )
