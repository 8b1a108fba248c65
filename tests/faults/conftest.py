"""The tier of faults: each test runs on the embedded broker and on Apache Kafka, one broker after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.run.services.stack import Stack
from tests.harness.faults import APACHE, EMBEDDED
from tests.harness.stage import Stage


@pytest.fixture(scope="module", params=[EMBEDDED, APACHE])
def stack(request: pytest.FixtureRequest) -> Stack:
    """Its broker is the parameter. Case and tier go together: the embedded one is e2e, Apache Kafka is kafka."""
    running: Stack = request.getfixturevalue(f"{request.param}_stack")
    return running


@pytest.fixture(scope="module")
def stage(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Services and dataflows for a module's tests. Apache Kafka is strict: no position may show twice there."""
    made = Stage(stack, tmp_path_factory.mktemp("workers"), strict=stack.broker_kind == "apache")
    try:
        yield made.start()
    finally:
        made.close()
