"""Each type of fact has one change of the state, or it has none for a reason."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter

from pipelines.reservations.core import folding
from schemas import facts as f

WITHOUT_CHANGE = {
    f.CheckInRefused,  # the ticket stays as it is
    f.CommandDuplicated,
    f.CommandRefused,
    f.CommandUnreadable,
    f.ConfirmationRefused,  # the RefundRequested of the same command changes the state
    f.TickObserved,  # what was due has facts of its own
}


def test_each_type_of_fact_is_folded_by_one_subject_or_changes_nothing() -> None:
    modules = [
        importlib.import_module(f"{folding.__name__}.{found.name}") for found in pkgutil.iter_modules(folding.__path__)
    ]
    subjects = [module.CHANGES for module in modules if hasattr(module, "CHANGES")]
    assert len(subjects) >= 5
    times = Counter(kind for changes in subjects for kind in changes)
    assert {kind for kind, count in times.items() if count > 1} == set()
    assert times.keys() == set(f.FACTS) - WITHOUT_CHANGE
