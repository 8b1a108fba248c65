"""Reports the progress of `circle verify --follow`: on `/readyz`, and as metrics when CIRCLE_METRICS_PORT is set."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Gauge, start_http_server

from connectors import clock
from connectors.settings import Settings
from ops.verify.verify import PartitionRun
from pipelines.monitoring.board import VERIFIED, Board, VerifiedPartition, VerifierProgress

Reporter = Callable[[list[PartitionRun]], None]


def board_report(board: Board) -> Reporter:
    """Writes progress, digests and divergences to Redis. The API shows them on `/readyz`."""

    def show(runs: list[PartitionRun]) -> None:
        partitions = [
            VerifiedPartition(
                partition=run.partition,
                through=run.verifier.through,
                digest=run.verifier.digest,
                waiting=max(0, run.waiting),
                divergences=run.verifier.diverged,
            )
            for run in runs
        ]
        found = VerifierProgress(
            at=clock.now_rfc3339(),
            facts=sum(run.verifier.facts for run in runs),
            divergences=sum(run.verifier.diverged for run in runs),
            partitions=partitions,
        )
        board.show(VERIFIED, found)

    return show


def metrics(settings: Settings) -> Reporter:
    """Exports progress and divergences as metrics, when CIRCLE_METRICS_PORT is set."""
    if settings.metrics_port is None:
        return lambda _runs: None
    start_http_server(settings.metrics_port, addr=settings.metrics_host)
    through = Gauge("circle_verify_through_offset", "The last command that was verified.", ["partition"])
    behind = Gauge("circle_verify_lag_records", "Commands on the log that are not verified yet.", ["partition"])
    found = Gauge("circle_verify_divergences", "Facts that are not what the rules give.", ["partition"])

    def export(runs: list[PartitionRun]) -> None:
        for run in runs:
            number = str(run.partition)
            through.labels(number).set(run.verifier.through)
            behind.labels(number).set(max(0, run.waiting))
            found.labels(number).set(run.verifier.diverged)

    return export
