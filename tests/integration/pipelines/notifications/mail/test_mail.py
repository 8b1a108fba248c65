"""Facts become mails on a real SMTP server: once each, as users want it, also after refusals, kills and erasures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from connectors.settings import Settings
from pipelines.notifications.mail.desk import TRIES_MAX
from pipelines.watch.dead_letters import letters, redrive
from schemas.facts import Reason, RecordedFact
from schemas.topics import NOTIFICATIONS, dead_letters
from tests.harness.fact_logs import log_of
from tests.harness.flows import Flow, Process, eventually, read, rows_of, write_facts
from tests.harness.flows import notifications as run
from tests.harness.mail_server import MailServer
from tests.harness.words import ALICE, BOB, R2, confirmed, held, on_sale, payment_refunded, rejected

Query = Callable[..., list[tuple[Any, ...]]]
NOBODY = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture
def mailing(settings: Settings, server: MailServer) -> Settings:
    return replace(settings, smtp_url=server.url, mail_from="Circle <tickets@example.org>")


@pytest.fixture
def query(settings: Settings) -> Iterator[Query]:
    with rows_of(settings) as ask:
        for user_id, name in ((ALICE, "Alice"), (BOB, "Bob")):
            ask(
                "INSERT INTO users (id, email, name, password_hash, email_verified_at) VALUES ($1, $2, $3, '', now())",
                user_id,
                f"{name.lower()}@example.org",
                name,
            )
        yield ask


def statuses(query: Query) -> list[tuple[Any, ...]]:
    return query('SELECT user_id, kind, status FROM mail_deliveries ORDER BY "offset", "index"')


def settled(query: Query, number: int) -> None:
    done = "SELECT count(*) FROM mail_deliveries WHERE status <> 'pending'"
    eventually(lambda: query(done)[0][0] >= number, f"{number} mails are settled: {statuses(query)}")


def waiting(query: Query) -> list[tuple[Any, ...]]:
    """The tries of each mail that waits for another one."""
    return query("SELECT attempts FROM mail_deliveries WHERE status = 'pending' AND error <> ''")


def bought(by: str = ALICE, *, rid: str | None = None, first: int = 3) -> list[RecordedFact]:
    options = {"by": by} | ({"rid": rid} if rid else {})
    return log_of(held(["A-1"], **options), confirmed(["A-1"], **options), first=first)


def test_each_mail_is_sent_once_to_whom_it_is_for_and_as_they_want_it(
    mailing: Settings, server: MailServer, query: Query
) -> None:
    query("INSERT INTO notification_preferences (user_id, kind, mail) VALUES ($1, 'ticket.held', true)", ALICE)
    query("INSERT INTO notification_preferences (user_id, kind, mail) VALUES ($1, 'reservation.confirmed', false)", BOB)
    query("INSERT INTO direct_messages (user_id, kind) VALUES ($1, 'registered')", BOB)
    facts = log_of(*on_sale()) + bought() + bought(BOB, rid=R2, first=5) + bought(NOBODY, rid="r-3", first=7)
    facts += log_of(rejected(Reason.SOLD_OUT, "0 left"), first=9)
    with Flow(run, mailing):
        write_facts(mailing, facts)
        write_facts(mailing, facts)  # again, as after an aborted transaction on a weak broker
        settled(query, 5)
    assert sorted((one["To"], one["Subject"]) for one in server.taken) == [
        ("Alice <alice@example.org>", "Held for you: seat A-1, your event"),
        ("Alice <alice@example.org>", "Your tickets: your event"),
        ("Bob <bob@example.org>", "Welcome to General Circle"),
    ]
    assert len({one["Message-ID"] for one in server.taken}) == 3
    assert {one["From"] for one in server.taken} == {"Circle <tickets@example.org>"}
    assert [row for row in statuses(query) if row[1] != "registered"] == [
        (ALICE, "ticket.held", "sent"),
        (ALICE, "reservation.confirmed", "sent"),
        (BOB, "reservation.confirmed", "suppressed"),
        (NOBODY, "reservation.confirmed", "erased"),
    ]
    assert query("SELECT count(*) FROM direct_messages") == [(0,)]


def test_a_server_that_is_busy_is_asked_again_with_the_same_mail(
    mailing: Settings, server: MailServer, query: Query
) -> None:
    answers = iter(["451 4.3.2 busy", "421 4.3.2 going down"])
    server.answer = lambda _: next(answers, "250 OK")
    with Flow(run, mailing):
        write_facts(mailing, log_of(*on_sale()) + bought())
        for tries in (1, 2):
            eventually(lambda tries=tries: waiting(query) == [(tries,)], f"the mail waits after try {tries}")
            query("UPDATE mail_deliveries SET due_at = now(), error = ''")
        settled(query, 1)
    assert len(server.offered) == 3
    assert len(set(server.offered)) == 1
    assert len(server.taken) == 1
    assert query("SELECT status, attempts FROM mail_deliveries") == [("sent", 3)]


def test_a_crash_before_the_row_is_written_sends_the_same_mail_once_more(
    mailing: Settings, server: MailServer, query: Query
) -> None:
    process = Process.start("notifications", mailing)

    def killed(_: EmailMessage) -> str:
        process.kill()  # the server has the mail, but its answer is lost
        server.answer = lambda _: "250 OK"
        return "250 OK"

    server.answer = killed
    write_facts(mailing, log_of(*on_sale()) + bought())
    server.until_taken(1)
    assert query("SELECT status, attempts FROM mail_deliveries") == [("pending", 1)]
    query("UPDATE mail_deliveries SET due_at = now()")
    with Flow(run, mailing):
        settled(query, 1)
    assert len(server.offered) == 2
    assert len(set(server.offered)) == 1
    assert query("SELECT status, attempts FROM mail_deliveries") == [("sent", 2)]


def test_a_mail_that_is_refused_for_good_goes_to_the_dead_letters_and_may_come_back(
    mailing: Settings, server: MailServer, query: Query
) -> None:
    server.answer = lambda message: "550 5.1.1 no such user" if "alice" in message["To"] else "250 OK"
    with Flow(run, mailing):
        write_facts(mailing, log_of(*on_sale()) + bought() + bought(BOB, rid=R2, first=5))
        settled(query, 2)
        assert sorted(row[2] for row in statuses(query)) == ["failed", "sent"]
        (letter,) = read(mailing, dead_letters(NOTIFICATIONS), 1, 1)
        headers = dict(letter.headers() or [])
        assert headers["error"] == b"mail: the server refused the mail for good (550)"
        server.answer = lambda _: "250 OK"
        assert redrive(mailing, letters(mailing, [NOTIFICATIONS])) == 1
        eventually(lambda: {row[2] for row in statuses(query)} == {"sent"}, "the mail that came back is sent")
    assert len(server.taken) == 2


def test_what_is_too_late_or_given_up_is_not_sent(mailing: Settings, server: MailServer, query: Query) -> None:
    query("INSERT INTO notification_preferences (user_id, kind, mail) VALUES ($1, 'ticket.held', true)", ALICE)
    now = time.time_ns() // 1000
    with Flow(run, mailing):
        past = log_of(*on_sale(), held(["A-1"], until=now - 1))
        write_facts(mailing, past)
        settled(query, 1)
        assert [row[2] for row in statuses(query)] == ["outdated"]
        query("UPDATE mail_deliveries SET status = 'pending', kind = 'payment.refunded', attempts = $1", TRIES_MAX)
        settled(query, 1)
    assert server.offered == []
    assert [row[2] for row in statuses(query)] == ["failed"]


def test_while_no_server_answers_mails_wait_and_are_sent_when_it_is_back(
    settings: Settings, server: MailServer, query: Query
) -> None:
    with Flow(run, replace(settings, smtp_url="smtp://127.0.0.1:1")):
        write_facts(settings, log_of(*on_sale()) + bought())
        eventually(lambda: waiting(query) == [(0,)], "the mail waits, and no try counts")
    query("UPDATE mail_deliveries SET due_at = now()")
    with Flow(run, replace(settings, smtp_url=server.url)):
        settled(query, 1)
    assert query("SELECT status, attempts FROM mail_deliveries") == [("sent", 1)]


def test_a_password_is_not_sent_without_tls(settings: Settings, server: MailServer, query: Query) -> None:
    url = server.url.replace("smtp://", "smtp://me:hunter22@")
    with Flow(run, replace(settings, smtp_url=url)):
        write_facts(settings, log_of(*on_sale()) + bought())
        eventually(lambda: waiting(query) == [(0,)], "the mail waits, and no try counts")
    ((error,),) = query("SELECT error FROM mail_deliveries")
    assert "STARTTLS" in error
    assert "hunter22" not in error
    assert server.offered == []


def test_without_a_server_nothing_is_kept_for_later(settings: Settings, query: Query) -> None:
    with Flow(run, settings):
        write_facts(settings, log_of(*on_sale()) + bought())
        eventually(lambda: query("SELECT count(*) FROM notifications") == [(2,)], "both messages")
    assert query("SELECT count(*) FROM mail_deliveries") == [(0,)]


def test_a_directory_takes_mails_as_files(settings: Settings, query: Query, tmp_path: Path) -> None:
    into = replace(settings, smtp_url=f"file://{tmp_path}/a%20box")
    with Flow(run, into):
        write_facts(into, log_of(*on_sale()) + bought() + log_of(payment_refunded(), first=5))
        settled(query, 2)
    files = sorted((tmp_path / "a box").iterdir())
    assert len(files) == 2
    assert all(path.suffix == ".eml" and b"alice@example.org" in path.read_bytes() for path in files)
