"""`circle doctor`: checks whether this machine has what the platform needs."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from connectors import redis_clients
from connectors.errors import CircleError
from connectors.settings import Settings
from ops.output import AsJson, emit_json, emit_table
from ops.run import discovery as found
from ops.run.processes import PORT
from ops.run.services import kafka_jars
from ops.run.services.kafka_probe import brokers_known
from ops.run.services.process import port_is_free, run_coroutine
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env

NATIVE_MODULES = ("bytewax", "confluent_kafka", "fastavro", "asyncpg", "hiredis", "msgspec", "uvloop", "argon2")


class CheckResult(StrEnum):
    """The result of a check. Optional: it failed, and only some commands need it."""

    OK = "ok"
    OPTIONAL = "optional"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The result of one check. `optional`: it is missing, and only some commands need it."""

    name: str
    result: CheckResult
    detail: str


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(doctor)


def doctor(
    json: AsJson = False,
    port: Annotated[int, typer.Option(help="The port that `circle up` would use.")] = PORT,
    start: Annotated[bool, typer.Option(help="Start the embedded services once, as a test.")] = True,
) -> int:
    """Check Python, wheels, settings, ports and services, and the tools for Apache Kafka and Docker.

    Exit 1 on a fault.
    """
    checks = [
        _python(),
        _wheels(),
        _told("settings", _settings),
        _port(port),
        _told("platform", _platform, optional=True),
        _told("Java", lambda: f"{kafka_jars.java()} ({kafka_jars.java_major(kafka_jars.java())})", optional=True),
        _tool("Maven", "mvn"),
        _docker(),
    ]
    if start:
        checks.append(_told("embedded services", _services))
    checks += _configured()
    if json:
        emit_json(checks)
    else:
        emit_table(("check", "result", "detail"), [(c.name, c.result, c.detail) for c in checks])
    return 1 if any(check.result == CheckResult.FAILED for check in checks) else 0


def _python() -> Check:
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Check(name="Python", result=CheckResult.OK if good else CheckResult.FAILED, detail=sys.version.split()[0])


def _wheels() -> Check:
    missing: list[str] = []
    for name in NATIVE_MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    if missing:
        return Check(name="wheels", result=CheckResult.FAILED, detail="; ".join(missing) + "; run `make setup`")
    return Check(name="wheels", result=CheckResult.OK, detail=f"{len(NATIVE_MODULES)} native modules load")


def _settings() -> str:
    settings = settings_from_env()
    return f"{settings.env.value}, {settings.partitions} partitions"


def _platform() -> str:
    """The platform that the other commands would use."""
    named = [name for name in found.ADDRESSES if os.environ.get(name)]
    if named:
        return f"the one that {', '.join(named)} name"
    return str(found.stack_of(found.chosen.get()))


def _port(port: int) -> Check:
    ours = next((one for one in found.running() if one.name == str(port)), None)
    free = ours is not None or port_is_free(port)
    detail = f"{port} is free" if free else f"{port} is in use; `circle up --port …` takes another"
    if ours is not None:
        detail = f"{port} is the API of the platform that runs here, process {ours.pid}"
    return Check(name="port", result=CheckResult.OK if free else CheckResult.FAILED, detail=detail)


def _services() -> str:
    with Stack() as stack:
        return f"PostgreSQL {stack.postgres.address}, Valkey {stack.valkey.address}, broker {stack.kafka.url}"


def _configured() -> list[Check]:
    """The services that the environment names, else the services of the platform that runs here, if one does."""
    checks: list[Check] = []
    try:
        env = found.environment(needed=False)
        settings = settings_from_env(env)
    except CircleError:
        return checks
    if env.get("CIRCLE_KAFKA_BOOTSTRAP_SERVERS"):
        known = brokers_known(settings, timeout_s=5)
        detail = f"{settings.kafka_bootstrap_servers}: {known} brokers"
        checks.append(Check(name="Kafka", result=CheckResult.OK if known else CheckResult.FAILED, detail=detail))
    if env.get("CIRCLE_POSTGRES_URL"):
        checks.append(_told("PostgreSQL", lambda: _postgres(settings)))
    if env.get("CIRCLE_REDIS_URL"):
        checks.append(_told("Redis", lambda: _redis(settings)))
    return checks


def _postgres(settings: Settings) -> str:
    from ops.migrations import migrate

    missing = run_coroutine(migrate(settings.postgres_url, dry_run=True))
    return f"{len(missing)} migrations missing; run `circle migrate`" if missing else "schema up to date"


def _redis(settings: Settings) -> str:
    import redis

    with redis_clients.connect(settings.redis_url, socket_timeout=5) as client:
        try:
            client.ping()
            policy = str(client.config_get("maxmemory-policy").get("maxmemory-policy"))
        except redis.RedisError as error:
            raise CircleError(str(error)) from None
    if policy != "noeviction":
        raise CircleError(f"maxmemory-policy is {policy}; locks need noeviction")
    return "answers, noeviction"


def _told(name: str, ask: Callable[[], str], *, optional: bool = False) -> Check:
    try:
        return Check(name=name, result=CheckResult.OK, detail=ask())
    except CircleError as error:
        return Check(
            name=name,
            result=CheckResult.OPTIONAL if optional else CheckResult.FAILED,
            detail=str(error).splitlines()[0],
        )


def _docker() -> Check:
    path = shutil.which("docker")
    if path is None:
        return Check(name="Docker", result=CheckResult.OPTIONAL, detail="no docker on the PATH")
    try:
        code = subprocess.run([path, "version"], capture_output=True, timeout=5, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        code = -1
    detail = f"{path}, the engine {'answers' if code == 0 else 'does not answer'}"
    return Check(name="Docker", result=CheckResult.OK if code == 0 else CheckResult.OPTIONAL, detail=detail)


def _tool(name: str, program: str) -> Check:
    path = shutil.which(program)
    return Check(
        name=name, result=CheckResult.OK if path else CheckResult.OPTIONAL, detail=path or f"no {program} on the PATH"
    )
