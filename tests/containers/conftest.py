"""The stack in containers. These tests need a Docker engine and the images of `make images`, and say so when they skip.

The image is built from the working tree once for the session; its layers come from the engine's cache.
"""

from collections.abc import Iterator

import pytest

from ops.containers import engine as engines
from ops.containers import images, short
from ops.containers.engine import Engine
from tests.harness.compose_stack import ComposeStack, compose_stack

PROJECT = "circle-test"


@pytest.fixture(scope="session")
def bare_engine() -> Iterator[Engine]:
    """An engine that has the stand-ins below the product's image."""
    if (why := short.why_not()) is not None:
        pytest.skip(why)
    with engines.running() as engine:
        images.build_for_product(engine, print)
        yield engine


@pytest.fixture(scope="session")
def engine(bare_engine: Engine) -> Engine:
    """The same, with the product's image of this tree."""
    return bare_engine


@pytest.fixture(scope="session")
def whole_engine(engine: Engine) -> Engine:
    """The same, with the stand-ins for all services of the stack."""
    if (why := images.why_no_stack(engine)) is not None:
        pytest.skip(why)
    return engine


@pytest.fixture(scope="session")
def app_engine(engine: Engine) -> Engine:
    """The same, with the stand-ins for the services of the profile `app`."""
    if (why := images.why_no_stack(engine, images.APP)) is not None:
        pytest.skip(why)
    return engine


@pytest.fixture(scope="module")
def stack(app_engine: Engine) -> Iterator[ComposeStack]:
    """The platform of compose.yaml, healthy, for one module: its profile `app`."""
    with compose_stack(app_engine, PROJECT) as running:
        yield running
