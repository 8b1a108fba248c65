"""The stack in containers. These tests need a Docker engine and the images of `make images`, and say so when they skip.

The image is built from the working tree once for the session; its layers come from the engine's cache.
"""

from collections.abc import Iterator

import pytest

from ops.containers import engine as engines
from ops.containers import images
from ops.containers.engine import Engine
from tests.harness.compose_stack import ComposeStack, compose_stack

PROJECT = "circle-test"


@pytest.fixture(scope="session")
def bare_engine() -> Iterator[Engine]:
    """An engine that has the stand-ins."""
    if (why := engines.why_none()) is not None:
        pytest.skip(why)
    if not engines.has_been_used():
        pytest.skip("no Docker engine answers, and `make images` has not been run here")
    with engines.running() as engine:
        if missing := images.missing(engine):
            pytest.skip(f"`make images` has not built {', '.join(missing)}")
        yield engine


@pytest.fixture(scope="session")
def engine(bare_engine: Engine) -> Engine:
    """The same, with the product's image of this tree."""
    images.build_product(bare_engine, print)
    return bare_engine


@pytest.fixture(scope="module")
def stack(engine: Engine) -> Iterator[ComposeStack]:
    """The platform of compose.yaml, healthy, for one module."""
    with compose_stack(engine, PROJECT) as running:
        yield running
