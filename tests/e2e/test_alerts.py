"""Each alert fires by its fault and resolves: in a real Prometheus that scrapes the running platform, in the history,
and at the webhook. After a drop, each query of the dashboards returns data.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from connectors import clock
from connectors.postgres import connect
from ops.reference.alerts import SILENT
from ops.reference.dashboards import DASHBOARDS, Panel
from ops.run.platform import Platform
from ops.run.services.process import suspend
from ops.run.supervisor import ChildSpec
from pipelines.monitoring.alert_rules import AlertName
from pipelines.monitoring.board import VERIFIED, Board, VerifierProgress
from schemas.topics import COMMANDS, dead_letters
from tests.harness.certificates import expiring
from tests.harness.flows import write
from tests.harness.hook_server import HookServer
from tests.harness.prometheus import Prometheus, tool
from tests.harness.shop import OnSale, Person, Shop, done
from tests.harness.skewed_redis import SkewedRedis
from tests.harness.suspended import suspended

FIRES_S = 200.0  # the longest condition must hold for a minute, after a minute without a move
RESOLVES_S = 150.0  # the last minute of the API's answers must pass
DATA_S = 40.0  # sales are surveyed every ten seconds
SECONDS_OFF = 10
BUYERS, SEATS_OF_ROW = 12, 10
DROP = "10m"
PANELS = [(name, panel) for name, (_, panels) in DASHBOARDS.items() for panel in panels]

pytestmark = pytest.mark.timeout(900)


class SkewedPlatform(Platform):
    """The platform whose read side, which monitors, sees a Redis with a wrong clock."""

    redis: SkewedRedis

    def _specs(self) -> list[ChildSpec]:
        return [
            replace(spec, env={**spec.env, "CIRCLE_REDIS_URL": self.redis.url}) if spec.name == "read-side" else spec
            for spec in super()._specs()
        ]

    def _prepare(self, settings: Any) -> None:
        super()._prepare(settings)
        self.redis = SkewedRedis(settings.redis_url)
        self.redis.__enter__()

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "redis"):
            self.redis.__exit__(None, None, None)


@dataclass(frozen=True)
class Site:
    """A platform with its Prometheus and its operators' webhook."""

    platform: SkewedPlatform
    shop: Shop
    prometheus: Prometheus
    hooks: HookServer
    certificate: Path
    event: OnSale
    buyer: Person

    def sql(self, statement: str) -> None:
        async def run() -> None:
            connection = await connect(self.platform.settings.postgres_url)
            await connection.execute(statement)
            await connection.close()

        asyncio.run(run())

    def listed(self, *, firing: bool) -> set[str]:
        """The alerts that operators see: those that fire, or those that have resolved."""
        items = done(self.shop.http.get("/v1/alerts", params={"limit": 100}, headers=self.shop.operator), 200)["items"]
        return {one["alert"] for one in items if (one["status"] == "firing") is firing}

    def called(self, status: str) -> set[str]:
        """The alerts whose state the webhook has heard."""
        alerts = [alert for call in self.hooks.calls for alert in call.json["alerts"]]
        return {alert["labels"]["alertname"] for alert in alerts if alert["status"] == status}

    def until(
        self, true: Callable[[], bool], what: Callable[[], str], within_s: float, work: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline, what()
            work()
            time.sleep(0.5)

    def fire(self, names: set[str], work: Callable[[], None] = lambda: None) -> None:
        """Until all these alerts fire, for Prometheus and for operators."""
        self.until(
            lambda: names <= self.prometheus.firing() and names <= self.listed(firing=True),
            lambda: f"Prometheus: {names - self.prometheus.firing()}; ours: {names - self.listed(firing=True)}",
            FIRES_S,
            work,
        )

    def resolve(self, names: set[str], work: Callable[[], None] = lambda: None) -> None:
        """Until none of these alerts fires, and the webhook has heard of both states of each."""
        self.until(
            lambda: not names & self.prometheus.firing() and not names & self.listed(firing=True),
            lambda: f"Prometheus: {names & self.prometheus.firing()}; ours: {names & self.listed(firing=True)}",
            RESOLVES_S,
            work,
        )
        assert names <= self.listed(firing=False)
        self.until(
            lambda: names <= self.called("resolved"), lambda: f"{names - self.called('resolved')}", 30.0, lambda: None
        )
        assert names <= self.called("firing")


def title(value: object) -> str:
    """The name of a case: its dashboard, its panel."""
    return value.title if isinstance(value, Panel) else str(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    tool("prometheus")
    directory = tmp_path_factory.mktemp("site")
    certificate = directory / "authority.pem"
    certificate.write_bytes(expiring(datetime.now(UTC) + timedelta(days=400)))
    watched = directory / "watched"
    watched.mkdir()
    with ExitStack() as stack:
        if (
            os.geteuid() == 0
            and not subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(watched)], check=False
            ).returncode
        ):
            stack.callback(subprocess.run, ["umount", str(watched)], check=True)
        hooks = stack.enter_context(HookServer())
        env = {
            "CIRCLE_RATE_LIMIT_SCALE": "0",
            "CIRCLE_SMTP_CA_FILE": str(certificate),
            "CIRCLE_WATCHED_DIR": str(watched),
            "CIRCLE_ALERT_WEBHOOK_URL": hooks.url,
        }
        platform = stack.enter_context(SkewedPlatform(env=env))
        config = platform.prometheus_config(interval_s=1)
        prometheus = stack.enter_context(Prometheus(config, directory / "prometheus"))
        shop = Shop(platform.url, platform.settings)
        stack.callback(shop.http.close)
        event = shop.event(shop.organizer())
        buyer = shop.person()
        yield Site(
            platform=platform,
            shop=shop,
            prometheus=prometheus,
            hooks=hooks,
            certificate=certificate,
            event=event,
            buyer=buyer,
        )


