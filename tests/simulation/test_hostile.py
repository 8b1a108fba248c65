"""A log that a stranger writes to: every record gets an answer, whose facts can be composed, stored and loaded."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
import pytest

from pipelines.monitoring.tally import tally
from pipelines.notifications.calls import call_of
from pipelines.notifications.compose import compose
from pipelines.notifications.mail.desk import UNWRITABLE
from pipelines.notifications.mail.render import Mail, Occasion, render
from pipelines.payments.requests import request_in
from schemas import commands as c
from schemas.codec import Codec
from schemas.ids import US_PER_S
from schemas.notifications import Notification
from tests.harness.hostile import HostileTown
from tests.harness.towns import recorded

pytestmark = pytest.mark.simulation

SEEDS = range(15)
COMMANDS_EACH = 400


def written_as_mail(message: Notification, town: HostileTown) -> None:
    """As the mail desk does: a mail that cannot be written is set aside, for every cause."""
    details = town.state.details
    assert details is not None
    starts_at = datetime.fromtimestamp(details.starts_at // US_PER_S, UTC)
    occasion = Occasion(title=details.title, venue=details.venue, starts_at=starts_at, timezone=details.timezone)
    mail = Mail(
        identity="1", kind=message.kind, email="ada@example.org", name="Ada", created_at=starts_at,
        data=msgspec.json.decode(message.data), occasion=occasion,
    )  # fmt: skip
    with suppress(*UNWRITABLE):
        render(mail, "tickets@example.org")


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
            call_of(one)
            for message in compose(one):
                assert codec.decode(codec.encode(message)) == message
                written_as_mail(message, town)
        tally(facts)
        forged.update(town.forged)
        refused.update(town.refused)
    assert forged.keys() == set(c.COMMANDS), "a kind of command was never forged so that it could be read"
    assert refused.total() > 100
