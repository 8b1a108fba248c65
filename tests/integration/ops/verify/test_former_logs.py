"""A log that the platform wrote before this version: today's code verifies it, and makes its rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from connectors.settings import Settings
from ops.archive import imports as importing
from ops.archive.export import manifest_of, records_of
from ops.proof.load.progress import ProgressBars
from ops.rebuild.projections import rebuild
from ops.verify.verify import VerifyOptions, verify
from schemas.codec import Codec
from schemas.facts import FACTS as KINDS
from schemas.facts import RecordedFact
from schemas.topics import COMMANDS, FACTS
from tests.harness.flows import rows_of

DATA = Path(__file__).parents[3] / "data" / "log-of-rules-2"
COMMANDS_THERE, FACTS_THERE, EVENTS_THERE = 450, 485, 3
KINDS_MIN = 38


@pytest.fixture
def imported(settings: Settings) -> Settings:
    with ProgressBars(quiet=True) as progress:
        importing.load(settings, DATA, progress)
    return settings


def test_the_log_of_version_2_is_verified_byte_for_byte_and_its_rows_are_made(imported: Settings) -> None:
    with ProgressBars(quiet=True) as progress:
        alone = verify(imported, VerifyOptions(postgres=False, redis=False), progress)
        assert alone.ok, [one.divergences for one in alone.partitions]
        assert sum(one.commands for one in alone.partitions) == COMMANDS_THERE
        assert alone.facts == FACTS_THERE
        made = rebuild(imported, progress, promote=True)
        assert (made.promoted, made.from_empty, made.facts) == (True, True, FACTS_THERE)
        whole = verify(imported, VerifyOptions(redis=False), progress)
    assert whole.ok, [one.divergences for one in whole.partitions]
    assert sum(one.postgres_events for one in whole.partitions) == EVENTS_THERE
    assert [one.not_compared for one in whole.partitions if one.not_compared] == []
    with rows_of(imported) as query:
        assert query("SELECT count(*) FROM events") == [(EVENTS_THERE,)]
        assert query("SELECT count(*) FROM facts_set_aside") == [(0,)]


def test_the_log_has_almost_every_kind_of_fact() -> None:
    codec, kinds, versions = Codec(), Counter[str](), set[int]()
    manifest = manifest_of(DATA)
    assert manifest.partitions == {COMMANDS: 8, FACTS: 8}
    for one in manifest.files:
        for record in records_of(DATA / one.file, codec):
            found = codec.decode(record.value)
            if isinstance(found, RecordedFact):
                kinds[type(found.fact).__name__] += 1
                versions.add(found.envelope.rules_version)
    assert versions == {2}
    assert KINDS_MIN <= len(kinds) <= len(KINDS)
