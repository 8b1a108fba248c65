"""What a load needs, part by part, and which part reaches its limit first. Pure."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

from ops.sizing.costs import Costs, Limits
from schemas.ids import DAY_S, US_PER_S
from schemas.placement import partition_of

REFUSAL_LOG_SHARE = (
    0.4  # the bytes of a refusal at the edge, as a share of a request's: its fact, no command of its own
)
MB = 1_000_000
COPIES = 3  # of the log: replication factor 3, of which two must have a record before it counts
EVENT_IDS_MAX = 100_000  # more events share partitions as evenly as these
PARTITIONS_MAX = 4_096
BY_PARTITION = ("reservations", "read-side", "payments")  # at most one process of each for a partition
SCALES_BY = {
    "api": "more processes behind a balancer; they share nothing but the services",
    "reservations": "more workers, at most one for each partition",
    "read-side": "more processes, at most one for each partition; its branches can also run apart",
    "payments": "more processes, at most one for each partition",
    "broker": "more brokers; partitions spread over them",
    "postgres": "rows by partition on several servers: see ops/docs/scaling.md",
    "redis": "a larger machine, then slots of a cluster by event: see ops/docs/scaling.md",
}


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load to size.

    - `requests_per_s`: reservations asked for. `refused`: the share of them that gets no place.
    - `edge`: whether requests for what is sold out share records, as `CIRCLE_EDGE_REFUSALS` lets the API do.
    - `places`: of one event; `seats_per_order`: of one request.
    - `cores`: of one machine. `busy`: the share of a core or limit that may be in use, so that a lost machine's work
      finds room.
    """

    requests_per_s: float
    events: int
    refused: float = 0.5
    edge: bool = False
    places: int = 50_000
    seats_per_order: float = 2.0
    cores: int = 16
    busy: float = 0.6


