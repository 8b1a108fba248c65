"""The target of load: a new platform, or one that runs already; and the processes whose CPU counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from connectors.settings import Settings
from ops.run.discovery import operator_settings
from ops.run.platform import WORKER, Platform
from ops.run.services.stack import Stack
from ops.run.supervisor import Say
from ops.statistics import CpuMeter

BUS = "CIRCLE_KAFKA_BOOTSTRAP_SERVERS"


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """An address, the settings behind it, and a meter of its processes. Of a new platform also `metrics_urls`, where
    each dataflow has its metrics."""

    url: str
    settings: Settings
    meter: CpuMeter
    metrics_urls: tuple[str, ...] = ()


@contextmanager
def own_platform(
    *,
    broker: str,
    reservations: int,
    say: Say,
    rate_limits: bool = False,
    worker: Sequence[str] = WORKER,
    durable: bool = False,
) -> Iterator[LoadTarget]:
    """A fresh platform, by default without rate limits, which ends with the block. With `durable`, its PostgreSQL syncs
    each transaction to disk."""
    env = {} if rate_limits else {"CIRCLE_RATE_LIMIT_SCALE": "0"}
    platform = Platform(broker=broker, reservations=reservations, env=env, worker=worker, say=say, durable=durable)
    with platform:
        yield LoadTarget(platform.url, platform.settings, meter_of(platform), platform.metrics_urls)


@contextmanager
def running_platform(url: str) -> Iterator[LoadTarget]:
    """A platform that runs already; CIRCLE_* names its services and its key. Counts its processes on this machine."""
    settings = operator_settings()
    yield LoadTarget(url, settings, CpuMeter(processes_on(settings.kafka_bootstrap_servers), {}))


def meter_of(platform: Platform, others: Mapping[str, int] | None = None) -> CpuMeter:
    """A meter of all processes of a platform, and of `others`, which are not ours."""
    return CpuMeter(platform.supervisor.pids(), {**services_of(platform.stack), **(others or {})})


def services_of(stack: Stack) -> dict[str, int]:
    """The process ids of a stack's services by their names. A restart, as by `Stack.fresh`, gives new ones."""
    return {service.name: pid for service in stack.services if isinstance(pid := getattr(service, "pid", None), int)}


def processes_on(bootstrap_servers: str) -> dict[str, int]:
    """Our processes on this machine that use this broker, by their command."""
    found: dict[str, int] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            arguments = process.cmdline()
            if not any("ops.cli.main" in one or one.endswith("/circle") for one in arguments):
                continue
            if process.environ().get(BUS) != bootstrap_servers:
                continue
            name = "api" if "api" in arguments else arguments[-1] if "pipeline" in arguments else ""
            if name:
                found[name if name not in found else f"{name}-{process.pid}"] = process.pid
    return found
