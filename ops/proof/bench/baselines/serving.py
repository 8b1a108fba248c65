"""One baseline that serves: its services, one server process in front of them, and a meter of their CPU."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from api.auth.keys import KeyRing
from api.auth.tokens import AccessTokens, Role
from connectors.errors import CircleError
from ops.progress import ProgressBars
from ops.proof.bench.baselines.server import open_ledger
from ops.proof.bench.baselines.terms import Baseline, SalesLedger
from ops.proof.load.accounts import TOKEN_TTL_S
from ops.run.platform import development_key
from ops.run.services.postgres import Postgres
from ops.run.services.process import LOOPBACK, Service, free_port, log_tail, port_answers, spawn, wait_for
from ops.run.services.valkey import Valkey
from ops.statistics import CpuMeter
from pipelines.configuration import settings_from_env
from schemas.ids import UserId

START_S = 20.0
STOP_S = 15.0
OWNED_CONNECTIONS = 2  # of the bench itself: to furnish, and to count


@dataclass(frozen=True, slots=True)
class ServingBaseline:
    """A baseline that answers at `url`. It has no accounts: `tokens` are buyers' all the same."""

    url: str
    tokens: list[str]
    ledger: SalesLedger
    meter: CpuMeter


@asynccontextmanager
async def serving(
    name: Baseline, *, buyers: int, durable: bool, progress: ProgressBars
) -> AsyncIterator[ServingBaseline]:
    """Starts services of its own and one server process, which end with the block.

    With `durable`, PostgreSQL answers only when the disk has the transaction. Raises CircleError when the server does
    not start.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="circle-bench-")))
        service, variable = _service(name, durable=durable)
        stack.enter_context(service)
        key_file = development_key(directory / "jwt.pem")
        env = {**os.environ, variable: service.url, "CIRCLE_JWT_KEY_FILE": str(key_file)}
        ledger = await open_ledger(name, settings_from_env(env), connections=OWNED_CONNECTIONS)
        stack.push_async_callback(ledger.close)
        await ledger.create()
        port, log = free_port(), directory / f"{name}.log"
        progress.say(f"starting the baseline {name}: {service.name} and one Sanic process")
        process = spawn(
            [sys.executable, "-m", "ops.proof.bench.baselines.server", name.value, str(port)], log=log, env=env
        )
        stack.callback(process.wait, STOP_S)
        stack.callback(process.terminate)
        failure = wait_for(
            lambda: port_answers(port),
            timeout_s=START_S,
            abort=lambda: None if process.poll() is None else f"it ended with code {process.returncode}",
        )
        if failure is not None:
            raise CircleError(f"the baseline {name} does not serve: {failure}; the end of its log:\n{log_tail(log)}")
        assert service.pid is not None
        issuer = AccessTokens(KeyRing.load(key_file))
        yield ServingBaseline(
            url=f"http://{LOOPBACK}:{port}",
            tokens=[issuer.issue(UserId(str(uuid4())), Role.BUYER, ttl_s=TOKEN_TTL_S) for _ in range(buyers)],
            ledger=ledger,
            meter=CpuMeter({name.value: process.pid}, {service.name: service.pid}),
        )


def _service(name: Baseline, *, durable: bool) -> tuple[Service, str]:
    """The service that a baseline sells from, and the variable that names it."""
    if name is Baseline.REDIS_COUNTER:
        return Valkey(), "CIRCLE_REDIS_URL"
    return Postgres(durable=durable), "CIRCLE_POSTGRES_URL"
