"""`circle replay redis`: what Redis shows compared with the log, and made anew where it differs.

The log's commands are decided again, as `circle verify` does, and each event's claims and counters compared. Those that
differ or are missing are forgotten in Redis, together with the mark that says the partition is shown; the partition's
owner, and nobody else, then installs them from its state under its own epoch, as after Redis has lost everything. So a
claim that a live worker is just making is never overwritten. Foreign locks stay: the log does not make them.
"""

from __future__ import annotations

import time

import msgspec
import redis

from connectors.log_reader import few_collections
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.proof.load.progress import ProgressBars
from ops.verify.verify import (
    PartitionResult,
    PartitionRun,
    VerifyOptions,
    compare_redis,
    connect_redis,
    numbers_of,
)

OWNED = ("meta", "claims", "availability")  # of an event; its foreign locks are not ours
INSTALLED_S = 15.0  # an owner looks every second and installs a few events at a time between its batches
LOOK_S = 0.1


class RedisPartition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition: what differed before, and what still does."""

    partition: int
    events: int
    through: int
    differed: list[str]
    missing: int
    shown_again: int
    not_shown: int  # forgotten, and shown by no owner within INSTALLED_S
    differs_still: list[str]


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """All partitions that were looked at. Without an owner nothing is shown again until there is one: not ok."""

    partitions: list[RedisPartition]
    dry_run: bool

    @property
    def ok(self) -> bool:
        return not any(one.differs_still or one.not_shown for one in self.partitions)


def rebuild(
    settings: Settings,
    progress: ProgressBars,
    *,
    event_id: str | None = None,
    partition: int | None = None,
    dry_run: bool = False,
) -> RedisReport:
    """Compare, and have made anew what differs. Raises ServiceUnreachable, LogTruncated, NoSuchPartition."""
    client, codec = connect_redis(settings), codec_of(settings)
    found = []
    try:
        for number in numbers_of(settings, VerifyOptions(event_id=event_id, partition=partition)):
            with PartitionRun(settings, number, codec, event_id) as run:
                run.bar = progress.bar(f"partition {number}", run.commands.high)
                with few_collections():
                    run.advance()
                found.append(_partition(run, client, dry_run=dry_run))
                run.bar.finish(run.read_to + 1)
    finally:
        client.close()
    return RedisReport(partitions=found, dry_run=dry_run)


def _partition(run: PartitionRun, client: redis.Redis, *, dry_run: bool) -> RedisPartition:
    differed = _differences(run, client)
    there = [event for event, state in run.verifier.states.items() if state.details is not None]
    missing = [event for event in there if not _shown(client, event)]
    wanted = sorted({*differed, *missing})
    still, shown, not_shown = differed, 0, 0
    if wanted and not dry_run:
        _forget(client, run.partition, wanted)
        shown = _wait(client, wanted)
        not_shown = len(wanted) - shown
        still = _differences(run, client)
    return RedisPartition(
        partition=run.partition,
        events=len(run.verifier.states),
        through=run.verifier.through,
        differed=sorted(differed),
        missing=len(missing),
        shown_again=shown,
        not_shown=not_shown,
        differs_still=sorted(still),
    )


def _differences(run: PartitionRun, client: redis.Redis) -> set[str]:
    """The events that Redis shows otherwise than the log, once both are at rest."""
    before = len(run.verifier.divergences)
    result = PartitionResult(
        partition=run.partition, through=0, digest="", commands=0, facts=0, repeated=0, failed=0, undecided=0, events=0
    )
    compare_redis(run, client, result)
    told = run.verifier.divergences[before:]
    return {one.event_id for one in told if one.kind == "redis"}


def _shown(client: redis.Redis, event_id: str) -> bool:
    return bool(client.hexists(f"circle:{{{event_id}}}:meta", "epoch"))


def _forget(client: redis.Redis, partition: int, event_ids: list[str]) -> None:
    for event_id in event_ids:
        client.delete(*(f"circle:{{{event_id}}}:{name}" for name in OWNED))
    client.delete(f"circle:installed:{partition}")


def _wait(client: redis.Redis, event_ids: list[str]) -> int:
    """Until the owner has shown them again, or time is over. Returns how many it has."""
    deadline = time.monotonic() + INSTALLED_S
    while True:
        shown = sum(_shown(client, event_id) for event_id in event_ids)
        if shown == len(event_ids) or time.monotonic() > deadline:
            return shown
        time.sleep(LOOK_S)
