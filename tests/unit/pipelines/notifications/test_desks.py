"""A desk prunes finished rows at its first look, and then once an hour."""

from __future__ import annotations

import pytest

from pipelines.notifications import desks
from pipelines.notifications.desks import PRUNE_EVERY_S, PruneTimer


def test_a_desk_prunes_at_its_first_look_and_then_after_each_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 5.0}  # a machine that has just started
    monkeypatch.setattr(desks.time, "monotonic", lambda: clock["now"])
    timer = PruneTimer()
    assert timer.due()
    assert not timer.due()
    clock["now"] += PRUNE_EVERY_S - 0.5
    assert not timer.due()
    clock["now"] += 0.5
    assert timer.due()
    assert not timer.due()