class PlatformPart(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of process or service: its cores at the load, the units that carry it, and what bounds a unit.

    A partition's work is one unit's. `times_too_much` says how many times its limit the busiest one would need: above
    1.0 it falls behind, and more units do not help.
    """

    name: str
    cores: float
    units: int
    unit: str
    bounded_by: str
    scales_by: str
    times_too_much: float


class Keeping(StrEnum):
    """Whether one event's worker keeps up: with room for a lost machine's work, without it, or not at all."""

    KEEPS_UP = "keeps up"
    NO_ROOM = "has no room left"
    TOO_MUCH = "too much for one"


class OneEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The busiest event: one partition, one worker.

    `asked_per_s` reach it, and would need `times` workers. Admission turns away what one cannot decide, so
    `accepted_per_s` get on the log. Its worker grants at most `ceiling_per_s`. So a house that sells out does so after
    `sold_out_s` at the earliest. After that it refuses at most `refusals_per_s`, and the rest get 503. `state_mb` is
    the memory of its reservations.
    """

    asked_per_s: float
    accepted_per_s: float
    times: float
    ceiling_per_s: float
    keeping: Keeping
    sold_out_s: float
    refusals_per_s: float
    state_mb: float


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """What a load needs.

    `accepted_per_s` get on the log, `turned_away_per_s` get 503. `breaks_first` names the units in the order in which
    growth meets their limits: the one that the most of are needed is the first.
    """

    load: Load
    costs: str
    accepted_per_s: float
    turned_away_per_s: float
    partitions: int
    busiest_partition: float
    parts: list[PlatformPart]
    machines: int
    log_mb_per_s: float
    log_tb_per_day: float
    rows_per_s: float
    one_event: OneEvent
    breaks_first: list[str]


def size(load: Load, costs: Costs, limits: Limits) -> Sizing:
    """Sizing a load. Equal events, each on the partition of its id; one unit stays below `load.busy` of its limit.

    An event's worker decides no more than one core can, so admission turns the rest of its requests away. Such a
    request costs the API as much as a refusal that shares a record, and costs nothing else.
    """
    one = _one_event(load, costs, limits)
    accepted = one.accepted_per_s * load.events
    turned_away = load.requests_per_s - accepted
    decided = accepted * (1.0 - load.refused if load.edge else 1.0)
    at_edge = accepted - decided
    cores = {name: decided * us / US_PER_S for name, us in costs.cpu_us.items()}
    cores["api"] += (at_edge + turned_away) * costs.refusal_api_us / US_PER_S
    cores["reservations"] = (decided * costs.full_batch_us + at_edge * costs.refusal_worker_us) / US_PER_S
    cores["broker"] *= COPIES
    log_mb = (decided + at_edge * REFUSAL_LOG_SHARE) * costs.log_bytes / MB
    rows = decided * costs.rows + at_edge
    partitions, share = _partitions(load, max(cores[name] for name in BY_PARTITION), limits)
    asked = {name: cores[name] * share / limits.partition_cores for name in BY_PARTITION}
    asked["reservations"] = max(asked["reservations"], one.times)
    parts = [
        _processes("api", cores["api"], load),
        *(_processes(name, cores[name], load, partitions=partitions, times=asked[name]) for name in BY_PARTITION),
        _servers("broker", cores["broker"], load, amount=log_mb * COPIES / limits.broker_mb_per_s,
                 what="MB/s taken in", least=COPIES, partitions=partitions),
        _servers("postgres", cores["postgres"], load, amount=rows / limits.postgres_rows_per_s,
                 what="rows/s", least=1, partitions=partitions),
        _servers("redis", cores["redis"], load, amount=cores["redis"] / limits.redis_cores,
                 what="a core: commands run on one", least=1, partitions=partitions),
    ]  # fmt: skip
    return Sizing(
        load=load,
        costs=costs.source,
        accepted_per_s=round(accepted, 1),
        turned_away_per_s=round(turned_away, 1),
        partitions=partitions,
        busiest_partition=round(share * partitions, 2),
        parts=parts,
        machines=sum(math.ceil(part.cores / load.busy / load.cores) for part in parts),
        log_mb_per_s=round(log_mb, 1),
        log_tb_per_day=round(log_mb * COPIES * DAY_S / MB, 2),
        rows_per_s=round(rows),
        one_event=one,
        breaks_first=_order(load, cores, one, log_mb, rows, limits),
    )


def busiest_share(events: int, partitions: int) -> float:
    """The share of all requests on the busiest partition, for equal events with the platform's placement of ids."""
    counted = min(events, EVENT_IDS_MAX)
    counts = [0] * partitions
    for number in range(counted):
        counts[partition_of(f"00000000-0000-4000-8000-{number:012x}", partitions)] += 1
    return max(counts) / counted


def _partitions(load: Load, cores: float, limits: Limits) -> tuple[int, float]:
    """The fewest partitions (a power of two) whose busiest worker stays below its limit, or as many as help."""
    best = (1, 1.0)
    partitions = 1
    while partitions <= PARTITIONS_MAX:
        share = busiest_share(load.events, partitions)
        if share < best[1]:
            best = (partitions, share)
        if cores * share <= load.busy * limits.partition_cores:
            return partitions, share
        if share <= 1.0 / load.events:  # one event is alone on the busiest partition
            break
        partitions *= 2
    return best


def _processes(
    name: str, cores: float, load: Load, *, partitions: int | None = None, times: float = 0.0
) -> PlatformPart:
    """`times`: what the busiest partition asks of one process, as a share of what it can do."""
    units = max(1, math.ceil(cores / load.busy))
    bounded = "a core: Python runs on one"
    if partitions is not None and units > partitions:
        units, bounded = partitions, "the partitions: one process each"
    return _part(name, cores, units, "processes", bounded, times)


def _servers(
    name: str, cores: float, load: Load, *, amount: float, what: str, least: int, partitions: int
) -> PlatformPart:
    """`amount`: what is asked of `what`, as a share of one server's. A partition's copies, rows and keys are not cut
    further, so more servers than partitions, `least` for each, do not help."""
    by_cores = math.ceil(cores / load.busy / load.cores)
    by_amount = math.ceil(amount / load.busy)
    bounded, units, most = (
        what if by_amount >= by_cores else "cores",
        max(least, by_cores, by_amount),
        partitions * least,
    )
    if units > most:
        units, bounded = most, f"the partitions, by {bounded}"
    return _part(name, cores, units, "servers", bounded, max(amount, cores / load.cores) / units)


def _part(name: str, cores: float, units: int, unit: str, bounded_by: str, times: float) -> PlatformPart:
    if times > 1.0:
        bounded_by = f"its partition: too much for one, {times:,.1f} times"
    return PlatformPart(
        name=name, cores=round(cores, 2), units=units, unit=unit, bounded_by=bounded_by, scales_by=SCALES_BY[name],
        times_too_much=round(times, 2),
    )  # fmt: skip


def _one_event(load: Load, costs: Costs, limits: Limits) -> OneEvent:
    second = limits.partition_cores * US_PER_S
    ceiling, asked = second / costs.full_batch_us, load.requests_per_s / load.events
    shared = load.refused if load.edge else 0.0
    times = asked * ((1.0 - shared) * costs.full_batch_us + shared * costs.refusal_worker_us) / second
    orders = load.places / load.seats_per_order
    return OneEvent(
        asked_per_s=round(asked, 1),
        accepted_per_s=asked / max(1.0, times),
        times=round(times, 2),
        ceiling_per_s=round(ceiling),
        keeping=Keeping.TOO_MUCH if times > 1.0 else Keeping.NO_ROOM if times > load.busy else Keeping.KEEPS_UP,
        sold_out_s=round(orders / min(asked, ceiling), 1),
        refusals_per_s=round(second / costs.refusal_worker_us if load.edge else ceiling),
        state_mb=round(orders * costs.state_bytes / MB, 1),
    )


def _order(load: Load, cores: dict[str, float], one: OneEvent, log_mb: float, rows: float, limits: Limits) -> list[str]:
    """The limits of single units, the nearest first, as text: how many of the unit the load would need."""
    needs = {
        "one API process": cores["api"],
        "one read-side process": cores["read-side"],
        "one broker": max(log_mb * COPIES / limits.broker_mb_per_s, cores["broker"] / load.cores),
        "one PostgreSQL server": max(rows / limits.postgres_rows_per_s, cores["postgres"] / load.cores),
        "one Redis server": cores["redis"] / limits.redis_cores,
        "one payments process": cores["payments"],
        "one event's worker": one.times,
    }
    if load.events > 1:
        needs["one reservations worker"] = cores["reservations"]
    ranked = sorted(needs.items(), key=lambda item: -item[1])
    return [f"{name}: {need / load.busy:,.1f} are needed" for name, need in ranked]
