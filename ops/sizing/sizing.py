"""What a load needs, part by part, and which part reaches its limit first. Pure."""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

from ops.sizing.costs import Costs, Limits
from schemas.ids import US_PER_S
from schemas.placement import partition_of

REFUSAL_LOG_SHARE = (
    0.4  # the bytes of a refusal at the edge, as a share of a request's: its fact, no command of its own
)
COPIES = 3  # of the log: replication factor 3, of which two must have a record before it counts
EVENT_IDS_MAX = 100_000  # more events share partitions as evenly as these
PARTITIONS_MAX = 4_096
BY_PARTITION = ("reservations", "read-side", "payments")  # at most one process of each for a partition
SECONDS_A_DAY = 86_400
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
    """One kind of process or service: its cores at the load, the units that carry it, and what bounds a unit."""

    name: str
    cores: float
    units: int
    unit: str
    bounded_by: str
    scales_by: str


class Keeping(StrEnum):
    """Whether one event's partition keeps up."""

    KEEPS_UP = "keeps up"
    QUEUES = "queues"


class OneEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The busiest event: one partition, one worker.

    `asked_per_s` reach it, and its worker grants at most `ceiling_per_s`. So a house that sells out does so after
    `sold_out_s` at the earliest. After that it refuses at most `refusals_per_s`, and the rest get 503. `state_mb` is
    the memory of its reservations.
    """

    asked_per_s: float
    ceiling_per_s: float
    keeping: Keeping
    sold_out_s: float
    refusals_per_s: float
    state_mb: float


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """What a load needs. `breaks_first` names the parts in the order in which growth meets their limits."""

    load: Load
    costs: str
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
    """Sizing a load. Equal events, each on the partition of its id; one unit stays below `load.busy` of its limit."""
    decided = load.requests_per_s * (1.0 - load.refused if load.edge else 1.0)
    at_edge = load.requests_per_s - decided
    cores = {name: decided * us / US_PER_S for name, us in costs.cpu_us.items()}
    cores["api"] += at_edge * costs.refusal_api_us / US_PER_S
    cores["reservations"] = (decided * costs.full_batch_us + at_edge * costs.refusal_worker_us) / US_PER_S
    cores["broker"] *= COPIES
    log_mb = (decided + at_edge * REFUSAL_LOG_SHARE) * costs.log_bytes / 1e6
    rows = decided * costs.rows + at_edge
    partitions, share = _partitions(load, max(cores[name] for name in BY_PARTITION), limits)
    parts = [
        _processes("api", cores["api"], load, None),
        _processes("reservations", cores["reservations"], load, partitions),
        _processes("read-side", cores["read-side"], load, partitions),
        _processes("payments", cores["payments"], load, partitions),
        _service("broker", cores["broker"], load, log_mb * COPIES, limits.broker_mb_per_s, "MB/s taken in", COPIES),
        _service("postgres", cores["postgres"], load, rows, limits.postgres_rows_per_s, "rows/s", 1),
        _redis(cores["redis"], load, limits),
    ]
    one = _one_event(load, costs, limits)
    return Sizing(
        load=load,
        costs=costs.source,
        partitions=partitions,
        busiest_partition=round(share * partitions, 2),
        parts=parts,
        machines=sum(math.ceil(part.cores / load.busy / load.cores) for part in parts),
        log_mb_per_s=round(log_mb, 1),
        log_tb_per_day=round(log_mb * COPIES * SECONDS_A_DAY / 1e6, 2),
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


def _processes(name: str, cores: float, load: Load, partitions: int | None) -> PlatformPart:
    units = max(1, math.ceil(cores / load.busy))
    bounded = "a core: Python runs on one"
    if partitions is not None and units > partitions:
        units, bounded = partitions, "the partitions: one process each"
    return PlatformPart(
        name=name, cores=round(cores, 2), units=units, unit="processes", bounded_by=bounded, scales_by=SCALES_BY[name]
    )


def _service(name: str, cores: float, load: Load, amount: float, limit: float, what: str, least: int) -> PlatformPart:
    by_cores = math.ceil(cores / load.busy / load.cores)
    by_amount = math.ceil(amount / load.busy / limit)
    bounded = what if by_amount > by_cores else "cores"
    units = max(least, by_cores, by_amount)
    return PlatformPart(
        name=name, cores=round(cores, 2), units=units, unit="servers", bounded_by=bounded, scales_by=SCALES_BY[name]
    )


def _redis(cores: float, load: Load, limits: Limits) -> PlatformPart:
    units = max(1, math.ceil(cores / load.busy / limits.redis_cores))
    return PlatformPart(
        name="redis", cores=round(cores, 2), units=units, unit="servers", bounded_by="a core: commands run on one",
        scales_by=SCALES_BY["redis"],
    )  # fmt: skip


def _one_event(load: Load, costs: Costs, limits: Limits) -> OneEvent:
    second = limits.partition_cores * US_PER_S
    ceiling, asked = second / costs.full_batch_us, load.requests_per_s / load.events
    orders = load.places / load.seats_per_order
    return OneEvent(
        asked_per_s=round(asked, 1),
        ceiling_per_s=round(ceiling),
        keeping=Keeping.KEEPS_UP if asked <= ceiling * load.busy else Keeping.QUEUES,
        sold_out_s=round(orders / min(asked, ceiling), 1),
        refusals_per_s=round(second / costs.refusal_worker_us if load.edge else ceiling),
        state_mb=round(orders * costs.state_bytes / 1e6, 1),
    )


def _order(load: Load, cores: dict[str, float], one: OneEvent, log_mb: float, rows: float, limits: Limits) -> list[str]:
    """The limits of single units, the nearest first, as text: how many of the unit the load would need."""
    needs = {
        "one PostgreSQL server": max(rows / limits.postgres_rows_per_s, cores["postgres"] / load.cores),
        "one Redis server": cores["redis"] / limits.redis_cores,
        "one broker": max(log_mb * COPIES / limits.broker_mb_per_s, cores["broker"] / load.cores),
        "one event's worker": one.asked_per_s / one.ceiling_per_s,
        "one API process": cores["api"],
        "one read-side process": cores["read-side"],
    }
    ranked = sorted(needs.items(), key=lambda item: -item[1])
    return [f"{name}: {need / load.busy:,.1f} are needed" for name, need in ranked]
