"""`circle up`, and its processes: `circle api` and `circle pipeline NAME`."""

import os
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ops.run import processes
from pipelines.flows import Flow

if TYPE_CHECKING:
    from ops.run.platform import Platform

WATCH_S = 0.2

NEXT = """
  the API's documentation   {url}/docs
  the dashboard             {dashboard}
  all events                curl {url}/v1/events
  an account                curl {url}/v1/auth/register -H 'content-type: application/json' \\
                              -d '{{"email":"ada@example.org","password":"correct-horse-7","name":"Ada"}}'
  logs                      {logs}
  figures and alerts        prometheus --config.file={prometheus}
  mails                     {mails}
  tools find it             circle verify, circle dlq list, … in another terminal; circle env prints how
  a whole sold-out drop     circle demo          (in another terminal; it brings a stack of its own)
  Ctrl-C stops everything; so does `kill {pid}` from elsewhere.
"""


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(up)
    app.command()(api)
    app.command()(pipeline)


def up(
    port: Annotated[int, typer.Option(help="The API's port.", min=1, max=processes.PORT_MAX)] = processes.PORT,
    data_dir: Annotated[
        Path | None, typer.Option(help="The directory that keeps the data. Without it, all data is lost at the end.")
    ] = None,
    broker: Annotated[str, typer.Option(help="embedded, apache, apache-3, or host:port of a broker.")] = "embedded",
    reservations: Annotated[int, typer.Option(help="Reservations processes.", min=1, max=64)] = 1,
) -> int:
    """Run the services, the API and the dataflows in one terminal. Ctrl-C stops them cleanly."""
    from ops.run.platform import Platform

    os.umask(0o077)  # only this user can read keys, mails, logs and data
    console = Console(highlight=False, soft_wrap=True)
    asked_to_stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if asked_to_stop.is_set():
            return
        asked_to_stop.set()
        console.print(f"{signal.Signals(number).name}: stopping the API, the dataflows, the services")

    hangup = () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)  # ignored after `nohup`
    for number in (signal.SIGINT, signal.SIGTERM, *hangup):
        signal.signal(number, on_signal)
    platform = Platform(
        broker=broker,
        data_dir=data_dir,
        port=port,
        reservations=reservations,
        keep_mails=True,
        findable=True,
        say=lambda text: console.print(text, markup=False),
    )
    _say_what_lasts(console, platform)
    try:
        platform.start(cancelled=asked_to_stop)
        if not asked_to_stop.is_set():
            print(f"ready {platform.url}", flush=True)
            console.print(
                NEXT.format(
                    url=platform.url,
                    dashboard=platform.dashboard_url,
                    logs=platform.logs,
                    prometheus=platform.prometheus_config(),
                    mails=platform.mails or _where_mails_go(platform),
                    pid=os.getpid(),
                ),
                markup=False,
            )
        while not asked_to_stop.wait(WATCH_S):
            platform.supervisor.raise_failure()
    finally:
        platform.stop()
    console.print("stopped")
    return 0


def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = processes.HOST,
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=processes.PORT_MAX)] = processes.PORT,
    workers: Annotated[
        int, typer.Option(help="Worker processes.", min=1, max=processes.WORKERS_MAX)
    ] = processes.WORKERS,
) -> int:
    """Run only the HTTP API, configured by CIRCLE_*."""
    return processes.api(host, port, workers)


def pipeline(name: Annotated[Flow, typer.Argument(help="The dataflow's name.")]) -> int:
    """Run only one dataflow, configured by CIRCLE_*. Several processes of one name share its partitions."""
    return processes.pipeline(name)


def _where_mails_go(platform: "Platform") -> str:
    sent = platform.settings.smtp_url is not None
    return "sent to the server of CIRCLE_SMTP_URL" if sent else "not sent: CIRCLE_SMTP_URL is not set"


def _say_what_lasts(console: Console, platform: "Platform") -> None:
    if platform.data_dir is None:
        console.print("no --data-dir: all data is lost when this stops")
    elif platform.stack.memory_only:
        console.print(
            f"[bold]the embedded broker keeps the log in memory[/]: accounts and keys stay in {platform.data_dir}, "
            "events and tickets do not; `--broker apache` keeps them"
        )
    else:
        console.print(f"data stays in {platform.data_dir}")
