"""The full profile: Prometheus reads every process, the registry gives the ids of records, and mails reach Mailpit."""

from __future__ import annotations

import httpx
import pytest

from ops.containers.engine import Engine
from ops.run.services.process import wait_for
from schemas.codec import own_schemas
from tests.harness.compose_stack import REGISTRY, ComposeStack, Drop

SEEN_S_MAX = 60
JOBS = {"api", "dataflows"}


@pytest.fixture(scope="module")
def full(whole_engine: Engine, stack: ComposeStack) -> ComposeStack:  # the stand-ins of the whole profile are there
    """The stack with its tools and its monitoring."""
    stack.profile = "full"
    stack.up()
    return stack


def test_all_that_has_an_image_is_healthy(full: ComposeStack) -> None:
    services = full.compose("ps", "--services", "--status", "running").split()
    assert set(services) == {
        *("api", "reservations", "read-side", "payments"),
        *("kafka", "postgres", "redis", "schema-registry", "mailpit", "prometheus"),
    }


def test_prometheus_reads_every_process(full: ComposeStack) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{full.ports['PROMETHEUS_PORT']}") as prometheus:

        def seen() -> bool:
            targets = prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
            up = [one["labels"]["job"] for one in targets if one["health"] == "up"]
            return set(up) == JOBS and len(up) == len(targets) == 1 + 2 + 1 + 1

        assert wait_for(seen, timeout_s=SEEN_S_MAX) is None, prometheus.get("/api/v1/targets").text
        answer = prometheus.get("/api/v1/query", params={"query": "circle_http_requests_total"}).json()
        assert answer["data"]["result"]


@pytest.mark.timeout(400)
def test_records_have_the_registrys_ids_and_the_registry_has_our_schemas(full: ComposeStack) -> None:
    full.extra |= REGISTRY
    full.compose("run", "--rm", "--no-deps", "api", "verify")  # one process registers, and the others find all of it
    full.up()
    with full.shop() as shop:
        Drop(shop).sell()
    assert full.verify()
    assert set(httpx.get(f"{full.registry}/subjects").json()) == set(own_schemas())


def test_mails_about_accounts_reach_mailpit(full: ComposeStack) -> None:
    with full.shop() as shop:
        person = shop.person()
    with httpx.Client(base_url=f"http://127.0.0.1:{full.ports['MAILPIT_PORT']}") as mailpit:

        def arrived() -> bool:
            found = mailpit.get("/api/v1/search", params={"query": f"to:{person.email}"}).json()
            return bool(found["messages_count"] == 1)

        assert wait_for(arrived, timeout_s=SEEN_S_MAX) is None, mailpit.get("/api/v1/messages").text
