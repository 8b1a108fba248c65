"""Brokers whose clocks differ by minutes: nothing is lost, no seat is sold twice, and `circle verify` agrees.

Log time of a partition is its leader's clock. It never goes back: it stands still when a leader follows whose clock is
behind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from connectors.kafka_clients import new_admin
from ops.run.services.process import wait_for
from pipelines.monitoring.alert_rules import AlertName
from pipelines.watch.alerts import alerts
from schemas.codec import Codec
from schemas.commands import Tick
from schemas.placement import partition_of
from schemas.topics import COMMANDS
from tests.harness import hosts
from tests.harness.buyers import HOLD_TTL_S, Buyers, buyers
from tests.harness.flows import command_records, rows_of
from tests.harness.machines import BROKERS, Machines
from tests.harness.shop import done, problem

AHEAD_S, BEHIND_S = 120, -120
CLOCKS_S = {"kafka-1": AHEAD_S, "kafka-2": BEHIND_S}
LATE_S_MAX = 15.0  # for a tick, its decision and its row, on a busy machine
TICKS_MAX = 6  # of one hold: with the clock of its broker behind, they are early, and ten seconds apart
BOUGHT = 40
TRIED_MEANWHILE = 60
HELD_S_MAX = AHEAD_S - BEHIND_S + HOLD_TTL_S + 60.0  # from the fastest broker to the slowest, log time stands as long
ALERTED_S_MAX = 90.0  # the alert fires when clocks have differed for half a minute


@pytest.fixture(scope="module")
def machines(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    if hosts.clock_library() is None:
        pytest.skip("a clock of its own needs a C compiler")
    with Machines(tmp_path_factory.mktemp("broker-clocks"), clocks_s=CLOCKS_S) as running:
        yield running


def led_by(machines: Machines, people: Buyers, node: int) -> str:
    """A new event on a partition whose leader is this broker, and its ticket type."""
    partitions = new_admin(machines.settings).list_topics(COMMANDS, timeout=10).topics[COMMANDS].partitions
    assert {one.leader for one in partitions.values()} == set(range(1, BROKERS + 1))
    while True:
        event = people.event()
        if partitions[partition_of(event.partition(" ")[0], len(partitions))].leader == node:
            return event


def ticks_of(machines: Machines, event_id: str) -> int:
    """How many ticks of the event are on the log."""
    codec = Codec()
    commands = (codec.decode(one.value()) for one in command_records(machines.settings))
    return sum(1 for command in commands if isinstance(command, Tick) and command.event_id == event_id)


def wait_no_holds(machines: Machines) -> None:
    """Until each hold has ended, by the clock of its broker."""
    with rows_of(machines.settings) as query:
        left = wait_for(
            lambda: query("SELECT count(*) FROM reservations WHERE status = 'held'") == [(0,)], timeout_s=HELD_S_MAX
        )
        assert left is None, query("SELECT event_id, expires_at FROM reservations WHERE status = 'held'")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("node", [1, 2, 3])
def test_a_hold_lasts_its_time_on_each_broker_and_its_seats_are_sold_after_it(node: int, machines: Machines) -> None:
    clock_s = CLOCKS_S.get(f"kafka-{node}", 0)
    with buyers(machines, seed=node) as people:
        event_id, _, kind = led_by(machines, people, node).partition(" ")
        buyer, began = people.person(), time.time()
        held = done(buyer.reserve(event_id, ticket_type_id=kind, quantity=2), 201)
        made = datetime.fromisoformat(held["expires_at"]).timestamp() - HOLD_TTL_S - clock_s
        assert began - 1 < made < time.time() + 1, "the broker's own clock stamps the command"
        path = f"/v1/reservations/{held['id']}"
        ended = wait_for(lambda: buyer.get(path).json()["status"] == "expired", timeout_s=HOLD_TTL_S + LATE_S_MAX)
        assert ended is None, buyer.get(path).text
        assert time.time() - began >= HOLD_TTL_S
        problem(buyer.confirm(held["id"]), 409, "hold-expired")
        other = people.person()
        again = done(other.reserve(event_id, ticket_type_id=kind, seats=held["seats"]), 201)
        assert done(other.confirm(again["id"]), 200)["status"] == "confirmed"
        assert 1 <= ticks_of(machines, event_id) <= TICKS_MAX
    machines.verify()


@pytest.mark.timeout(600)
def test_an_alert_names_each_broker_whose_clock_differs(machines: Machines) -> None:
    def about() -> set[str]:
        firing = alerts(machines.settings, firing=True, limit=100)
        return {one.about for one in firing if one.alert == AlertName.TIME_SKEW}

    with buyers(machines, seed=4) as people:
        for node in range(1, BROKERS + 1):
            people.events.append(led_by(machines, people, node))
        with people.buying():
            fired = wait_for(lambda: about() == set(CLOCKS_S), timeout_s=ALERTED_S_MAX)
            assert fired is None, about()
        told = people.check_answers()
    wait_no_holds(machines)
    machines.settled(told)


@pytest.mark.timeout(900)
def test_a_drop_over_brokers_whose_clocks_differ_by_minutes(machines: Machines) -> None:
    with buyers(machines) as people:
        with people.buying():
            people.wait_bought(BOUGHT)
        told = people.check_answers()
    wait_no_holds(machines)
    machines.settled(told)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["kafka-3", "kafka-1"])
def test_a_drop_goes_on_when_its_events_move_to_brokers_with_other_clocks(name: str, machines: Machines) -> None:
    """From the right clock to one ahead and to one behind, and from the one ahead to the others."""
    with buyers(machines, seed=len(name)) as people:
        with people.buying():
            people.wait_bought(BOUGHT)
            machines.lose_host(name)
            try:
                people.wait_tried(TRIED_MEANWHILE)
                people.wait_bought(BOUGHT)
            finally:
                machines.bring_back(name)
            people.wait_bought(BOUGHT)
        machines.wait_ready()
        told = people.check_answers()
    wait_no_holds(machines)
    machines.settled(told)
