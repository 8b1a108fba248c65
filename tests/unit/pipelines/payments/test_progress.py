"""An offset is committed when every record before it has finished, in any order of their ends."""

from __future__ import annotations

from pipelines.payments.progress import PartitionProgress


def test_nothing_read_is_nothing_to_commit() -> None:
    assert PartitionProgress().next_offset is None


def test_the_first_unfinished_record_is_where_to_go_on() -> None:
    progress = PartitionProgress()
    for offset in (3, 5, 8):
        progress.begin(offset)
    progress.passed(10)
    progress.finish(5)
    assert progress.next_offset == 3
    progress.finish(3)
    assert progress.next_offset == 8
    progress.finish(8)
    assert progress.next_offset == 11


def test_records_that_ask_for_nothing_are_passed() -> None:
    progress = PartitionProgress()
    progress.passed(41)
    assert progress.next_offset == 42


def test_finishing_twice_changes_nothing() -> None:
    progress = PartitionProgress()
    progress.begin(1)
    progress.finish(1)
    progress.finish(1)
    assert progress.next_offset == 2
