"""The public status: which services answer, which dataflows keep dying, whether selling works, and since when.

Guarantee: an API process looks every STATUS_EVERY_S, not for each request, so a request costs no service anything. The
processes keep the states that they have seen in Redis. A process that begins reads there since when each lasts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from time import time

import msgspec
from redis.exceptions import RedisError

from api.deps import ApiDeps
from api.fairness.shared_fetch import SharedFetch
from api.reads.health import dying_flows, reports, service_checks
from api.shapes.status import DataflowStatus, ServiceStatus, StatusOut
from connectors import logs
from pipelines.flows import Flow
from pipelines.monitoring.lag_trend import STALLED_S
from schemas.ids import US_PER_S
from schemas.times import utc

PUBLIC_STATUS = "circle:public-status"
STATUS_EVERY_S = 5.0  # a look takes 3 ms
STATUS_OLD_S = 30.0  # a look takes some seconds when services time out
STATUS_KEPT_S = 60  # a platform that was off for longer begins without a past
SELLING, NEEDED = "selling", ("kafka", "redis")  # sales of loaded events go on without PostgreSQL
RESERVATIONS_GROUP = "circle.reservations"

log = logs.get("api.status")


class LastingState(msgspec.Struct, frozen=True):
    """A state, and the time at which it began, in seconds."""

    holds: bool
    since: float


LastingStates = dict[str, LastingState]
_lasting = msgspec.json.Decoder(LastingStates)


class PublicStatus:
    """The latest look of this process."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._known: LastingStates = {}
        self._latest: tuple[float, StatusOut] | None = None
        self._looks: SharedFetch[StatusOut] = SharedFetch()

    async def keep_up(self) -> None:
        """Look every STATUS_EVERY_S, until cancelled."""
        while True:
            await self._looks.get("", self._look)
            await asyncio.sleep(STATUS_EVERY_S)

    async def current(self) -> StatusOut:
        """The latest look; a new one if that is older than STATUS_OLD_S. Never raises for a service that is away."""
        if self._latest is not None and time() - self._latest[0] < STATUS_OLD_S:
            return self._latest[1]
        return await self._looks.get("", self._look)

    async def _look(self) -> StatusOut:
        services = {name: bool(check["ok"]) for name, check in (await service_checks(self._deps)).items()}
        states, shared = dict(services), LastingStates()
        if services["redis"]:
            dying, shown, shared = await asyncio.gather(dying_flows(self._deps), reports(self._deps), self._shared())
            states |= {flow.value: flow.value in dying for flow in Flow}
            states[SELLING] = is_selling(services, states, shown["monitoring"])
        else:
            states[SELLING] = False
        now = time()
        self._known |= {
            name: began(holds, self._known.get(name), shared.get(name), now) for name, holds in states.items()
        }
        if services["redis"]:
            await self._share({name: self._known[name] for name in states})
        found = status_of(services, self._known, states, now)
        self._latest = now, found
        return found

    async def _shared(self) -> LastingStates:
        """What other processes have seen; nothing from another release, or when Redis goes away now."""
        try:
            text = await self._deps.redis.get(PUBLIC_STATUS)
            return _lasting.decode(text) if text is not None else {}
        except (RedisError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            log.warning("status.not_read", error=f"{type(error).__name__}: {error}")
            return {}

    async def _share(self, conditions: LastingStates) -> None:
        try:
            await self._deps.redis.set(PUBLIC_STATUS, msgspec.json.encode(conditions), ex=STATUS_KEPT_S)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("status.not_written", error=f"{type(error).__name__}: {error}")


def began(holds: bool, own: LastingState | None, shared: LastingState | None, now_s: float) -> LastingState:
    """Since when a state lasts: as another process saw it after this one's last change, as this one saw it, or now."""
    if shared is not None and shared.holds == holds and (own is None or shared.since > own.since):
        return shared
    if own is not None and own.holds == holds:
        return own
    return LastingState(holds, now_s)


def is_selling(services: Mapping[str, bool], dying: Mapping[str, bool], monitoring: msgspec.Raw | None) -> bool:
    """Whether a hold is decided: the log and Redis answer, and the reservations flow lives and moves."""
    if not all(services[name] for name in NEEDED) or dying[Flow.RESERVATIONS.value]:
        return False
    if monitoring is None:  # it does not run, so no process knows of a stall
        return True
    stalled: Mapping[str, float] = msgspec.json.decode(monitoring)["sample"]["stalled"]
    return stalled.get(RESERVATIONS_GROUP, 0.0) < STALLED_S


def status_of(services: Mapping[str, bool], known: LastingStates, seen: Mapping[str, bool], now_s: float) -> StatusOut:
    """The answer. A dataflow that was not seen now is unknown. Pure."""
    selling = known[SELLING]
    return StatusOut(
        at=_time(now_s),
        selling=selling.holds,
        since=_time(selling.since),
        services=[
            ServiceStatus(name=name, answers=answers, since=_time(known[name].since))
            for name, answers in services.items()
        ],
        dataflows=[_dataflow(flow.value, known.get(flow.value) if flow.value in seen else None) for flow in Flow],
    )


def _dataflow(name: str, known: LastingState | None) -> DataflowStatus:
    if known is None:
        return DataflowStatus(name=name, keeps_dying=None, since=None)
    return DataflowStatus(name=name, keeps_dying=known.holds, since=_time(known.since))


def _time(seconds: float) -> datetime:
    return utc(int(seconds) * US_PER_S)
