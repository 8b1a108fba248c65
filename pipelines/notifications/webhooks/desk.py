"""Makes the due webhook calls, and keeps the delivery log.

Guarantee: at least once, with the same webhook-id and the same body on each attempt. Redirects are not followed, and no
call goes to one of our own addresses (`connectors.outbound_http`). A failed call is tried again after each of DELAYS_S
and then given up; its organizer can send it again. An endpoint that answers 410 gets no more calls. Organizers and
endpoints share the running calls (`pipelines.notifications.webhooks.turns`).
"""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from connectors import tracing
from connectors.clock import now_ms
from connectors.failure_policy import FailureBound, is_of_record
from connectors.logs import Log
from connectors.metrics import RECORD_AGES
from connectors.outbound_http import NotOutside, checked_url
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.notifications.delivery_spans import delivered, delivery
from pipelines.notifications.desks import KEPT_DAYS, PRUNED_MAX, SET_ASIDE, WAITING_COUNTED_MAX, PruneTimer
from pipelines.notifications.kinds import CallStatus
from pipelines.notifications.metrics import DELIVERIES, WAITING
from pipelines.notifications.webhooks.signature import headers
from pipelines.notifications.webhooks.turns import IN_FLIGHT_MAX, ORGANIZER_MAX, TRIALS_PER_ORGANIZER_MAX, EndpointTurns
from schemas.ids import WebhookId
from sinks.postman import Desk

if TYPE_CHECKING:
    import httpcore

WEBHOOKS = "webhook"
CALL_TIMEOUT_S = 10.0
LEASE_S = 60.0  # a call whose process died is due again after this
DELAYS_S = (5.0, 60.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0)  # after each failed attempt; about 18 hours
GONE = 410
WAIT_S = 0.25  # how long the desk waits for running calls before it looks for more

STANDING = {"content-type": "application/json", "user-agent": "general-circle-webhooks/1"}

SQL = queries(Path(__file__).with_name("webhooks.sql"))
log = Log("webhooks")


