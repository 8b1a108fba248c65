"""What the broker, PostgreSQL and Redis say about themselves, and how far their clocks are from ours.

A service that does not say something is left out, and the log says so. Nothing else depends on it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import redis
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connectors import redis_clients
from connectors.age_reports import AGES, Ages, together
from connectors.flow_health import ALIVE, death_totals_key, deaths_key, ready_key
from connectors.kafka import admin
from connectors.logs import Log
from connectors.postgres import Connection, Database
from connectors.settings import Settings
from connectors.sql_files import queries
from pipelines.flows import Flow
from pipelines.monitoring.api_report import REPORTS, ApiTotals, stale, totals_of
from pipelines.monitoring.broker_clocks import skew
from pipelines.monitoring.flow_verdicts import verdicts_of
from schemas.ids import US_PER_S

ANSWER_S = 5.0
REDIS_TIMEOUT_S = 1.0

SQL = queries(Path(__file__).parent / "sql" / "server.sql")
log = Log("services")


class GroupState(NamedTuple):
    """A consumer group as the broker sees it. The embedded broker names no members."""

    state: str
    members: int


class BrokerState(NamedTuple):
    """Brokers, partitions without a leader, partitions with fewer replicas in sync than they have, and groups."""

    brokers: int
    leaderless: int
    under_replicated: int
    groups: dict[str, GroupState]


class RedisFigures(NamedTuple):
    """What Redis says about itself, and what processes have written there about their lives."""

    info: dict[str, Any]
    clock_skew_s: float
    processes: dict[str, int]
    dying: dict[str, bool]
    deaths: dict[tuple[str, str], int]
    deaths_since_ever: dict[tuple[str, str], int]
    api: ApiTotals
    ages: Ages


class BrokerSurvey:
    """Asks the broker about itself."""

    def __init__(self, settings: Settings, groups: list[str]) -> None:
        self._settings, self._groups = settings, groups
        self._admin: AdminClient = admin(settings)

    def look(self) -> BrokerState | None:
        """The broker's state; None when it does not say.

        After an outage a client may wait for ever for a group's former coordinator (librdkafka issue 5511). Requests
        that time out may end the process. So a client whose request about a group has timed out is replaced.
        """
        try:
            metadata = self._admin.list_topics(timeout=ANSWER_S)
            described = self._admin.describe_consumer_groups(self._groups, request_timeout=ANSWER_S)
        except KafkaException as error:
            log.warning("broker.not_read", error=str(error))
            return None
        groups, timed_out = {}, False
        for name, answer in described.items():
            try:
                group = answer.result()
            except KafkaException as error:
                log.warning("group.not_read", group=name, error=str(error))
                timed_out |= error.args[0].code() == KafkaError._TIMED_OUT
                continue
            groups[name] = GroupState(group.state.name.lower().replace("_", "-"), len(group.members))
        if timed_out:
            self._admin = admin(self._settings)
        partitions = [one for topic in metadata.topics.values() for one in topic.partitions.values()]
        return BrokerState(
            brokers=len(metadata.brokers),
            leaderless=sum(one.leader < 0 for one in partitions),
            under_replicated=sum(len(one.isrs) < len(one.replicas) for one in partitions),
            groups=groups,
        )


class RedisSurvey:
    """Asks Redis about itself, and reads what processes have written there."""

    def __init__(self, settings: Settings) -> None:
        self._client: redis.Redis = redis_clients.connect(
            settings.redis_url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def look(self) -> RedisFigures | None:
        """The report; None while Redis does not answer."""
        try:
            before = time.time()
            seconds, micros = self._client.time()
            after = time.time()
            with self._client.pipeline(transaction=False) as asked:
                asked.hkeys(ALIVE)
                asked.hgetall(REPORTS)
                asked.hgetall(AGES)
                asked.info()
                for flow in Flow:
                    asked.lrange(deaths_key(flow), 0, -1)
                    asked.get(ready_key(flow))
                for flow in Flow:
                    asked.hgetall(death_totals_key(flow))
                alive, reports, ages, info, *rest = asked.execute()
        except (redis.RedisError, OSError) as error:
            log.warning("redis.not_read", error=f"{type(error).__name__}: {error}")
            return None
        self._forget(stale(reports, after))
        processes = dict.fromkeys((flow.value for flow in Flow), 0)
        for name in alive:
            flow_name = name.decode().partition("/")[0]
            processes[flow_name] = processes.get(flow_name, 0) + 1
        lives, totals = rest[: -len(Flow)], rest[-len(Flow) :]
        verdicts = verdicts_of(lives, after)
        return RedisFigures(
            info=info,
            clock_skew_s=skew(seconds + micros / US_PER_S, before, after),
            processes={flow: number for flow, number in processes.items() if number},
            dying=verdicts.dying,
            deaths=verdicts.deaths,
            deaths_since_ever={
                (flow.value, kind.decode()): int(number)
                for flow, of in zip(Flow, totals, strict=True)
                for kind, number in of.items()
            },
            api=totals_of(reports, after),
            ages=together(ages, after),
        )

    def _forget(self, processes: list[bytes]) -> None:
        """Remove the reports of API processes that have ended."""
        if not processes:
            return
        try:
            self._client.hdel(REPORTS, *processes)
        except (redis.RedisError, OSError) as error:
            log.warning("redis.not_read", error=f"{type(error).__name__}: {error}")


class PostgresFigures(NamedTuple):
    """What PostgreSQL says about itself."""

    clock_skew_s: float
    figures: dict[str, float]


def look_at_postgres(database: Database) -> PostgresFigures:
    """The report. Raises ServiceUnreachable when PostgreSQL is away."""

    async def ask(connection: Connection) -> tuple[float, dict[str, Any], float]:
        before = time.time()
        (row,) = await connection.fetch(SQL["server"])
        return before, dict(row), time.time()

    before, row, after = database.run(ask, readonly=True)
    clock = row.pop("clock")
    return PostgresFigures(skew(clock, before, after), {name: float(value) for name, value in row.items()})
