"""The whole check: each partition's log, then Postgres, Redis, the bank and the dead letters against it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import redis

from connectors import redis_clients
from connectors.kafka import admin, committed_offsets, consumer
from connectors.log_reader import stamp_of
from connectors.postgres import connect
from connectors.schema_registry import codec_of
from connectors.settings import Settings
from ops.proof.checker.audit import TICK_BOUND_S, DecidesAgain, PartitionAudit
from ops.proof.checker.expected_rows import check_bank, check_mails, check_partition, check_positions
from ops.proof.checker.ledger import Ledger
from ops.proof.checker.quiescence import RESERVATIONS_GROUP
from ops.proof.checker.reading import HistoryReader
from ops.proof.checker.record_checks import log_time_of
from ops.proof.checker.redis_state import check_redis
from ops.proof.checker.report import Report, ToldOutcome
from schemas.codec import Codec
from schemas.topics import COMMANDS, dead_letters


def check(
    settings: Settings,
    *,
    told: Iterable[ToldOutcome] = (),
    strict: bool = False,
    postgres: bool = True,
    show: bool = True,
    bank: bool = True,
    inbox: bool = True,
    again: Callable[[Codec], DecidesAgain] | None = None,
    tick_bound_s: float = TICK_BOUND_S,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Check everything, and report every violation. The platform must have settled (`wait_until_settled`).

    `strict` is for a broker that hides aborted records: there no position may be seen twice. `show=False` leaves Redis
    out, `bank=False` the sandbox's books (for tests that play the bank themselves), `inbox=False` the notifications.
    `again` makes the second decision of a partition's commands (`ops.proof.full_check` passes it). `tick_bound_s` is
    the log time by which a hold may outlive its deadline. A test that stops workers needs more than the default.
    """
    return _run(
        _check(
            settings,
            list(told),
            strict=strict,
            postgres=postgres,
            show=show,
            bank=bank,
            inbox=inbox,
            again=again,
            tick_bound_s=tick_bound_s,
            progress=progress,
        )
    )


async def _check(
    settings: Settings,
    told: list[ToldOutcome],
    *,
    strict: bool,
    postgres: bool,
    show: bool,
    bank: bool,
    inbox: bool,
    again: Callable[[Codec], DecidesAgain] | None,
    tick_bound_s: float,
    progress: Callable[[int, int], None],
) -> Report:
    report, codec = Report(), codec_of(settings)
    partitions = partitions_of(settings, COMMANDS)
    committed = _committed(settings, partitions)
    connection = await connect(settings.postgres_url) if postgres else None
    client: redis.Redis | None = None
    if show:
        client = redis_clients.connect(settings.redis_url, decode_responses=True)
    log = HistoryReader(settings, codec, report, strict=strict)
    ledgers: list[Ledger] = []
    unreadable: Counter[tuple[int, int]] = Counter()
    ends: dict[int, int] = {}
    try:
        for number in range(partitions):
            own = [one for one in told if one.partition == number]
            audit = PartitionAudit(
                number,
                report,
                codec,
                told=own,
                tick_bound_s=tick_bound_s,
                again=again(codec) if again is not None else None,
                partitions=partitions,
            )
            ends[number] = _read(log, audit)
            audit.finish()
            _check_committed(number, committed.get(number), ends[number], report)
            unreadable.update((number, offset) for offset in audit.unreadable)
            if connection is not None:
                await check_partition(connection, number, audit.ledgers, audit.inbox if inbox else None, report)
                sent = inbox and settings.smtp_url is not None
                await check_mails(connection, number, audit.mails, report, sent=sent)
            if client is not None:
                check_redis(client, audit.ledgers, report)
            ledgers += [ledger for ledger in audit.ledgers.values() if ledger.captured or ledger.refunds]
            progress(number + 1, partitions)
        _check_dead_letters(log, unreadable, report, strict=strict)
        if connection is not None:
            await check_positions(connection, ends, report)
            if bank:
                await check_bank(connection, ledgers, report)
    finally:
        log.close()
        if connection is not None:
            await connection.close()
        if client is not None:
            client.close()
    return report


def _read(log: HistoryReader, audit: PartitionAudit) -> int:
    """Go through a partition's log. Returns the offset of its last command, -1 for none."""
    last = -1
    for message, facts in log.partition(audit.number):
        last = message.offset() or 0
        audit.read(last, log_time_of(stamp_of(message)), message.value(), facts)
    return last


def _check_committed(partition: int, committed: int | None, last: int, report: Report) -> None:
    """The group's offset is after the last command, with at most a transaction's marker between them."""
    if (committed or 0) <= last:
        what = f"committed is {committed}, the last command is {last}"
        report.add("committed-offset", f"{COMMANDS} {partition}", what)


def _check_dead_letters(
    log: HistoryReader, unreadable: Counter[tuple[int, int]], report: Report, *, strict: bool
) -> None:
    """Each unreadable command is in the dead letters, with its origin."""
    found: Counter[tuple[int, int]] = Counter()
    for message in log.dead_letters():
        headers = {header[0]: header[1] for header in message.headers() or []}
        if "redriven_offset" in headers:  # a marker of `circle dlq redrive`, no letter
            continue
        origin = headers.get("origin_partition"), headers.get("origin_offset")
        if origin[0] is None or origin[1] is None or "error" not in headers:
            report.add(
                "dead-letters", f"{dead_letters(COMMANDS)} {message.offset()}", "a dead letter without its origin"
            )
            continue
        found[int(origin[0]), int(origin[1])] += 1
    report.counts["dead_letters"] = found.total()
    for partition, offset in unreadable.keys() - found.keys():
        report.add("dead-letters", f"{partition}-{offset}", "an unreadable command without a dead letter")
    for (partition, offset), number in found.items():
        if (partition, offset) not in unreadable or (strict and number > 1):
            report.add("dead-letters", f"{partition}-{offset}", f"{number} dead letters of a readable record")


def partitions_of(settings: Settings, topic: str) -> int:
    """How many partitions a topic has."""
    return len(admin(settings).list_topics(topic, timeout=10).topics[topic].partitions)


def _committed(settings: Settings, partitions: int) -> dict[int, int | None]:
    client = consumer(settings, group=RESERVATIONS_GROUP)
    try:
        return committed_offsets(client, COMMANDS, list(range(partitions)))
    finally:
        client.close()


def _run(work: Coroutine[Any, Any, Report]) -> Report:
    """Run to the end; if an event loop is running already, in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