@pytest.mark.parametrize(("name", "panel"), [(name, panel) for name, panel in PANELS if not panel.quiet], ids=title)
def test_each_query_of_the_dashboards_returns_data_before_a_sale(site: Site, name: str, panel: Panel) -> None:
    for query, _ in panel.queries:
        what = f"{name}: {query} returns data"
        site.prometheus.until(partial(returns_data, site.prometheus, query), what, DATA_S)


@pytest.fixture(scope="module")
def after_a_drop(site: Site) -> Site:
    """Holds, payments and refusals, and the time that a rate needs."""
    for number in range(BUYERS):
        buyer = site.shop.person()
        body: dict[str, Any] = {"ticket_type_id": site.event.seated, "seats": [f"B-{number + 1}"]}
        if number >= SEATS_OF_ROW:
            body = {"ticket_type_id": site.event.general, "quantity": 2}
        hold = done(buyer.reserve(site.event.id, **body), 201)
        if number % 2:
            done(buyer.confirm(hold["id"]), 200)
    assert site.buyer.reserve(site.event.id, ticket_type_id=site.event.seated, seats=["B-1"]).status_code == 409
    return site


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=title)
def test_each_query_of_the_dashboards_returns_data_after_a_drop(after_a_drop: Site, name: str, panel: Panel) -> None:
    prometheus = after_a_drop.prometheus
    for query, _ in panel.queries:
        since = f"max_over_time(({query})[{DROP}:1s])"  # a latency of the last minute is NaN when nothing came
        prometheus.until(partial(returns_numbers, prometheus, since), f"{name}: {query} returns data", DATA_S)


def returns_data(prometheus: Prometheus, query: str) -> bool:
    """Whether a query has a series now."""
    return bool(prometheus.query(query))


def returns_numbers(prometheus: Prometheus, query: str) -> bool:
    """Whether a series of a query has a number now."""
    return any(one["value"][1] != "NaN" for one in prometheus.query(query))


def test_figures_of_a_drop_are_those_of_the_drop(after_a_drop: Site) -> None:
    prometheus = after_a_drop.prometheus

    def value(query: str) -> float:
        found = prometheus.query(query)
        return float(found[0]["value"][1]) if len(found) == 1 else float("nan")

    event = after_a_drop.event.id
    prometheus.until(lambda: value(f'max(circle_event_places{{event="{event}", what="sold"}})') == 7, "sold", 40)
    assert value(f'max(circle_event_places{{event="{event}", what="total"}})') == 140
    assert value(f'max(circle_event_money_minor{{event="{event}", what="taken"}})') == 5 * 4_250 + 2 * 1_500
    assert value('max(circle_holds{state="open"})') == 6
    decided = value('sum(circle_record_age_seconds_count{stage="decided"})')
    assert decided == value('sum(circle_record_age_seconds_count{stage="replied"})') > 2 * BUYERS
    assert value("sum(circle_batch_records_sum{flow='reservations'})") == decided
    assert value("count(count by (job) (up == 1))") == 2
    purchases = BUYERS // 2
    assert value('max(circle_facts_total{type="TicketsHeld"})') == BUYERS
    assert value('max(circle_facts_total{type="ReservationConfirmed"})') == purchases
    assert value('max(circle_refusals_total{reason="seat-taken"})') == 1
    assert value('sum(circle_http_requests_total{route="/v1/events/<event_id>/reservations",status="409"})') == 1
    assert value('sum(circle_payment_requests_total{kind="charge",outcome="captured"})') == purchases
    assert value("max(circle_payment_jobs)") == 0
    for flow in ("circle.reservations", "circle.payments", "circle.projections", "circle.notifications"):
        prometheus.until(partial(nothing_waits, value, flow), f"{flow} has read all", 40)
    assert value("max(circle_kafka_brokers)") == 1
    assert value("max(circle_api_processes)") == 1
    assert value("sum(circle_dead_letters)") == 0
    assert value("max(circle_oversold_places)") == 0


