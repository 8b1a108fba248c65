"""Every feature of the platform, at random: the checker's books find no error, and the log alone gives the same
facts."""

from __future__ import annotations

from collections import Counter

import pytest

from pipelines.reservations.core.digest import canonical
from schemas import facts as f
from tests.simulation.whole import Town, digest_of, fold, replayed

pytestmark = pytest.mark.simulation

SEEDS = range(60)
COMMANDS_EACH = 500


def test_whatever_happens_the_books_agree_and_the_log_gives_the_same_facts_again() -> None:
    seen: Counter[type[f.Fact]] = Counter()
    for seed in SEEDS:
        town = Town(seed)
        town.run(COMMANDS_EACH)
        town.finish()
        assert town.violations == [], (seed, town.violations[:3])
        assert list(town.ledger.unfinished()) == [], seed
        assert town.ledger.refunds == town.bank.back(), seed
        assert canonical(fold(town.facts)) == canonical(town.state), seed
        for batch in (1, 7):
            assert digest_of(town.codec, replayed(town.log, batch)) == town.digest(), (seed, batch)
        seen.update(type(fact) for _, fact in town.facts)
    elsewhere = {f.CommandUnreadable, f.SeatLocksObserved, f.EventDeleted}
    assert set(f.FACTS) - seen.keys() == elsewhere, "a kind of fact that never came about was never checked"
