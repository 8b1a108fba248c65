"""The processes of the platform, configured by CIRCLE_*: the HTTP API, and each dataflow.

`circle api` and `circle pipeline NAME` run them. A supervisor writes these commands plainly. `named_by` reads that
form without the library of the command line, whose import takes a third of the CPU of such a start.
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from functools import partial

from connectors import logs, postgres, redis_clients, tracing
from connectors.age_reports import AgeReports
from connectors.errors import CircleError, SettingsError
from connectors.execution import Ended
from connectors.flow_health import FlowHealth
from connectors.kafka import check_reachable
from connectors.kafka_clients import refused_right
from connectors.readiness import when_ready
from connectors.settings import Settings
from pipelines.configuration import settings_from_env
from pipelines.flows import READ_SIDE_BRANCHES, Flow

HOST, PORT, WORKERS = "127.0.0.1", 8000, 1
PORT_MAX, WORKERS_MAX = 65_535, 64
START_TIMEOUT_S = 30.0  # long enough for a broker to restart


def named_by(words: Sequence[str]) -> Callable[[], int] | None:
    """The process of a plain command line: `pipeline NAME`, or `api` with some of its options. None for any other,
    such as one with a mistake or `--help`."""
    match words:
        case ["pipeline", name] if name in set(Flow):
            return partial(pipeline, Flow(name))
        case ["api", *options]:
            given = {"--host": HOST, "--port": str(PORT), "--workers": str(WORKERS)}
            names = set(options[::2])
            if len(options) != 2 * len(names) or not names <= given.keys():
                return None
            host, port, workers = (given | dict(zip(options[::2], options[1::2], strict=True))).values()
            if not host.startswith("-") and _within(port, PORT_MAX) and _within(workers, WORKERS_MAX):
                return partial(api, host, int(port), int(workers))
    return None


def api(host: str, port: int, workers: int) -> int:
    """Serves HTTP until a signal. Returns the exit code."""
    settings = settings_from_env()
    logs.configure(settings)
    refuse_unsuitable_services(settings)
    module = importlib.import_module("api.server")
    module.serve(settings, host, port, workers)
    return 0


def pipeline(name: Flow) -> int:
    """Runs a dataflow until a signal or a failure. Returns the exit code."""
    settings = settings_from_env()
    logs.configure(settings)
    log = logs.get(name.value)
    if settings.metrics_port is not None:
        _serve_metrics(settings.metrics_port, settings.metrics_host)
    whole = Flow.READ_SIDE if name in READ_SIDE_BRANCHES else name
    target = f"pipelines.{whole.value.replace('-', '_')}.flow"
    try:
        module = importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name is None or not target.startswith(error.name):
            raise
        raise CircleError(f"the {name.value} dataflow is not part of this build") from None
    refuse_unsuitable_services(settings)
    tracing.start(name.value, settings.instance)
    lives, ages = FlowHealth(settings, name.value), AgeReports(settings, name.value)
    kind = ""
    check_reachable(settings, START_TIMEOUT_S)
    lives.begin()
    when_ready(lives.ready)
    ages.start()
    try:
        code = int((module.run(settings, flow=name) if whole is Flow.READ_SIDE else module.run(settings)) or 0)
        kind = (Ended.kind or f"exit code {code}") if code else ""
        return code
    except CircleError as error:
        kind = type(error).__name__
        raise
    except Exception as error:  # the process ends in any case; the log must have the cause
        cause = error.__cause__ or error
        kind = type(cause).__name__
        if isinstance(cause, CircleError):
            raise cause from None
        if (refused := refused_right(cause)) is not None:
            raise refused from None
        log.exception("process.failed", cause)
        return 1
    finally:
        tracing.stop()
        ages.close()
        lives.ended(kind)
        lives.close()


def refuse_unsuitable_services(settings: Settings) -> None:
    """Raises UnsuitableService for a Redis Cluster, and for a connection pooler in a mode that we cannot use.

    A service that is away is no error: the process waits for it, or works without it, and asks again as it connects.
    """
    redis_clients.refuse_cluster(settings.redis_url)
    asyncio.run(postgres.refuse_unsuitable(settings.postgres_url))


def _serve_metrics(port: int, host: str) -> None:
    from connectors.metrics_server import serve

    try:
        serve(port, host)
    except OSError as error:
        raise SettingsError("CIRCLE_METRICS_PORT", str(error), got=str(port), example="9101") from None


def _within(number: str, highest: int) -> bool:
    return number.isascii() and number.isdecimal() and 1 <= int(number) <= highest
