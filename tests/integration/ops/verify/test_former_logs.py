"""Logs that the platform wrote before this version: today's code verifies them, and makes their rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from connectors.settings import Settings
from ops.archive import imports as importing
from ops.archive.export import manifest_of, records_of
from ops.progress import ProgressBars
from ops.rebuild.projections import rebuild
from ops.verify.verify import VerifyOptions, verify
from schemas import former_details
from schemas.codec import Codec
from schemas.commands import ReserveInTurn
from schemas.facts import FACTS as KINDS
from schemas.facts import CommandRefused, RecordedFact, ReservationRejected
from schemas.topics import COMMANDS, FACTS
from tests.harness.flows import rows_of

DATA = Path(__file__).parents[3] / "data"
OF_RULES_2, OF_RULES_3, OF_RULES_4 = (DATA / f"log-of-rules-{version}" for version in (2, 3, 4))
KINDS_MIN = 38


@pytest.mark.parametrize(
    ("log", "commands", "facts", "events"),
    [(OF_RULES_2, 450, 485, 3), (OF_RULES_3, 248, 314, 8), (OF_RULES_4, 300, 505, 6)],
)
def test_a_former_log_is_verified_byte_for_byte_and_its_rows_are_made(
    settings: Settings, log: Path, commands: int, facts: int, events: int
) -> None:
    imported = settings
    with ProgressBars(quiet=True) as progress:
        importing.load(settings, log, progress)
        alone = verify(imported, VerifyOptions(postgres=False, redis=False), progress)
        assert alone.ok, [one.divergences for one in alone.partitions]
        assert sum(one.commands for one in alone.partitions) == commands
        assert alone.facts == facts
        made = rebuild(imported, progress, promote=True)
        assert (made.promoted, made.from_empty, made.facts) == (True, True, facts)
        whole = verify(imported, VerifyOptions(redis=False), progress)
    assert whole.ok, [one.divergences for one in whole.partitions]
    assert sum(one.postgres_events for one in whole.partitions) == events
    assert [one.not_compared for one in whole.partitions if one.not_compared] == []
    with rows_of(imported) as query:
        assert query("SELECT count(*) FROM events") == [(events,)]
        assert query("SELECT count(*) FROM facts_set_aside") == [(0,)]


def test_the_log_has_almost_every_kind_of_fact() -> None:
    codec, kinds, versions = Codec(), Counter[str](), set[int]()
    manifest = manifest_of(OF_RULES_2)
    assert manifest.partitions == {COMMANDS: 8, FACTS: 8}
    for one in manifest.files:
        for record in records_of(OF_RULES_2 / one.file, codec):
            found = codec.decode(record.value)
            if isinstance(found, RecordedFact):
                kinds[type(found.fact).__name__] += 1
                versions.add(found.envelope.rules_version)
    assert versions == {2}
    assert KINDS_MIN <= len(kinds) <= len(KINDS)


def test_the_log_of_version_3_has_moments_and_fields_only_in_words() -> None:
    codec, refusals = Codec(), list[CommandRefused | ReservationRejected]()
    for one in manifest_of(OF_RULES_3).files:
        for record in records_of(OF_RULES_3 / one.file, codec):
            found = codec.decode(record.value)
            if isinstance(found, RecordedFact):
                assert found.envelope.rules_version == 3
                if isinstance(found.fact, CommandRefused | ReservationRejected):
                    refusals.append(found.fact)
    assert {(one.field, one.at, one.amount) for one in refusals} == {(None, None, None)}
    assert {former_details.field_of(one.detail) for one in refusals} >= {"ends_at", "layout", "payment_token"}
    assert sum(former_details.moment_in(one.detail) > 0 for one in refusals) == 4


def test_the_log_of_version_4_has_requests_in_turn_with_a_fact_for_each() -> None:
    codec, turns, facts = Codec(), dict[tuple[str, int], int](), Counter[tuple[str, int]]()
    for one in manifest_of(OF_RULES_4).files:
        for record in records_of(OF_RULES_4 / one.file, codec):
            found = codec.decode(record.value)
            if isinstance(found, ReserveInTurn):
                turns[found.event_id, record.offset] = len(found.reservation_ids)
            elif isinstance(found, RecordedFact):
                assert found.envelope.rules_version == 4
                facts[found.envelope.event_id, found.envelope.offset] += 1
    assert len(turns) >= 20
    assert max(turns.values()) > 2
    assert all(facts[place] >= count for place, count in turns.items())