def nothing_waits(value: Callable[[str], float], flow: str) -> bool:
    """Whether a flow has no lag, in records and in seconds."""
    return value(f'max(circle_lag_records{{flow="{flow}"}})') == value(f'max(circle_lag_seconds{{flow="{flow}"}})') == 0


def test_each_alert_fires_by_its_fault_and_resolves(after_a_drop: Site) -> None:
    site, names = after_a_drop, set(AlertName) - {AlertName.TRIPWIRE, AlertName.KEEPS_DYING}
    watched, topic = site.platform.settings.watched_dir, dead_letters(COMMANDS)
    assert watched is not None
    small = os.path.ismount(watched)
    if not small:
        names.discard(AlertName.DISK)
    board = Board(site.platform.settings)
    worker = psutil.Process(site.platform.supervisor.pid("reservations-1"))

    def ask() -> None:
        board.show(VERIFIED, VerifierProgress(at=clock.now_rfc3339(), facts=1, divergences=diverged, partitions=[]))
        for _ in range(3):
            site.shop.http.get("/v1/categories")
        site.buyer.get("/v1/users/me/security-events")

    diverged = 1
    suspend(worker)
    done(site.buyer.reserve(site.event.id, prefer="respond-async", ticket_type_id=site.event.general, quantity=1), 202)
    site.sql("ALTER TABLE categories RENAME TO categories_gone")
    site.sql("ALTER TABLE security_events RENAME COLUMN detail TO detail_gone")
    site.sql("UPDATE reservations SET quantity = quantity + 1000 WHERE status = 'held'")
    site.platform.redis.offset_s = SECONDS_OFF
    site.certificate.write_bytes(expiring(datetime.now(UTC) + timedelta(days=3)))
    write(site.platform.settings, topic, [(0, b"garbage", [])])
    if small:
        (watched / "full").write_bytes(bytes(1_000_000))
    site.fire({name.value for name in names}, ask)

    diverged = 0
    worker.resume()
    site.sql("ALTER TABLE categories_gone RENAME TO categories")
    site.sql("ALTER TABLE security_events RENAME COLUMN detail_gone TO detail")
    site.sql("UPDATE reservations SET quantity = quantity - 1000 WHERE status = 'held'")
    site.platform.redis.offset_s = 0
    site.certificate.write_bytes(expiring(datetime.now(UTC) + timedelta(days=400)))
    write(site.platform.settings, topic, [(0, b"", [("redriven_offset", b"0")])])
    if small:
        (watched / "full").unlink()
    site.resolve({name.value for name in names}, ask)
    board.close()
    if not small:
        pytest.skip("no disk could be filled: a small one needs the right to mount")


def test_a_seat_with_two_claims_stops_the_read_side_and_is_alarmed(after_a_drop: Site) -> None:
    site = after_a_drop
    names = {AlertName.TRIPWIRE.value, AlertName.KEEPS_DYING.value}
    site.sql(
        "INSERT INTO seat_claims (event_id, ticket_type_id, seat, reservation_id, partition, status, updated_offset, "
        f"updated_index) VALUES ('{site.event.id}', '{site.event.seated}', 'C-1', 'ghost', 0, 'held', 0, 0)"
    )
    site.buyer.reserve(site.event.id, ticket_type_id=site.event.seated, seats=["C-1"], prefer="respond-async")
    site.fire(names)
    site.sql("DELETE FROM seat_claims WHERE reservation_id = 'ghost'")
    site.resolve(names)


def test_prometheus_says_that_monitoring_is_silent(after_a_drop: Site) -> None:
    site = after_a_drop
    reader = site.platform.supervisor.pid("read-side")
    with suspended(reader):
        site.prometheus.until(lambda: SILENT in site.prometheus.firing(), "monitoring stands still", FIRES_S)
    site.prometheus.until(lambda: SILENT not in site.prometheus.firing(), "monitoring looks again", RESOLVES_S)
