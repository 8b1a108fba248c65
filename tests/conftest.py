"""Shared by every tier: markers by directory, one stack of each broker per test process, fresh settings per test.

* `stack`: PostgreSQL, Valkey and the embedded broker, started once per pytest worker. Stop and kill its services at
  will; the next `settings` restarts them. In tests/kafka, and in the Apache cases of tests/faults, it is the
  `apache_stack`.
* `settings`: an empty, migrated platform with its topics, for one test. `module_settings`: the same for a module; do
  not mix the two in one module.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from connectors.settings import Settings
from ops.run.services.containers import docker_answers
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env
from tests.harness import leftovers, scratch

scratch.in_memory()

# A JVM of a test ends before the second compiler, which optimizes, has paid for itself.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")

# Two test processes share the machine with servers: slowness says nothing here. CI uses the same examples each time, a
# developer's run new ones.
hypothesis.settings.register_profile(
    "circle",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("circle")

TESTS = Path(__file__).parent
TIERS = ("unit", "simulation", "contract", "integration", "e2e", "kafka", "containers", "machines", "bench")
# The tests of faults name their tier by the broker that they run on. Two drops at once would disturb each other.
FAULTS = "tests/faults"
ONE_SHOP = "tests/e2e/one_shop"  # its tests share a platform


class ByFile(LoadFileScheduling):
    """The tests of a file run in one process, and so do all tests of FAULTS, and all of ONE_SHOP."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in (FAULTS, ONE_SHOP) if file.startswith(f"{folder}/")), file)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--containers", action="store_true", help="the tier on Apache Kafka in containers")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Takes the place of `--dist loadfile`."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with its tier, which is its directory."""
    for item in items:
        if item.path.is_relative_to(TESTS):
            tier = item.path.relative_to(TESTS).parts[0]
            if tier in TIERS:
                item.add_marker(getattr(pytest.mark, tier))


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """Ends the processes that a test started and, because it failed, did not end."""
    yield
    leftovers.end_all()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Takes back what a test's `logs.configure` did, which is meant for a whole process."""
    root, own = logging.getLogger(), logging.getLogger("circle")
    handlers, levels = list(root.handlers), (root.level, own.level)
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture(scope="session")
def embedded_stack() -> Iterator[Stack]:
    with Stack("embedded") as running:
        yield running


@pytest.fixture(scope="session")
def apache_stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """Apache Kafka on a plain JVM; with `--containers`, all three services by testcontainers."""
    docker = pytestconfig.getoption("--containers")
    if docker and not docker_answers():
        pytest.fail("--containers was given, and no Docker engine answers")
    with Stack("apache", docker=docker) as running:
        yield running


@pytest.fixture(scope="session")
def stack(embedded_stack: Stack) -> Stack:
    """The stack of `settings`. tests/kafka and tests/faults choose another broker."""
    return embedded_stack


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return settings_from_env(stack.fresh())


@pytest.fixture(scope="module")
def module_settings(stack: Stack) -> Settings:
    return settings_from_env(stack.fresh())