class AttemptResult(NamedTuple):
    """The result of one attempt: an HTTP status, or an error instead.

    A call that was set aside is not tried again: its error is one that no receiver causes.
    """

    status: int | None
    error: str
    set_aside: bool = False

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class WebhookDesk(Desk):
    """One of the postman's desks."""

    name = WEBHOOKS

    def __init__(self, settings: Settings) -> None:
        self._development = not settings.production
        self._client: httpcore.AsyncConnectionPool | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._bound = FailureBound(WEBHOOKS)
        self._turns = EndpointTurns()
        self._prune_timer = PruneTimer()

    async def work(self, pool: asyncpg.Pool[asyncpg.Record]) -> bool:
        """Begin due calls while there is room. Returns whether calls are running."""
        await self._prune(pool)
        places = self._turns.places(time.monotonic())
        limits = ORGANIZER_MAX, TRIALS_PER_ORGANIZER_MAX
        rows = await pool.fetch(SQL["claim_webhooks"], LEASE_S, *places, *limits) if places.free else []
        for row in rows:
            self._calls.add(asyncio.create_task(self._deliver(pool, row)))
        if not self._calls:
            WAITING.labels(WEBHOOKS).set(await pool.fetchval(SQL["webhooks_waiting"], WAITING_COUNTED_MAX))
            return False
        done, _ = await asyncio.wait(self._calls, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        self._calls -= done
        for task in done:
            task.result()  # PostgreSQL is away: the call is due again after its lease
        return True

    async def _deliver(self, pool: asyncpg.Pool[asyncpg.Record], row: asyncpg.Record) -> None:
        try:
            with delivery("POST webhook", row["type"], trace=row["trace"], attempt=row["attempts"]) as span:
                answer = await self._in_turn(row)
                delivered(span, str(answer.status or "no answer"), failed=not answer.ok)
        except Exception as error:
            if not is_of_record(error):
                raise
            log.exception("webhook.set_aside", error, id=row["id"])
            answer = AttemptResult(None, SET_ASIDE + self._bound.failed(error), set_aside=True)
        else:
            self._bound.went_well()
        outcome, attempts, due_s = CallStatus.DELIVERED, row["attempts"], 0.0
        if not answer.ok:
            over = answer.status == GONE or attempts > len(DELAYS_S) or answer.set_aside
            outcome = CallStatus.FAILED if over else CallStatus.PENDING
            due_s = DELAYS_S[attempts - 1] * random.uniform(0.8, 1.2) if outcome == CallStatus.PENDING else 0.0  # noqa: S311
        await pool.execute(SQL["settle_webhook"], row["id"], outcome, answer.status, answer.error, due_s)
        if outcome == CallStatus.DELIVERED:
            RECORD_AGES.observe("called", [row["created_ms"]], now_ms())
        DELIVERIES.labels(WEBHOOKS, "retry" if outcome == CallStatus.PENDING else outcome).inc()
        where = {"id": row["id"], "attempt": attempts, "status": answer.status, "error": answer.error}
        if outcome == CallStatus.FAILED:
            log.warning("webhook.given_up", **where)
        elif outcome == CallStatus.PENDING:
            log.info("webhook.retry", seconds=round(due_s), **where)
        if answer.status == GONE:
            await pool.execute(SQL["disable_endpoint"], row["endpoint_id"], "it answered 410 Gone")

    async def _in_turn(self, row: asyncpg.Record) -> AttemptResult:
        call, began, answer = (
            self._turns.begin(WebhookId(str(row["endpoint_id"])), row["owner"]),
            time.monotonic(),
            None,
        )
        try:
            answer = await self._call(row)
        finally:
            now = time.monotonic()
            answered = answer is not None and answer.status is not None
            rest_s = self._turns.end(call, answered=answered, seconds=now - began, now=now)
        if rest_s:
            log.info("webhook.rests", endpoint=call.endpoint_id, seconds=round(rest_s), error=answer.error)
        return answer

    async def _call(self, row: asyncpg.Record) -> AttemptResult:
        import httpcore  # with the first call: it costs a process a tenth of a second

        body = row["payload"].encode()
        signed = headers(row["secret"], row["id"], int(time.time()), body, former=row["former_secret"])
        sent = STANDING | {"host": _host(row["url"]), "content-length": str(len(body))} | signed
        if own := tracing.current_traceparent():  # that of this attempt
            sent[tracing.TRACEPARENT] = own
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                checked_url(row["url"], development=self._development)
                async with self._http().stream(
                    "POST",
                    row["url"],
                    headers=list(sent.items()),
                    content=body,
                ) as response:
                    status = response.status  # the body is not read: nothing needs it, and it may be endless
        except NotOutside as error:
            return AttemptResult(None, str(error))
        except TimeoutError:
            return AttemptResult(None, f"no answer in {CALL_TIMEOUT_S:.0f} s")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ValueError) as error:
            return AttemptResult(None, f"{type(error).__name__}: {error}"[:500])
        if 300 <= status < 400:
            return AttemptResult(status, "redirects are not followed")
        return AttemptResult(status, "" if 200 <= status < 300 else f"answered {status}")

    async def close(self) -> None:
        """Close the connections of calls that the end of the process has interrupted."""
        if self._client is not None:
            await self._client.aclose()

    def _http(self) -> httpcore.AsyncConnectionPool:
        """A connection for each call, so the address is checked each time."""
        if self._client is None:
            import httpcore

            from connectors.outside_backend import OutsideBackend

            self._client = httpcore.AsyncConnectionPool(
                max_connections=IN_FLIGHT_MAX,
                max_keepalive_connections=0,
                network_backend=OutsideBackend(loopback=self._development),
            )
        return self._client

    async def _prune(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        if self._prune_timer.due():
            await pool.execute(SQL["prune_webhooks"], KEPT_DAYS, PRUNED_MAX)


def _host(url: str) -> str:
    return url.split("/", 3)[2]
