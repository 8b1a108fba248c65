"""Each kind of fault happens on both brokers: `make test` runs the embedded case, `make test-kafka` the other one."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.conftest import ByFile
from tests.unit.docs.pages import ROOT, text_of

APACHE_ALONE = {
    "test_the_broker_is_killed_and_started_in_the_middle_of_a_drop",  # the embedded broker keeps nothing
    "test_without_the_fence_a_paused_workers_facts_are_visible_and_found",  # the embedded broker has no fence
}


def recipe(target: str) -> str:
    return text_of("Makefile").partition(f"\n{target}:")[2].partition("\n\n")[0]


def cases(chosen: str) -> dict[str, set[str]]:
    """The tests of faults that pytest's `-m` chooses, each with its brokers."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/faults", "-m", chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, set[str]] = {}
    for name, broker in re.findall(r"^tests/faults/\w+\.py::(\w+)\[(\w+)", done.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(broker)
    assert found, done.stdout + done.stderr
    return found


def test_each_fault_test_has_a_case_for_each_broker_and_its_tier_runs_it() -> None:
    embedded, apache = cases("e2e and not kafka"), cases("kafka and not e2e")
    assert {*map(frozenset, embedded.values())} == {frozenset({"embedded"})}
    assert {*map(frozenset, apache.values())} == {frozenset({"apache"})}
    assert apache.keys() - embedded.keys() == APACHE_ALONE
    assert embedded.keys() <= apache.keys()
    assert cases("not kafka") == embedded
    assert cases("kafka") == apache


def test_the_gate_runs_the_embedded_cases_and_those_on_apache_kafka() -> None:
    assert re.search(r'SERVER_PYTEST\) \$\(wildcard tests/faults .*\) -m "not kafka and not long"', recipe("test"))
    assert re.search(r'SERVER_PYTEST\) tests/e2e -m "long and not kafka"', recipe("test-long"))
    assert re.search(r"PYTEST\) \$\(wildcard tests/faults .*\) tests/kafka/ops -m kafka", recipe("test-kafka"))
    assert "tests/kafka" not in recipe("test")


@pytest.mark.parametrize(
    ("test", "together_with"),
    [
        ("tests/faults/test_redis_flushed.py::test_a[embedded]", "tests/faults"),
        ("tests/faults/test_worker_killed.py::test_b[apache]", "tests/faults"),
        ("tests/e2e/one_shop/test_door.py::test_c", "tests/e2e/one_shop"),
        ("tests/e2e/test_greedy.py::test_d", "tests/e2e/test_greedy.py"),
    ],
)
def test_faults_happen_one_at_a_time_and_a_shop_is_shared(test: str, together_with: str) -> None:
    assert ByFile._split_scope(ByFile.__new__(ByFile), test) == together_with
