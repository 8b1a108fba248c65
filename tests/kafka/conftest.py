"""The tier on Apache Kafka: the same fixtures, on one JVM broker for the whole session."""

from collections.abc import Iterator

import pytest

from ops.run.services.containers import docker_answers
from ops.run.services.stack import Stack


@pytest.fixture(scope="session")
def stack(apache_stack: Stack) -> Stack:
    return apache_stack


@pytest.fixture(scope="session")
def docker_stack() -> Iterator[Stack]:
    if not docker_answers():
        pytest.skip("no Docker engine answers on this machine")
    with Stack(docker=True) as running:
        yield running
