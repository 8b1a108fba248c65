"""The measured costs of a request, and the limits of one unit of each service.

A request is one of `circle bench drop`: two to three places, seats for three requests in four, and no payment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from connectors.errors import SettingsError

PROCESSES = ("api", "reservations", "read-side", "payments")
SERVICES = ("broker", "postgres", "redis")
BROKERS = frozenset({"tansu", "kafka", "apache", "broker"})


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of a request at full batches, each with its source.

    - `cpu_us`: µs of CPU by process and service. The broker's are those of one copy of the log. `source` says whose.
    - `full_batch_us`: µs of CPU of a reservations worker whose batches are full, as they are when it is busy. The
      median of six runs of `circle bench kernel`, 2026-11-29 (ops/docs/performance.md).
    - `refusal_api_us`, `refusal_worker_us`: µs of CPU for a refusal that shares a record, in the API process and in the
      worker that makes it a fact. Assumed: no bench measures one alone.
    - `log_bytes`: bytes of key, value and headers on tickets.commands and tickets.facts, before the broker's batches,
      copies and compression. Counted on both topics after `circle bench drop --rate 300`, 2026-11-30.
    - `rows`: rows that the read side inserts for one request: a reservation, a message, the claims of its seats.
      Counted by pg_stat_user_tables in the same run. Rows that a whole batch shares are left out.
    - `state_bytes`: memory of a reservation of two seats in a worker. A test measures it by tracemalloc.
    """

    source: str
    cpu_us: dict[str, float]
    full_batch_us: float = 24.5
    refusal_api_us: float = 90.0
    refusal_worker_us: float = 12.0
    log_bytes: float = 860.0
    rows: float = 3.8
    state_bytes: float = 640.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit does at most, beyond its cores. The rates of services are assumed, not measured.

    - `partition_cores`: a partition has one worker at a time, and a worker's Python runs on one core.
    - `postgres_rows_per_s`: rows that one server commits in batches, with its write-ahead log on a fast disk.
    - `broker_mb_per_s`: MB/s that one broker takes in, its share of the copies included.
    - `redis_cores`: a Redis server runs commands on one core.
    """

    partition_cores: float = 1.0
    postgres_rows_per_s: float = 150_000.0
    broker_mb_per_s: float = 200.0
    redis_cores: float = 1.0


MEASURED = Costs(
    source="circle bench drop --rate 2500 --broker apache, 2026-11-29, two cores (ops/docs/performance.md)",
    cpu_us={
        "api": 159.0,
        "reservations": 69.0,
        "read-side": 61.0,
        "payments": 8.0,
        "broker": 137.0,
        "postgres": 65.0,
        "redis": 14.0,
    },
)
"""The costs of two slow cores with everything on them. Measure your own machine, and give the result to `measured`."""


def measured(file: Path) -> Costs:
    """The costs that `circle bench drop --json` wrote to a file: its round with the median CPU, or of a ramp the step
    with the most outcomes a second.

    Raises SettingsError for a file that cannot be read or has no step.
    """
    example = "circle bench drop --rate 1000 --json > drop.json; circle size --measured drop.json"
    try:
        report: Any = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError("--measured", f"cannot be read: {error}", got=str(file), example=example) from None
    found = report if isinstance(report, dict) else {}
    steps, rounds = found.get("steps", []), found.get("rounds", [])
    if not steps and not rounds:
        raise SettingsError("--measured", "is no result of circle bench drop", got=str(file), example=example)
    try:
        if rounds:
            step = sorted(rounds, key=lambda one: one["our_cpu_us_per_request"])[len(rounds) // 2]
        else:
            step = max(steps, key=lambda one: one["outcomes_per_s"])
        cpu_us = dict.fromkeys((*PROCESSES, *SERVICES), 0.0)
        for one in step["cpu"]:
            cpu_us[_part(one["name"])] += one["us_per_request"]
    except (KeyError, TypeError, AttributeError) as error:
        raise SettingsError("--measured", f"has no {error}", got=str(file), example=example) from None
    return Costs(source=f"{file.name}: {step['outcomes_per_s']:,.0f} outcomes/s", cpu_us=cpu_us)


def _part(process: str) -> str:
    """The part that a process or service of a bench belongs to: "reservations-1" to "reservations"."""
    if process in BROKERS:
        return "broker"
    if process == "valkey":
        return "redis"
    name = process.rstrip("0123456789").rstrip("-")
    return name if name in (*PROCESSES, *SERVICES) else "read-side"
