"""`circle bench ingress`: the API process alone, from a request to its durable acknowledgement.

Reservations are sent at a stated rate, open loop, with real tokens and `Prefer: respond-async`: the answer is a 202 as
soon as the log has the command. No dataflow runs, so nothing else of ours uses the processor. Figures of each round:
latency from when a request was due, and the CPU of the API and of the services, divided by the requests. Afterwards the
log must have a record for each acknowledged request.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx
import msgspec

from connectors.errors import CircleError
from connectors.postgres import connect
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from connectors.sql_files import queries
from ops.progress import ProgressBars
from ops.proof.bench.sending import send_plan
from ops.proof.bench.suite.figures import BenchCheck, Figure, Machine, Scaling
from ops.proof.bench.suite.machine import Calibration
from ops.proof.bench.suite.measurement import Measurement, cpu_figures, rate_figure, rounds_chart
from ops.proof.bench.warm_up import S_MAX, SEED, WarmUp, rate_of, warm_up
from ops.proof.checker.reading import reader, records
from ops.proof.load.accounts import provision
from ops.proof.load.open_loop import Plan, Result, Target
from ops.proof.load.target import services_of
from ops.run.platform import development_key
from ops.run.services.process import free_port, log_tail, run_coroutine, spawn, wait_for
from ops.run.services.stack import Stack
from ops.statistics import CpuMeter, Latencies, ProcessCpu
from pipelines.configuration import settings_from_env
from schemas.commands import ReserveTickets
from schemas.ids import EventId, TicketTypeId
from schemas.placement import partition_of
from schemas.topics import COMMANDS

SQL = queries(Path(__file__).parent / "sql" / "ingress.sql")
API = "api"
READY_S = 30.0
STOP_S = 15.0
ACKNOWLEDGED = "pending"  # what the load generator calls a 202


class IngressOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to send."""

    rate: float = 1_000.0
    seconds: float = 5.0
    rounds: int = 3
    events: int = 8
    buyers: int = 2_000
    partitions: int = 8
    broker: str = "embedded"
    warm_up_s: float = S_MAX  # at most so long
    seed: int = 1


class IngressRound(msgspec.Struct, frozen=True, kw_only=True):
    """One round. `acknowledged` requests got a 202."""

    requests: int
    acknowledged: int
    outcomes: dict[str, int]
    latency: Latencies
    cpu: list[ProcessCpu]

    @property
    def api_us(self) -> float:
        """CPU of the API process, in microseconds a request."""
        return next(one.us_per_request for one in self.cpu if one.name == API)


class IngressReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds. `recorded` commands are on the log, those of the warm-up included; `acknowledged` were promised."""

    options: IngressOptions
    rounds: list[IngressRound]
    api_us_per_request: float  # the median of the rounds
    acknowledged: int
    recorded: int
    unknown: int
    baseline: list[Latencies] = []  # of a route that writes nothing, in turns with the rounds
    warm_up: WarmUp | None = None
    machine: Machine | None = None

    @property
    def passed(self) -> bool:
        """Whether each acknowledged request is on the log, and nothing that was not sent."""
        return bool(self.acknowledged) and self.acknowledged <= self.recorded <= self.acknowledged + self.unknown


def run(options: IngressOptions, progress: ProgressBars) -> IngressReport:
    """Runs the rounds on a stack of its own. Raises CircleError if the API or the client fails."""
    with (
        tempfile.TemporaryDirectory(prefix="circle-bench-") as directory,
        Stack(options.broker, partitions=options.partitions) as stack,
    ):
        env = {
            **os.environ,
            **stack.fresh(),
            "CIRCLE_JWT_KEY_FILE": str(development_key(Path(directory) / "jwt.pem")),
            "CIRCLE_RATE_LIMIT_SCALE": "0",
            "CIRCLE_ADMISSION_TARGET_MS": "0",  # nothing decides here
            "CIRCLE_INSTANCE": "bench",
        }
        settings, sent, rounds = settings_from_env(env), list[Result](), list[IngressRound]()
        baseline, calibration = list[Latencies](), Calibration(options.broker)
        tokens, targets = run_coroutine(_prepared(settings, options))
        with api(env, Path(directory) / "api.log") as (url, pid):
            meter = CpuMeter({API: pid}, services_of(stack))
            plan = Plan(
                url=url,
                tokens=tokens,
                targets=targets,
                rate=options.rate,
                seconds=options.seconds,
                seed=options.seed * 1_000,
                prefer="respond-async",
                acknowledgements=True,
            )
            windows = msgspec.structs.replace(plan, rate=rate_of(options.rate), seed=plan.seed + SEED)
            warm = warm_up(windows, options.warm_up_s, meter, progress, on_sent=sent.append)
            for number in range(options.rounds):
                calibration.measure()
                if number % 2 == 0:
                    baseline.append(_probed(plan, progress))
                meter.start()
                result = send_plan(msgspec.structs.replace(plan, seed=plan.seed + number), progress)
                sent.append(result)
                rounds.append(_round(result, meter.read(result.sent)))
                if number % 2:
                    baseline.append(_probed(plan, progress))
        recorded = _recorded(settings)
    found = report(options, rounds, sent, recorded)
    return msgspec.structs.replace(found, baseline=baseline, warm_up=warm, machine=calibration.machine())


def _probed(plan: Plan, progress: ProgressBars) -> Latencies:
    """The latency of a route that writes nothing, at the same rate."""
    return send_plan(msgspec.structs.replace(plan, probe=True, acknowledgements=False), progress, "baseline").latency


def measurement(report: IngressReport) -> Measurement:
    """The report as the suite shows it. Pure."""
    options, rounds = report.options, report.rounds
    assert report.machine is not None
    times = {
        "p50": [one.latency.p50_ms for one in rounds],
        "p99": [one.latency.p99_ms for one in rounds],
        "baseline p50": [one.p50_ms for one in report.baseline],
        "baseline p99": [one.p99_ms for one in report.baseline],
    }
    figures = [
        rate_figure(
            "acknowledged", [round(one.acknowledged / options.seconds, 1) for one in rounds], scaling=Scaling.NONE
        ),
        *(Figure(name=name, unit="ms to the acknowledgement", values=values) for name, values in times.items()),
        *cpu_figures([one.cpu for one in rounds], "µs a request"),
    ]
    return Measurement(
        name="ingress",
        about="the API process alone, from a request to its durable acknowledgement",
        load={
            "rate": options.rate, "seconds": options.seconds, "events": options.events, "buyers": options.buyers,
            "partitions": options.partitions,
        },
        machine=report.machine,
        figures=figures,
        checks=[
            BenchCheck(
                "each acknowledged request is on the log",
                report.passed,
                f"{report.acknowledged} acknowledged, {report.recorded} on the log",
            )
        ],
        charts=[rounds_chart("ingress", figures, lambda figure: figure.unit.startswith("ms"))],
    )  # fmt: skip


def report(options: IngressOptions, rounds: list[IngressRound], sent: list[Result], recorded: int) -> IngressReport:
    """The figures of the rounds. Pure."""
    acknowledged = sum(one.outcomes.get(ACKNOWLEDGED, 0) for one in sent)
    return IngressReport(
        options=options,
        rounds=rounds,
        api_us_per_request=round(median(one.api_us for one in rounds), 1),
        acknowledged=acknowledged,
        recorded=recorded,
        unknown=sum(one.sent for one in sent) - acknowledged,
    )


def _round(result: Result, cpu: list[ProcessCpu]) -> IngressRound:
    return IngressRound(
        requests=result.due,
        acknowledged=result.outcomes.get(ACKNOWLEDGED, 0),
        outcomes=result.outcomes,
        latency=result.latency,
        cpu=cpu,
    )


async def _prepared(settings: Settings, options: IngressOptions) -> tuple[list[str], list[Target]]:
    """The buyers' tokens, and events whose rows the API finds."""
    accounts = await provision(settings, options.buyers, label="ingress")
    events = [EventId(str(uuid4())) for _ in range(options.events)]
    connection = await connect(settings.postgres_url)
    try:
        for event in events:
            await connection.execute(SQL["add_event"], event, partition_of(event, options.partitions))
    finally:
        await connection.close()
    places = int(options.rate * options.seconds)
    return [one.token for one in accounts], [Target(event, [TicketTypeId(str(uuid4()))], places) for event in events]


@contextmanager
def api(env: dict[str, str], log: Path, module: str = "ops.cli.main") -> Iterator[tuple[str, int]]:
    """One API process that answers: its URL and its process id. Raises CircleError with the end of its log."""
    port = free_port()
    process = spawn([sys.executable, "-m", module, "api", "--port", str(port)], log=log, env=env)
    url = f"http://127.0.0.1:{port}"
    try:
        failure = wait_for(lambda: _answers(url), timeout_s=READY_S, abort=lambda: _ended(process))
        if failure is not None:
            raise CircleError(f"the API did not start ({failure}); the end of its log:\n{log_tail(log)}")
        yield url, process.pid
        if process.poll() is not None:
            raise CircleError(f"the API ended with code {process.returncode}; the end of its log:\n{log_tail(log)}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _ended(process: subprocess.Popen[bytes]) -> str | None:
    return None if process.poll() is None else f"its code is {process.returncode}"


def _recorded(settings: Settings) -> int:
    """How many commands the log has, each counted once."""
    client, codec = reader(settings), codec_of(settings)
    commands = set()
    try:
        for partition in range(settings.partitions):
            for message in records(client, COMMANDS, partition):
                command = codec.decode(message.value() or b"")
                if not isinstance(command, ReserveTickets):
                    raise CircleError(f"{COMMANDS}[{partition}] at {message.offset()} is no reservation: {command}")
                commands.add(command.command_id)
    finally:
        client.close()
    return len(commands)
