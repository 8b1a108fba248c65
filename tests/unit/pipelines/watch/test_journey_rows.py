"""A fact whose rows have a later version was read at or before the first commit of a later one."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.watch.journey_rows import read_by

EARLY, LATE = datetime(2026, 11, 30, 12, 0, 1, tzinfo=UTC), datetime(2026, 11, 30, 12, 0, 2, tzinfo=UTC)
HELD, REQUESTED, CONFIRMED, CHECKED_IN = (3, 5, 0), (3, 7, 1), (3, 8, 0), (3, 20, 0)


def test_an_earlier_fact_has_the_first_commit_of_a_later_version() -> None:
    commits = {CHECKED_IN: [LATE], CONFIRMED: [LATE, EARLY]}
    assert [*read_by([HELD, REQUESTED, CONFIRMED], commits)] == [(HELD, EARLY), (REQUESTED, EARLY)]


def test_a_commit_of_an_earlier_version_says_nothing_of_a_later_fact() -> None:
    assert [*read_by([CONFIRMED], {HELD: [EARLY]})] == []


def test_a_fact_of_the_same_command_counts_by_its_index() -> None:
    assert [*read_by([(3, 7, 0), (3, 7, 2)], {REQUESTED: [EARLY]})] == [((3, 7, 0), EARLY)]


def test_nothing_is_known_where_no_time_of_a_commit_is_kept() -> None:
    assert [*read_by([HELD], {CONFIRMED: []})] == []
