"""The measured costs of a request, and the limits of one unit of each service.

A request is a reservation with everything that follows: its facts, rows, messages and payment.
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
    """The costs of a request at full batches.

    - `cpu_us`: µs of CPU by process and service. The broker's are those of one copy of the log.
    - `full_batch_us`: µs of CPU of a reservations worker whose batches are full, as they are when it is busy.
    - `refusal_api_us`, `refusal_worker_us`: µs of CPU for a refusal that shares a record, in the API process and in the
      worker that makes it a fact.
    - `log_bytes`: bytes on tickets.commands and tickets.facts, before replication and compression.
    - `rows`: rows that the read side inserts or updates. `row_bytes`: their size with indexes and write-ahead log.
    - `state_bytes`: the memory of a reservation in a worker.
    """

    source: str
    cpu_us: dict[str, float]
    full_batch_us: float = 24.5
    refusal_api_us: float = 90.0
    refusal_worker_us: float = 12.0
    log_bytes: float = 980.0
    rows: float = 3.4
    row_bytes: float = 1_250.0
    state_bytes: float = 600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit does at most, beyond its cores.

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
        "api": 191.0,
        "reservations": 80.0,
        "read-side": 74.0,
        "payments": 9.0,
        "broker": 182.0,
        "postgres": 72.0,
        "redis": 15.0,
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
