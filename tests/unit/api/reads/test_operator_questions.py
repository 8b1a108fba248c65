"""A page of records goes on where the page before ended, in its own direction."""

from __future__ import annotations

import pytest

from api.http.problem import Problem
from api.reads.operator_questions import cursor_of, places_of
from api.routes.console import _files
from pipelines.monitoring.alert_rules import ALERT_RULES

PLACES = {0: 120, 1: 0, 11: 10**17}


@pytest.mark.parametrize("oldest_first", [True, False])
def test_a_cursor_holds_the_offset_of_each_partition(*, oldest_first: bool) -> None:
    assert places_of(cursor_of(PLACES, oldest_first=oldest_first), oldest_first=oldest_first) == PLACES
    assert places_of(None, oldest_first=oldest_first) is None


def test_a_cursor_of_earlier_records_is_none_of_later_ones() -> None:
    with pytest.raises(Problem, match="another list or order"):
        places_of(cursor_of(PLACES, oldest_first=True), oldest_first=False)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Problem, match="cursor"):
        places_of("bm9uZQ", oldest_first=True)
    with pytest.raises(Problem, match="cursor"):
        places_of(cursor_of({}, oldest_first=True), oldest_first=True)


def test_the_console_has_the_runbook_of_each_alert() -> None:
    files = _files()
    for rule in ALERT_RULES:
        body, content_type = files[rule.runbook.rpartition("/")[2]]
        assert body.decode().startswith(f"# {rule.name.value}\n")
        assert content_type.startswith("text/markdown")
