"""The simulations' rows without a database are complete: a state rebuilt from them is the fold, after each batch."""

from __future__ import annotations

import random

import pytest

from pipelines.reservations.core.digest import canonical
from pipelines.reservations.core.entities import At
from pipelines.reservations.core.evolve import evolve
from pipelines.reservations.core.state import EventState
from pipelines.reservations.snapshot import state_from
from schemas.ids import LogTime
from tests.harness.towns import cut, recorded, town_of
from tests.simulation.rows import Rows
from tests.simulation.whole import EVENT

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("seed", range(6))
def test_state_from_rows_is_the_fold_of_the_facts(seed: int) -> None:
    rows, folded = Rows(), EventState(EVENT)
    for batch in cut(recorded(town_of(seed, 400)), random.Random(seed), 0.3):
        rows.apply(batch)
        for one in batch:
            evolve(folded, one.fact, At(0, one.envelope.offset, LogTime(one.envelope.log_time)))
        assert canonical(state_from(rows.snapshot(EVENT))) == canonical(folded), batch[-1].envelope.offset
