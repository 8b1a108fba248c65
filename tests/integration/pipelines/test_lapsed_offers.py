"""An unanswered offer ends by itself, also under a worker that was started since; its holder gets a message."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from connectors.settings import PARTITIONS_DEFAULT, Settings
from pipelines.reservations import flow as reservations
from pipelines.reservations.core import limits
from schemas import commands as c
from schemas import facts as f
from schemas.facts import RecordedFact
from schemas.ids import US_PER_S
from schemas.placement import partition_of
from schemas.topics import COMMANDS, FACTS
from tests.harness.command_logs import CODEC
from tests.harness.flows import Flow, eventually, notifications, projections, read, rows_of, write
from tests.harness.mail_server import MailServer
from tests.harness.words import ALICE, BOB, EVENT, R1, add_type, confirm, create, publish, reserve

HOME = partition_of(EVENT, PARTITIONS_DEFAULT)


def ask(settings: Settings, *commands: c.Command) -> None:
    write(settings, COMMANDS, [(HOME, CODEC.encode(one), []) for one in commands])


def facts(settings: Settings, at_least: int) -> list[f.Fact]:
    found = [CODEC.decode(one.value()) for one in read(settings, FACTS, PARTITIONS_DEFAULT, at_least)]
    return [one.fact for one in found if isinstance(one, RecordedFact)]


def test_the_giver_of_an_offer_that_lapsed_is_told_in_the_inbox_and_by_mail(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TRANSFER_TTL_S", 2)
    now = int(time.time()) * US_PER_S
    lasts = create(starts_at=now + 10**10, ends_at=now + 2 * 10**10)
    with rows_of(settings) as query, MailServer() as server:
        for user_id, address in ((ALICE, "alice@example.org"), (BOB, "bob@example.org")):
            query(
                "INSERT INTO users (id, email, name, password_hash, email_verified_at) VALUES ($1, $2, 'A', '', now())",
                user_id,
                address,
            )
        with Flow(projections, settings):
            with Flow(reservations.run, settings):
                ask(settings, lasts, add_type(price_minor=0), publish(), reserve(), confirm(token=""))
                bought = facts(settings, 5)[-1]
                assert isinstance(bought, f.ReservationConfirmed)
                ask(
                    settings,
                    c.TransferTicket(
                        event_id=EVENT,
                        user_id=ALICE,
                        command_id="cmd",
                        reservation_id=R1,
                        ticket_id=bought.ticket_ids[0],
                        to_user_id=BOB,
                    ),
                )
                offered = facts(settings, 6)[5]
                assert isinstance(offered, f.TransferOffered)
            eventually(lambda: query("SELECT count(*) FROM transfers") == [(1,)], "the offer has its row")
        with Flow(reservations.run, settings):
            ended = facts(settings, 8)[-1]
        assert ended == f.TransferEnded(
            transfer_id=offered.transfer_id,
            reservation_id=R1,
            user_id=ALICE,
            ticket_type_id=offered.ticket_type_id,
            ticket_id=offered.ticket_id,
            seat=offered.seat,
            to_user_id=BOB,
            outcome="expired",
        )
        with Flow(projections, settings), Flow(notifications, replace(settings, smtp_url=server.url)):
            eventually(
                lambda: (ALICE, "transfer.ended") in query("SELECT user_id, kind FROM notifications"), "the inbox"
            )
            eventually(
                lambda: (
                    [one["To"] for one in server.taken if "came to nothing" in one["Subject"]]
                    == ["A <alice@example.org>"]
                ),
                "the mail",
            )
            eventually(lambda: query("SELECT status FROM transfers") == [("expired",)], "its row says so")
