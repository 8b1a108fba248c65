"""The reservations process without Bytewax: `python -m ops.proof.bench.consumer_loop`.

A plain loop polls the same consumer, and carries each batch through the same place, decide, guard and commit. Core,
claims, transaction and replies are those of the dataflow; only Bytewax's runtime is missing. So the difference of the
two is what Bytewax costs. The loop does not have operators by name, nor the flow health that `circle pipeline` reports.
"""

from __future__ import annotations

import gc
import sys
from contextlib import closing

from prometheus_client import start_http_server

from connectors import logs
from connectors.errors import CircleError
from connectors.execution import COLLECT_AFTER
from connectors.kafka import StopFlag, check_reachable
from connectors.postgres import Database
from connectors.settings import Settings
from pipelines.configuration import settings_from_env
from pipelines.reservations.flow import decide, guard, place
from pipelines.reservations.seat_locks import SeatLocks
from pipelines.reservations.wiring import wire

MODULE = "ops.proof.bench.consumer_loop"
NAME = "consumer-loop"
START_TIMEOUT_S = 30.0


def run(settings: Settings) -> None:
    """Runs until a stop is requested. Raises the error of a step."""
    stop = StopFlag().install()
    check_reachable(settings, START_TIMEOUT_S)
    gc.set_threshold(*COLLECT_AFTER)
    database = Database(settings.postgres_url)
    locks = SeatLocks(settings.redis_url, stop_requested=lambda: stop.requested)
    with closing(database), closing(locks):
        deps = wire(settings, stop, database, locks)
        records, writer = deps.source.build(NAME, 0, 1), deps.sink.build(NAME, 0, 1)
        try:
            while not stop.requested:
                for messages in records.next_batch():
                    writer.write_batch([guard(decide(place(messages, deps), deps), deps)])
        finally:
            records.close()


def main() -> None:
    """The process, configured by CIRCLE_*. An error ends it with its text."""
    settings = settings_from_env()
    logs.configure(settings)
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, addr=settings.metrics_host)
    try:
        run(settings)
    except CircleError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
