"""Hosts go, come and break during a drop: each key has one outcome, no seat is sold twice, `circle verify` agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.harness.buyers import Buyers, buyers
from tests.harness.machines import Machines

Fault = Callable[[Machines], AbstractContextManager[None]]
BOUGHT_BEFORE, BOUGHT_AFTER = 20, 30
TRIED_MEANWHILE = 60  # about ten attempts of each buyer: longer than a session, so other hosts take over
TRIED_ALONE = 18  # of a service with one host: without Redis an attempt takes five seconds
ALONE = ("redis", "db")
PAID, PAID_S_MAX = 20, 40.0  # several times a client's patience with a silent broker, and less than a minute
LOSS, KBIT_S = 0.1, 256


@contextmanager
def _healed(machines: Machines, name: str) -> Iterator[None]:
    try:
        yield
    finally:
        machines.host(name).heal()


def cut_off(name: str) -> Fault:
    """Half-open: no packet comes or goes, and the processes run on."""

    @contextmanager
    def fault(machines: Machines) -> Iterator[None]:
        with _healed(machines, name):
            machines.host(name).cut_off()
            yield

    return fault


def deaf(name: str) -> Fault:
    """One-way: packets go out, none comes in."""

    @contextmanager
    def fault(machines: Machines) -> Iterator[None]:
        with _healed(machines, name):
            machines.host(name).deafen()
            yield

    return fault


def mute(name: str) -> Fault:
    """One-way, the other direction: packets come in, none goes out."""

    @contextmanager
    def fault(machines: Machines) -> Iterator[None]:
        with _healed(machines, name):
            machines.host(name).mute()
            yield

    return fault


def lossy(name: str) -> Fault:
    """A share of the packets is lost, each way."""

    @contextmanager
    def fault(machines: Machines) -> Iterator[None]:
        with _healed(machines, name):
            machines.host(name).lose(LOSS)
            yield

    return fault


def slow(name: str) -> Fault:
    """Little leaves the host in a second."""

    @contextmanager
    def fault(machines: Machines) -> Iterator[None]:
        with _healed(machines, name):
            machines.host(name).slow_down(KBIT_S)
            yield

    return fault


@contextmanager
def late(machines: Machines) -> Iterator[None]:
    """All that buyers send and get arrives later, each way, and nothing is lost."""
    machines.delay()
    try:
        yield
    finally:
        machines.hasten()


def gone(name: str) -> Fault:
    """As by a power cut: the host's process ends, and no answer says so."""

    @contextmanager
    def fault(machines: Machines) -> Iterator[None]:
        machines.lose_host(name)
        try:
            yield
        finally:
            machines.bring_back(name)

    return fault


FAULTS = {
    "a worker's host is gone": gone("worker-1"),
    "a worker's host is cut off": cut_off("worker-2"),
    "a worker's host is deaf": deaf("worker-3"),
    "a worker's host is mute": mute("worker-1"),
    "a worker's host is slow": slow("worker-1"),
    "a worker's host is lossy": lossy("worker-2"),
    "a read side's host is gone": gone("read-1"),
    "a read side's host is cut off": cut_off("read-2"),
    "a read side's host is deaf": deaf("read-1"),
    "an API host is gone": gone("api-1"),
    "an API host is cut off": cut_off("api-2"),
    "an API host is slow": slow("api-1"),
    "the way to the API is long": late,
    "the host of payments is gone": gone("payments"),
    "a broker's host is cut off": cut_off("kafka-1"),
    "a broker's host is lossy": lossy("kafka-3"),
    "a broker's host is deaf": deaf("kafka-2"),
    "a broker's host is mute": mute("kafka-1"),
    "a broker's host is slow": slow("kafka-2"),
}


def _drop(machines: Machines, meanwhile: Callable[[Buyers], None]) -> None:
    with buyers(machines) as people:
        with people.buying():
            people.wait_bought(BOUGHT_BEFORE)
            meanwhile(people)
            people.wait_bought(BOUGHT_AFTER)
        machines.wait_ready()
        told = people.check_answers()
    machines.settled(told)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_drop_goes_on_while(fault: Fault, machines: Machines) -> None:
    def meanwhile(people: Buyers) -> None:
        with fault(machines):
            people.wait_tried(TRIED_MEANWHILE)

    _drop(machines, meanwhile)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ALONE)
def test_a_drop_goes_on_when_the_one_host_of_a_service_is_back(name: str, machines: Machines) -> None:
    """PostgreSQL and Redis have one host each. While it is cut off, requests get 202 or 503; later their outcome."""

    def meanwhile(people: Buyers) -> None:
        with cut_off(name)(machines):
            people.wait_tried(TRIED_ALONE)

    _drop(machines, meanwhile)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["kafka-1", "kafka-2", "kafka-3"])
def test_tickets_are_sold_and_paid_soon_after_a_brokers_host_is_gone(name: str, machines: Machines) -> None:
    """Its connections stay half-open, and each client finds the new leaders."""

    def meanwhile(people: Buyers) -> None:
        with gone(name)(machines):
            people.wait_paid(PAID, PAID_S_MAX)

    _drop(machines, meanwhile)


@pytest.mark.timeout(900)
def test_a_drop_goes_on_while_the_brokers_die_by_turns(machines: Machines) -> None:
    """Each is killed (its host refuses connections), comes back, and has everything before the next."""

    def meanwhile(people: Buyers) -> None:
        for broker in machines.brokers.values():
            broker.kill()
            people.wait_bought(BOUGHT_AFTER)
            broker.start()
            machines.wait_in_sync()

    _drop(machines, meanwhile)
