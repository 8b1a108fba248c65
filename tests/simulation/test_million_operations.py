"""A million operations of the pure core: the same log gives the same facts, for every way of reading it."""

from __future__ import annotations

import pytest

from tests.simulation.million import SEEDS, a_share_of_the_million

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_the_core_does_as_the_model_says_and_a_replay_gives_the_same_bytes(seed: int) -> None:
    a_share_of_the_million(seed)
