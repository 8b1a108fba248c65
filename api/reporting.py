"""Reports this process's last minute to Redis for monitoring, and keeps its gauges up to date, every REPORT_EVERY_S.

Monitoring may be in a flow that keeps dying, so the API reads the lives of flows, too, and has their metrics.

With several workers each sets its own gauges, so a scrape that reaches one of them has the present figures of all.
"""

from __future__ import annotations

import asyncio
from time import process_time, time

import msgspec
from redis.exceptions import RedisError

from api.deps import ApiDeps
from api.fairness.shares import occupied
from api.metrics import METRICS
from api.reads.slow_requests import SLOW_REQUESTS
from connectors import logs
from connectors.flow_health import deaths_key, ready_key
from pipelines.flows import Flow
from pipelines.monitoring.api_report import KEPT_S, REPORT_EVERY_S, REPORTS, LastMinute
from pipelines.monitoring.flow_verdicts import verdicts_of

log = logs.get("api.reporting")


def note_gauges(deps: ApiDeps) -> None:
    """Set the gauges of what this process has under way."""
    METRICS.set_gauges(
        unacknowledged=deps.log_writer.unacked,
        waiting=len(deps.log_writer.waiting),
        streams=deps.live.clients,
        admission=deps.admission.limit,
        cpu_s=process_time(),
    )
    for share, (running, waiting) in occupied().items():
        METRICS.set_share(share, running, waiting)


async def report(deps: ApiDeps, instance: str) -> None:
    """Report until cancelled. While Redis is away, the reports are lost, and the log says so."""
    last_minute = LastMinute()
    while True:
        note_gauges(deps)
        try:
            await asyncio.to_thread(METRICS.share)
        except OSError as error:
            log.warning("times.not_shared", error=f"{type(error).__name__}: {error}")
        text = msgspec.json.encode(last_minute.report(METRICS.answers, METRICS.errors, METRICS.unavailable))
        try:
            async with deps.redis.pipeline(transaction=False) as asked:
                asked.hset(REPORTS, instance, text)
                asked.expire(REPORTS, KEPT_S)
                asked.hset(SLOW_REQUESTS, instance, deps.slow.report(time()))
                asked.expire(SLOW_REQUESTS, KEPT_S)
                for flow in Flow:
                    asked.lrange(deaths_key(flow), 0, -1)
                    asked.get(ready_key(flow))
                _, _, _, _, *lives = await asked.execute()
            METRICS.set_lives(*verdicts_of(lives, time()))
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("report.not_written", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(REPORT_EVERY_S)
