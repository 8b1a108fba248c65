"""Counting facts: every type by its name, places and refusals by their meaning."""

from __future__ import annotations

from collections import Counter

from pipelines.monitoring.tally import Series, tally
from tests.harness.fact_logs import FactLog


def test_every_fact_is_counted_once_by_type_and_partition() -> None:
    facts = [fact for partition in (0, 3) for fact in FactLog(partition, seed=5).take(300)]
    counts = tally(facts)
    wanted = Counter((fact.envelope.partition, type(fact.fact).__name__) for fact in facts)
    assert {(one.partition, one.label): n for one, n in counts.items() if one.measure == "fact"} == wanted


def test_what_is_sold_was_held_and_what_is_free_again_too() -> None:
    counts = tally(FactLog(1, seed=7, events=6).take(2_000))
    held, sold, freed = (counts[Series(1, "places", word)] for word in ("held", "sold", "freed"))
    assert 0 < sold < held
    assert 0 < freed < held
    assert sum(n for one, n in counts.items() if one.measure == "refused") > 0


def test_how_the_log_is_cut_changes_no_count() -> None:
    facts = FactLog(0, seed=9).take(200)
    assert tally(facts) == tally(facts[:77]) + tally(facts[77:])
