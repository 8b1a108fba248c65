"""A drop over more machines than one: no request is lost, none is decided twice, and `circle verify` agrees."""

from __future__ import annotations

import pytest

from tests.harness.buyers import buyers
from tests.harness.machines import BROKERS, Machines


@pytest.mark.timeout(600)
def test_a_drop_over_all_hosts_loses_nothing_and_repeats_nothing(machines: Machines) -> None:
    with buyers(machines) as people:
        with people.buying():
            people.wait_bought(150)
        told = people.check_answers()
    report = machines.settled(told)
    assert report.counts["TicketsHeld"] > 100
    assert report.counts["ReservationConfirmed"] > 50


def test_each_partition_has_three_copies_and_the_work_is_on_all_hosts(machines: Machines) -> None:
    assert {len(copies) for copies in machines.in_sync().values()} == {BROKERS}
    for process in (*machines.of("worker"), *machines.of("read"), *machines.of("api")):
        assert process.cpu_s() > 0
        assert process.starts == 1, process.last_lines()
