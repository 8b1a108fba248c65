"""The bench of greedy clients measures every kind, compares medians, and fails when the door was refused once."""

from __future__ import annotations

from ops.proof.bench.greedy import GreedyOptions, GreedyReport, _of, _Round
from ops.proof.bench.greedy_client import KINDS


def quick(seconds: float, **counts: int) -> _Round:
    return _Round(seconds=[seconds] * 100, **counts)


def test_the_ratio_is_that_of_the_medians_of_the_rounds() -> None:
    alone = [quick(0.010), quick(0.020), quick(0.040)]
    beside = [quick(0.012, door=4), quick(0.022, door=4, refused=1), quick(0.080, door=4)]
    found = _of("streams", alone, beside, {"429": 7})
    assert (found.ratio, found.door_batches, found.others_refused) == (1.1, 12, 1)
    assert GreedyReport(options=GreedyOptions(), kinds=[found]).passed


def test_a_door_that_was_refused_once_fails_the_bench() -> None:
    found = _of("reads", [quick(0.01)], [quick(0.01, door=4, door_refused=1)], {})
    assert not GreedyReport(options=GreedyOptions(), kinds=[found]).passed


def test_every_kind_is_measured_unless_told_otherwise() -> None:
    assert GreedyOptions().kinds == tuple(KINDS)
