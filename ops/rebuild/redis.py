"""`circle replay redis`: compares Redis with the log, and has wrong or missing claims and counters installed again.

It decides the commands of the log again, as `circle verify` does, and compares the claims and counters of each event.
It deletes wrong ones from Redis, together with the mark that the partition is installed. Then the partition's owner,
and no one else, installs them from its state under its own epoch, as after a loss of Redis. So a claim that a live
worker is just making is never overwritten. Foreign locks stay, because the log does not make them.
"""

from __future__ import annotations

import time

import msgspec
import redis

from connectors.log_reader import few_collections
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.progress import ProgressBars
from ops.verify.verify import (
    PartitionResult,
    PartitionRun,
    VerifyOptions,
    compare_redis,
    connect_redis,
    numbers_of,
)
from pipelines.history.verification import DivergenceKind
from schemas.ids import EventId

OWNED = ("meta", "claims", "availability")  # an event's keys that its owner installs; foreign locks are not among them
INSTALLED_S = 15.0  # an owner looks each second, and installs a few events between its batches
LOOK_S = 0.1


class RedisPartition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition: the differences before, and those that remain."""

    partition: int
    events: int
    through: int
    differed: list[str]
    missing: int
    shown_again: int
    not_shown: int  # events that no owner has installed within INSTALLED_S
    differs_still: list[str]


class RedisReport(msgspec.Struct, frozen=True, kw_only=True):
    """All compared partitions. A partition without an owner is not ok: its events stay away until there is an owner."""

    partitions: list[RedisPartition]
    dry_run: bool

    @property
    def ok(self) -> bool:
        return not any(one.differs_still or one.not_shown for one in self.partitions)


def rebuild(
    settings: Settings,
    progress: ProgressBars,
    *,
    event_id: EventId | None = None,
    partition: int | None = None,
    dry_run: bool = False,
) -> RedisReport:
    """Compare, and have differences installed again. Raises ServiceUnreachable, LogTruncated, NoSuchPartition."""
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


def _differences(run: PartitionRun, client: redis.Redis) -> set[EventId]:
    """The events whose claims or counters differ from the log, when both are at rest."""
    before = len(run.verifier.divergences)
    result = PartitionResult(
        partition=run.partition, through=0, digest="", commands=0, facts=0, repeated=0, failed=0, undecided=0, events=0
    )
    compare_redis(run, client, result)
    divergences = run.verifier.divergences[before:]
    return {one.event_id for one in divergences if one.kind == DivergenceKind.REDIS}


def _shown(client: redis.Redis, event_id: EventId) -> bool:
    return bool(client.hexists(f"circle:{{{event_id}}}:meta", "epoch"))


def _forget(client: redis.Redis, partition: int, event_ids: list[EventId]) -> None:
    for event_id in event_ids:
        client.delete(*(f"circle:{{{event_id}}}:{name}" for name in OWNED))
    client.delete(f"circle:installed:{partition}")


def _wait(client: redis.Redis, event_ids: list[EventId]) -> int:
    """Wait until the owner has installed the events, or time is over. Returns the number of installed events."""
    deadline = time.monotonic() + INSTALLED_S
    while True:
        shown = sum(_shown(client, event_id) for event_id in event_ids)
        if shown == len(event_ids) or time.monotonic() > deadline:
            return shown
        time.sleep(LOOK_S)
