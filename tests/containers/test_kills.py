"""A container that is killed is started again, and the drop under way loses nothing and repeats nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.containers.engine import Engine
from tests.containers.conftest import PROJECT
from tests.harness.compose_stack import REGISTRY, ComposeStack, Drop, compose_stack, healed

KILLED = (
    *("reservations", "read-side", "payments", "api", "redis", "postgres", "kafka"),
    *("schema-registry", "mailpit", "prometheus"),
)
ONCE = {"prepare"}  # has ended before the others begin


@pytest.fixture(scope="module")
def stack(whole_engine: Engine) -> Iterator[ComposeStack]:
    """All of it, with records that have the registry's ids."""
    with compose_stack(whole_engine, PROJECT, profile="full", extra=REGISTRY) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def killable(stack: ComposeStack) -> None:
    if not stack.processes_are_here():
        pytest.skip("the engine's processes are on another machine, so no test can kill one as a crash does")


def test_each_container_that_runs_is_killed(stack: ComposeStack) -> None:
    assert set(stack.compose("ps", "--services", "--status", "running").split()) - ONCE == set(KILLED)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("service", KILLED)
def test_a_drop_goes_on_through_the_death_of(service: str, stack: ComposeStack) -> None:
    with stack.shop() as shop, ThreadPoolExecutor(1) as beside:
        drop = Drop(shop)
        selling = beside.submit(drop.sell)
        killed = stack.kill(service)
        outcomes = selling.result()
        healed(stack, killed, service)
        again = drop.ask_again()
    assert [one["position"] for one in again] == [one["position"] for one in outcomes], "one outcome for each key"
    assert stack.verify() >= len(outcomes)
