"""Both topics of one reservation and of many random commands, as the searches find them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.settings import Settings
from schemas.placement import partition_of
from tests.harness.command_logs import BothLogs, write_both
from tests.harness.words import EVENT, add_type, confirm, create, publish, release, reserve

OTHER = 2
BATCH = 100  # a broker writes batches; a search jumps from one to the next

WrittenTo = Callable[[Settings], int]


@pytest.fixture(scope="session")
def two_partitions() -> WrittenTo:
    """Write commands and facts to two partitions. One event's reservation has six commands at known places; its
    partition is returned.
    """

    def write(settings: Settings) -> int:
        home = partition_of(EVENT, settings.partitions)
        assert home != OTHER
        log, other = BothLogs(partition=home, seed=1), BothLogs(partition=OTHER, seed=2)
        for command in (create(), add_type(), publish(), reserve(2, ["B-1", "B-2"]), confirm(), release()):
            log.put(command)
        log.take(40)
        other.take(800)
        write_both(settings, [log, other], [*log.facts, *other.facts], batch_max=BATCH)
        return home

    return write
