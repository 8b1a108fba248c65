"""The health of the platform: whether its services answer, which dataflows keep dying, what monitoring reports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import perf_counter, time
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from api.deps import ApiDeps
from api.http.problem import Problem
from connectors import logs
from connectors.errors import CircleError
from connectors.flow_health import deaths_key, dying, ready_key
from pipelines.flows import Flow
from pipelines.monitoring.board import MONITORED, VERIFIED
from schemas.ids import MS_PER_S

log = logs.get("api.system")
CHECK_TIMEOUT_S = 2.0


async def service_checks(deps: ApiDeps) -> dict[str, dict[str, Any]]:
    """By service: whether it answers within CHECK_TIMEOUT_S, the detail, and the milliseconds. Never raises."""

    async def kafka() -> str:
        partitions = await asyncio.to_thread(deps.log_writer.check, CHECK_TIMEOUT_S)
        return f"{partitions} partitions"

    async def redis() -> str:
        await deps.redis.ping()
        if not deps.subscriptions.connected.is_set():
            raise RedisError("not subscribed to replies yet")
        return "subscribed to replies"

    async def postgres() -> str:
        await deps.database.rows("alive")
        return "answers"

    names = ("kafka", "redis", "postgres")
    return dict(zip(names, await asyncio.gather(*map(_checked, (kafka(), redis(), postgres()))), strict=True))


async def dying_flows(deps: ApiDeps) -> dict[str, dict[str, Any]]:
    """The dataflows that keep dying, by name. Empty while Redis does not answer."""
    try:
        async with deps.redis.pipeline(transaction=False) as asked:
            for flow in Flow:
                asked.lrange(deaths_key(flow), 0, -1)
                asked.get(ready_key(flow))
            records = await asked.execute()
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("board.not_read", key=deaths_key("*"), error=f"{type(error).__name__}: {error}")
        return {}
    now = time()
    verdicts = {flow.value: dying(records[2 * n], records[2 * n + 1], now) for n, flow in enumerate(Flow)}
    return {flow: msgspec.to_builtins(one) for flow, one in verdicts.items() if one is not None}


async def reports(deps: ApiDeps) -> dict[str, msgspec.Raw | None]:
    """The reports of monitoring and `circle verify --follow`; None if one is not running. Not part of readiness."""
    try:
        reports = await deps.redis.mget(MONITORED, VERIFIED)
    except (RedisError, OSError, TimeoutError) as error:
        log.warning("board.not_read", key=MONITORED, error=f"{type(error).__name__}: {error}")
        reports = [None, None]
    return {
        name: None if one is None else msgspec.Raw(one)
        for name, one in zip(("monitoring", "verify"), reports, strict=True)
    }


async def _checked(check: Awaitable[str]) -> dict[str, Any]:
    started = perf_counter()
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S * 2):
            detail, ok = await check, True
    except (Problem, CircleError, RedisError, KafkaException, KeyError, OSError, TimeoutError) as error:
        detail, ok = str(error) or type(error).__name__, False
    return {"ok": ok, "detail": detail, "ms": round((perf_counter() - started) * MS_PER_S, 1)}
