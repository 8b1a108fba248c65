"""Reports the ages of records that this process counts to Redis, for monitoring, every REPORT_EVERY_S.

A report that is older than FRESH_S is of a process that has ended: it counts no more. While Redis is away, reports are
lost, and the log says so. Nothing else depends on them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec
import redis

from connectors import redis_clients
from connectors.logs import Log
from connectors.metrics import RECORD_AGES
from connectors.settings import Settings

AGES = "circle:record-ages"
REPORT_EVERY_S = 5.0
FRESH_S = 30.0
KEPT_S = 3_600  # the hash goes when no dataflow runs any more
TIMEOUT_S = 1.0
CLOSING_S = 5.0

Ages = dict[str, list[int]]
"""By stage: how many records had an age within each of AGE_BUCKETS_S, and above the last one."""

log = Log("ages")


class AgeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has counted since it began. `at` is in seconds."""

    at: float
    ages: Ages


class AgeReports:
    """Reports from a thread of its own, so that no batch waits for it."""

    def __init__(self, settings: Settings, flow: str) -> None:
        self._name = f"{flow}/{settings.instance}"
        self._client: redis.Redis = redis_clients.connect(
            settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="age-reports", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and take this process's report away."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSING_S)
        self._tell(withdrawn=True)
        self._client.close()

    def _run(self) -> None:
        while not self._stopped.wait(REPORT_EVERY_S):
            self._tell()

    def _tell(self, *, withdrawn: bool = False) -> None:
        counted = RECORD_AGES.counted()
        try:
            if withdrawn:
                self._client.hdel(AGES, self._name)
            elif counted:
                self._client.hset(AGES, self._name, msgspec.json.encode(AgeReport(at=time.time(), ages=counted)))
                self._client.expire(AGES, KEPT_S)
        except (redis.RedisError, OSError) as error:
            log.warning("ages.not_reported", process=self._name, error=f"{type(error).__name__}: {error}")


def together(reports: Mapping[bytes, bytes], now_s: float) -> Ages:
    """The sum over the processes that have reported lately. A report of another release counts as none."""
    total: Ages = {}
    for text in reports.values():
        try:
            report = msgspec.json.decode(text, type=AgeReport)
        except msgspec.MsgspecError:
            continue
        if now_s - report.at > FRESH_S:
            continue
        for stage, counts in report.ages.items():
            known = total.get(stage, [0] * len(counts))
            if len(known) == len(counts):
                total[stage] = [ours + theirs for ours, theirs in zip(known, counts, strict=True)]
    return total
