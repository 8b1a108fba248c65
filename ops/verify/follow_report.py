"""Reports the progress of `circle verify --follow`: on `/readyz`, and as metrics when CIRCLE_METRICS_PORT is set."""

from __future__ import annotations

from collections.abc import Callable

from connectors import clock
from connectors.metrics_server import serve
from connectors.settings import Settings
from ops.verify.metrics import BEHIND, DIVERGENCES, THROUGH
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
    serve(settings.metrics_port, settings.metrics_host)

    def export(runs: list[PartitionRun]) -> None:
        for run in runs:
            number = str(run.partition)
            THROUGH.labels(number).set(run.verifier.through)
            BEHIND.labels(number).set(max(0, run.waiting))
            DIVERGENCES.labels(number).set(run.verifier.diverged)

    return export
