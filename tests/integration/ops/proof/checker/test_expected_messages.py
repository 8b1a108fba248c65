"""The checker's table of messages against rows: a platform that composes its messages wrongly is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from connectors.postgres import connect
from connectors.settings import Settings
from ops.proof.checker.expected_messages import INBOX, KINDS_WITH_MAILS, MAIL, expected_messages
from ops.proof.checker.expected_rows import check_mails, check_partition
from ops.proof.checker.report import Report
from pipelines.notifications import branch
from pipelines.notifications.compose import compose
from schemas.facts import RecordedFact
from schemas.notifications import Notification
from tests.harness.flows import Flow, eventually, notifications, rows_of, write_facts
from tests.harness.towns import recorded, town_of

PARTITION = 0
POSITION = "SELECT \"offset\" FROM projection_positions WHERE consumer = 'notifications' AND partition = 0"


@pytest.fixture(scope="module")
def facts() -> list[RecordedFact]:
    return recorded(town_of(41, 150), PARTITION)


def delivered(settings: Settings, facts: list[RecordedFact]) -> None:
    """Run the notifications until every fact is delivered."""
    with Flow(notifications, settings), rows_of(settings) as query:
        write_facts(settings, facts)
        eventually(lambda: query(POSITION) == [(facts[-1].envelope.offset,)], "the facts are delivered")


def violations(settings: Settings, facts: list[RecordedFact]) -> list[str]:
    """What the checker finds in the inbox and in the due mails."""
    report = Report()
    expected = [message for fact in facts for message in expected_messages(fact)]

    async def check() -> None:
        inbox, mails = ({key: text for key, text in expected if key.channel == name} for name in (INBOX, MAIL))
        connection = await connect(settings.postgres_url)
        try:
            await check_partition(connection, PARTITION, {}, inbox, report)
            await check_mails(connection, PARTITION, mails, report, sent=True)
        finally:
            await connection.close()
        assert report.counts["inbox_rows"] > 0

    asyncio.run(check())
    return [f"{one.rule}: {one.what}" for one in report.violations]


def with_server(settings: Settings) -> Settings:
    """Settings with a mail server. No user of the town has an account, so no mail leaves."""
    return replace(settings, smtp_url="smtp://127.0.0.1:1")


def test_the_rows_of_a_sale_are_the_messages_of_the_table(settings: Settings, facts: list[RecordedFact]) -> None:
    delivered(with_server(settings), facts)
    assert violations(settings, facts) == []
    with rows_of(settings) as query:
        assert query("SELECT count(*) FROM mail_deliveries")[0][0] > 0


def without_confirmations(fact: RecordedFact) -> list[Notification]:
    return [one for one in compose(fact) if one.kind != "reservation.confirmed"]


def to_the_wrong_user(fact: RecordedFact) -> list[Notification]:
    return [
        msgspec.structs.replace(one, user_id="a stranger") if one.kind == "reservation.confirmed" else one
        for one in compose(fact)
    ]


def with_a_wrong_price(fact: RecordedFact) -> list[Notification]:
    return [
        msgspec.structs.replace(one, data=one.data.replace('"currency":"EUR"', '"currency":"USD"'))
        if one.kind == "reservation.confirmed"
        else one
        for one in compose(fact)
    ]


@pytest.mark.parametrize(
    ("composed", "wrong"),
    [
        (without_confirmations, {"is missing"}),
        (to_the_wrong_user, {"is missing", "which the log does not say"}),
        (with_a_wrong_price, {"its data has currency 'USD', by the log 'EUR'"}),
    ],
)
def test_a_wrong_composition_is_found_in_the_inbox_and_in_the_mails(
    settings: Settings,
    facts: list[RecordedFact],
    monkeypatch: pytest.MonkeyPatch,
    composed: Callable[[RecordedFact], list[Notification]],
    wrong: set[str],
) -> None:
    """Negative control: the flow that decides who gets a message has another function than the checker's table."""
    monkeypatch.setattr(branch, "compose", composed)
    delivered(with_server(settings), facts)
    found = violations(settings, facts)
    assert "reservation.confirmed" in KINDS_WITH_MAILS
    assert {text.partition(":")[0] for text in found} == {"inbox", "mail"}
    assert all("reservation.confirmed to " in text for text in found)
    assert {text for text in wrong if any(one.endswith(text) for one in found)} == wrong
    assert all(any(one.endswith(text) for text in wrong) for one in found)
