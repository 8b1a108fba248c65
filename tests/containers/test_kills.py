"""A container that is killed is started again, and the drop under way loses nothing and repeats nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ops.containers.engine import Engine
from tests.harness.compose_stack import ComposeStack, Drop, healed

KILLED = ("reservations", "read-side", "payments", "api", "redis", "postgres", "kafka")


@pytest.fixture(scope="module", autouse=True)
def killable(stack: ComposeStack, engine: Engine) -> None:
    if not stack.processes_are_here():
        pytest.skip("the engine's processes are on another machine, so no test can kill one as a crash does")


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
