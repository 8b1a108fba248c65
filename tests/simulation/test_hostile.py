"""A log that somebody else writes to: every record is answered, and what is made of it can be told, stored and loaded."""

from __future__ import annotations

from collections import Counter

import pytest

from ops.checker.event_ledger import EventLedger
from pipelines.monitoring.tally import tally
from pipelines.notifications.calls import TYPES
from pipelines.notifications.compose import compose
from pipelines.payments.requests import request_in
from pipelines.reservations.digest import canonical
from schemas import commands as c
from schemas.codec import Codec
from schemas.facts import RecordedFact
from schemas.notifications import Notification
from tests.harness.hostile import HostileTown
from tests.harness.towns import recorded

pytestmark = pytest.mark.simulation

SEEDS = range(20)
COMMANDS_EACH = 400


def test_forged_commands_stop_nothing_and_everything_made_of_them_can_be_told_stored_and_loaded() -> None:
    codec, forged, refused = Codec(), Counter[type[c.Command]](), Counter[str]()
    for seed in SEEDS:
        town = HostileTown(seed)
        town.run(COMMANDS_EACH)
        town._reload()
        facts = recorded(town)
        for one in facts:
            assert codec.decode(codec.encode_fact(one.envelope, one.fact)) == one
            request_in(one)
            for message in compose(one):
                assert isinstance(codec.decode(codec.encode(message)), Notification)
        tally(facts)
        forged.update(town.forged)
        refused.update(town.refused)
    assert forged.keys() == set(c.COMMANDS), "a kind of command was never forged so that it could be read"
    assert refused.total() > 100
