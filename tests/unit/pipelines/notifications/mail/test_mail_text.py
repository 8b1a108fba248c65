"""The text of mails: one pair of templates a kind, the same bytes each time, harmless for every title."""

from __future__ import annotations

import dataclasses
import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.signing_keys import KeyRing, generate_pem
from pipelines.documents.ticket_codes import TicketCodes
from pipelines.notifications.compose import compose, compose_direct
from pipelines.notifications.kinds import KINDS, Channel, NotificationKind
from pipelines.notifications.mail import attachments
from pipelines.notifications.mail import render as rendering
from pipelines.notifications.mail.accounts import LINK_TTL_S
from pipelines.notifications.mail.attachments import Attachment, Attachments
from pipelines.notifications.mail.desk import BACKOFF, TRIES_MAX, UNWRITABLE, retry
from pipelines.notifications.mail.render import Link, Mail, Occasion, places, render, render_account, when
from schemas import facts as f
from schemas.facts import Reason
from schemas.ids import US_PER_S
from tests.harness.fact_logs import recorded
from tests.harness.words import (
    ALICE,
    BOB,
    DEADLINE,
    ORGANIZER,
    R1,
    STALLS,
    T,
    cancelled,
    confirmation_refused,
    confirmed,
    dispute_closed,
    dispute_opened,
    held,
    hold_expired,
    hold_released,
    payment_declined,
    payment_refunded,
    refund_failed,
    refunded_at_provider,
    rejected,
)
from tests.unit.pipelines.documents.tickets import ticket

FROM = "General Circle <tickets@example.org>"
MOMENT = datetime(2031, 5, 1, 19, 0, tzinfo=UTC)
OCCASION = Occasion(
    title="Opening night", venue="Town hall", starts_at=MOMENT, timezone="Europe/Vienna", currency="EUR"
)
NOTIFIED = ("venue", ["venue", "starts_at"], "Night", "Hall", T, T + 1, "Europe/Vienna")
FACTS: list[f.Fact] = [
    held(["A-1", "A-2"]),
    confirmed(["A-1"]),
    rejected(Reason.SOLD_OUT, "0 left"),
    confirmation_refused(Reason.HOLD_EXPIRED),
    hold_expired(["A-1"]),
    hold_released(["A-1"]),
    cancelled(["A-1"]),
    cancelled(["A-1"], reason=Reason.EVENT_CANCELLED),
    payment_declined(),
    payment_refunded(),
    f.HoldWarned(R1, ALICE, STALLS, DEADLINE),
    f.HoldExtended(R1, ALICE, STALLS, DEADLINE),
    f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-1"],
        ticket_ids=["t-1"],
        amount_minor=2_500,
        kept_minor=500,
        reason="buyer-cancelled",
    ),
    f.WaitlistOffered(
        entry_id="entry", user_id=ALICE, ticket_type_id=STALLS, quantity=2, reservation_id=R1, expires_at=DEADLINE
    ),
    f.CheckInAccepted(
        reservation_id=R1,
        user_id=ALICE,
        ticket_id="t-1",
        seat="A-1",
        by_user_id=BOB,
        gate="north",
        scanner="scanner-3",
        scanned_at=T,
    ),
    f.HolderNotified(
        kind="reminder",
        cause=7,
        reservation_id=R1,
        user_id=ALICE,
        changed=[],
        title="Night",
        venue="Hall",
        starts_at=T,
        ends_at=T + 1,
        timezone="Europe/Vienna",
    ),
    f.HolderNotified(
        kind="event-changed",
        cause=7,
        reservation_id=R1,
        user_id=ALICE,
        changed=["starts_at"],
        title="Night",
        venue="Hall",
        starts_at=T,
        ends_at=T + 1,
        timezone="Europe/Vienna",
    ),
    f.TicketTransferred(
        reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, ticket_id="t-1", seat="A-1", to_user_id=BOB, version=2
    ),
    f.TransferOffered(
        transfer_id="offer",
        reservation_id=R1,
        user_id=BOB,
        ticket_type_id=STALLS,
        ticket_id="t-1",
        seat="A-1",
        to_user_id=ALICE,
        expires_at=DEADLINE,
    ),
    f.TransferEnded(
        transfer_id="offer",
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        ticket_id="t-1",
        seat="A-1",
        to_user_id=BOB,
        outcome="declined",
    ),
    f.StaffInvited(ORGANIZER, ALICE, DEADLINE),
    f.StaffAdded(ORGANIZER, ALICE),
    refunded_at_provider(),
    refund_failed(),
    dispute_opened(),
    dispute_closed("lost"),
]


def mail_of(kind: str, data: dict[str, Any], **changes: Any) -> Mail:
    details: dict[str, Any] = {
        "identity": f"{ALICE}/0/7/0/{kind}",
        "kind": kind,
        "email": "ada@example.org",
        "name": "Ada",
        "created_at": datetime.fromtimestamp(T / US_PER_S, UTC),
        "data": data,
        "occasion": OCCASION,
    }
    return Mail(**details | changes)


def mails() -> dict[str, Mail]:
    """One mail of each kind, from the facts that make them."""
    messages = [one for fact in FACTS for one in compose(recorded(fact, offset=7)) if one.channel == Channel.MAIL]
    messages += [
        one for one in compose_direct(1, ALICE, NotificationKind.REGISTERED, "{}", T) if one.channel == Channel.MAIL
    ]
    return {one.kind: mail_of(one.kind, msgspec.json.decode(one.data)) for one in messages}


MAILS = mails()
NEUTRAL = ("transfer.offered", "transfer.ended", "staff.invited")  # to a user who has accepted nothing


def texts(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def test_there_is_a_mail_of_every_kind_to_look_at() -> None:
    assert MAILS.keys() == KINDS.keys()


def test_every_kind_has_its_templates_and_there_are_no_others() -> None:
    there = {path.name for path in (Path(rendering.__file__).parent / "templates").iterdir() if path.is_file()}
    wanted = {f"{kind}.{form}" for kind in KINDS for form in ("txt", "html")}
    assert there == wanted | {"layout.html", "event.txt", "footer.txt"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_mail_of_each_kind_says_the_same_in_both_forms(kind: str) -> None:
    message = render(MAILS[kind], FROM)
    plain, html = texts(message)
    subject = message["Subject"]
    assert subject
    assert subject in html
    assert message["To"] == "Ada <ada@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    for text in (plain, html):
        assert "None" not in text
        assert "{" not in text
        assert "preferences of your account" in " ".join(text.split())
    if kind not in (NotificationKind.REGISTERED, *NEUTRAL):
        title = MAILS[kind].data.get("title", "Opening night")
        assert title in subject
        assert title in plain


def test_the_same_mail_is_the_same_bytes_and_another_one_has_another_id() -> None:
    mail = MAILS["reservation.confirmed"]
    assert render(mail, FROM).as_bytes() == render(mail, FROM).as_bytes()
    other = render(mail_of(mail.kind, mail.data, identity="other"), FROM)
    assert other["Message-ID"] != render(mail, FROM)["Message-ID"]


def test_markup_in_a_title_stays_text_and_line_breaks_stay_out_of_headers() -> None:
    title = "<script>alert(1)</script>\r\nBcc: everybody@example.org"
    message = render(mail_of("event.cancelled", MAILS["event.cancelled"].data, occasion=Occasion(title=title)), FROM)
    _, html = texts(message)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert parsed["Bcc"] is None
    assert parsed["Subject"].startswith("Cancelled: <script>")


@pytest.mark.parametrize("name", ["Žofie Ünal, 王", 'Ada "x" <eve@example.org>', "A\r\nBcc: eve@example.org"])
def test_a_name_is_only_ever_a_name(name: str) -> None:
    message = render(mail_of(NotificationKind.REGISTERED, {}, name=name), FROM)
    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    (address,) = parsed["To"].addresses
    assert address.addr_spec == "ada@example.org"
    assert address.display_name == " ".join(name.split())
    assert parsed["Bcc"] is None


def test_a_domain_of_any_script_is_written_in_ascii_and_an_address_that_is_none_is_an_error() -> None:
    message = render(mail_of(NotificationKind.REGISTERED, {}, email="ada@bücher.example"), FROM)
    assert b"ada@xn--bcher-kva.example" in message.as_bytes()
    jürg = render(mail_of(NotificationKind.REGISTERED, {}, email="jürg@example.org"), FROM)
    assert "<jürg@example.org>" in jürg.as_bytes(policy=SMTPUTF8).decode()
    for address in ("a,b@c.org", "a@b@c", "@c.org", "a b@c.org"):
        with pytest.raises(UNWRITABLE):
            render(mail_of(NotificationKind.REGISTERED, {}, email=address), FROM)


def test_times_are_told_on_the_clock_of_the_place() -> None:
    assert when(MOMENT, "Europe/Vienna") == "Thu 1 May 2031, 21:00 (Europe/Vienna)"
    assert when("2031-01-01T19:00:00Z", "Europe/Vienna") == "Wed 1 Jan 2031, 20:00 (Europe/Vienna)"
    assert when(MOMENT, "Nowhere/Land") == "Thu 1 May 2031, 19:00 (UTC)"
    assert when("2027-10-31T00:30:00Z", "Europe/Vienna") == "Sun 31 Oct 2027, 02:30 CEST (Europe/Vienna)"
    assert when("2027-10-31T01:30:00Z", "Europe/Vienna") == "Sun 31 Oct 2027, 02:30 CET (Europe/Vienna)"
    assert when("2027-10-31T02:00:00Z", "Europe/Vienna") == "Sun 31 Oct 2027, 03:00 (Europe/Vienna)"
    assert when("0", "Europe/Vienna") == when(None, "UTC") == ""
    plain, _ = texts(render(MAILS["reservation.confirmed"], FROM))
    assert "Thu 1 May 2031, 21:00 (Europe/Vienna)" in plain


@pytest.mark.parametrize(
    ("amount", "currency", "text"), [(4_250, "EUR", "42.50 EUR"), (500, "JPY", "500 JPY"), (1_230, "KWD", "1.230 KWD")]
)
def test_money_is_told_in_its_currencys_own_places(amount: int, currency: str, text: str) -> None:
    confirmed = MAILS["reservation.confirmed"]
    price = {"amount": amount, "currency": currency}
    for said in texts(render(dataclasses.replace(confirmed, data=confirmed.data | price), FROM)):
        assert text in said


def test_places_are_seats_or_a_number() -> None:
    assert places({"seats": ["A-1", "A-2"], "quantity": 2}) == "seats A-1, A-2"
    assert places({"seats": [], "quantity": 1}) == "1 ticket"
    assert places({"seat": "B-3"}) == "seat B-3"


def test_a_mail_is_tried_for_about_a_day_and_then_given_up() -> None:
    waits = [retry(attempt, "away") for attempt in range(1, TRIES_MAX)]
    assert {one.status for one in waits} == {"pending"}
    assert waits[0].due_s < 10
    assert max(one.due_s for one in waits) == BACKOFF.max_s
    assert 18 < sum(one.due_s for one in waits) / 3600 < 30
    assert retry(TRIES_MAX, "away").status == "failed"


# --- mails about accounts

ACCOUNT_KINDS = sorted(path.stem for path in (Path(rendering.__file__).parent / "templates" / "account").glob("*.txt"))
LINK = Link("https://tickets.example.org/account#verify-email=t0ken", "t0ken", LINK_TTL_S["verify-email"])


@pytest.mark.parametrize("kind", ACCOUNT_KINDS)
def test_a_mail_about_an_account_names_nobody_and_says_the_same_twice(kind: str) -> None:
    link = LINK if kind in LINK_TTL_S else None
    made = [render_account(kind, "ada@example.org", FROM, "account/7", MOMENT, link).as_bytes() for _ in range(2)]
    assert made[0] == made[1]
    read = email.message_from_bytes(made[0], policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    assert read["To"] == "ada@example.org"
    for part in ("plain", "html"):
        body = read.get_body((part,))
        assert body is not None
        text = body.get_content()
        assert (LINK.url in text) == (link is not None)
        assert "{{" not in text
    if link is not None:
        assert f'<a href="{link.url}"' in text
        assert "within 3 days" in text


def test_every_kind_of_link_has_its_mail() -> None:
    assert set(LINK_TTL_S) <= set(ACCOUNT_KINDS)


@pytest.mark.parametrize("kind", NEUTRAL)
def test_what_nobody_has_accepted_is_mailed_without_a_word_of_strangers(kind: str) -> None:
    lure = "Your account is closed, sign in at https://phish.example"
    occasion = Occasion(title=lure, venue=lure, starts_at=datetime.fromtimestamp(T / US_PER_S, UTC), ticket_type=lure)
    message = render(mail_of(kind, MAILS[kind].data, occasion=occasion), FROM)
    for text in (str(message["Subject"]), *texts(message)):
        assert "phish" not in text
        assert "http" not in text


def test_the_mail_of_a_purchase_has_a_link_and_its_tickets_the_same_bytes_each_time() -> None:
    kind, link = "reservation.confirmed", "https://tickets.example.org/tickets#r1"
    files = (
        Attachment("ticket-A-1.pdf", "application/pdf", b"%PDF-1.7 \x00\xff"),
        Attachment("event.ics", "text/calendar", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
    )
    mail = mail_of(kind, MAILS[kind].data, link=link, attachments=files)
    message = render(mail, FROM)
    assert message.as_bytes() == render(mail, FROM).as_bytes()
    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert all(link in text and "attached" in text for text in texts(parsed))
    found = {one.get_filename(): one.get_content() for one in parsed.iter_attachments()}
    assert found["ticket-A-1.pdf"] == files[0].content
    assert "BEGIN:VCALENDAR" in str(found["event.ics"])
    bare = render(mail_of(kind, MAILS[kind].data, link=link), FROM)
    assert all(link in text and "attached" not in text for text in texts(bare))
    assert not list(bare.iter_attachments())


def test_no_more_is_attached_than_a_mail_carries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key_file = tmp_path / "jwt.pem"
    key_file.write_bytes(generate_pem())
    made = Attachments(key_file)
    codes = TicketCodes(KeyRing.load(key_file))
    tickets = [ticket(seat=f"A-{number}") for number in (1, 2, 3)]
    assert [one.name for one in made._drawn(codes, tickets, MOMENT)] == [
        "ticket-A-1.pdf", "ticket-A-2.pdf", "ticket-A-3.pdf", "event.ics",
    ]  # fmt: skip
    one = len(made._drawn(codes, tickets[:1], MOMENT)[0].content)
    monkeypatch.setattr(attachments, "ATTACHED_BYTES_MAX", 2 * one + 1_000)
    assert [one.name for one in made._drawn(codes, tickets, MOMENT)] == [
        "ticket-A-1.pdf", "ticket-A-2.pdf", "event.ics",
    ]  # fmt: skip


# --- nothing to pay -----------------------------------------------------------------------------------------------

MONEY = re.compile(r"(?i:\b(pay|paid|refund|charge|price|money)|on (its|their) way)|\bEUR\b|0\.00")
FREE: list[f.Fact] = [
    held(["A-1"], price_minor=0),
    confirmed(["A-1"], payment="", price_minor=0),
    rejected(Reason.SOLD_OUT, "0 left"),
    confirmation_refused(Reason.HOLD_EXPIRED),
    hold_expired(["A-1"]),
    hold_released(["A-1"]),
    cancelled(["A-1"]),
    cancelled(["A-1"], reason=Reason.EVENT_CANCELLED),
    f.HoldWarned(R1, ALICE, STALLS, DEADLINE),
    f.HoldExtended(R1, ALICE, STALLS, DEADLINE),
    f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-1"],
        ticket_ids=["t-1"],
        amount_minor=0,
        kept_minor=0,
        reason="buyer-cancelled",
    ),
    f.WaitlistOffered(
        entry_id="entry", user_id=ALICE, ticket_type_id=STALLS, quantity=2, reservation_id=R1, expires_at=DEADLINE
    ),
    f.HolderNotified(
        kind="event-cancelled",
        cause=7,
        reservation_id=R1,
        user_id=BOB,
        changed=[],
        title="Night",
        venue="Hall",
        starts_at=T,
        ends_at=T + 1,
        timezone="Europe/Vienna",
    ),
    f.TicketTransferred(
        reservation_id=R1, user_id=ALICE, ticket_type_id=STALLS, ticket_id="t-1", seat="A-1", to_user_id=BOB, version=2
    ),
]


def told_of(fact: f.Fact, price_minor: int) -> list[str]:
    """The texts of a fact's mails about a reservation with that price."""
    occasion = dataclasses.replace(OCCASION, price_minor=price_minor)
    messages = [one for one in compose(recorded(fact, offset=7)) if one.channel == Channel.MAIL]
    made = [render(mail_of(one.kind, msgspec.json.decode(one.data), occasion=occasion), FROM) for one in messages]
    return [text for message in made for text in (str(message["Subject"]), *texts(message))]


@pytest.mark.parametrize("fact", FREE, ids=lambda fact: type(fact).__name__)
def test_of_what_costs_nothing_no_mail_has_a_word_of_money(fact: f.Fact) -> None:
    told = told_of(fact, 0)
    assert told
    for text in told:
        assert not MONEY.search(re.sub(r"<[^>]+>", " ", text)), text


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (held(["A-1"]), "The price is 25.00 EUR."),
        (confirmed(["A-1"]), "Your payment of 25.00 EUR has arrived, and seat A-1 is yours."),
        (hold_expired(["A-1"]), "Nothing was charged."),
        (hold_released(["A-1"]), "Nothing was charged."),
        (rejected(Reason.SOLD_OUT, "0 left"), "Nothing was charged."),
        (confirmation_refused(Reason.HOLD_EXPIRED), "Nothing was charged."),
        (
            confirmation_refused(Reason.HOLD_EXPIRED, refund=2_500),
            "The 25.00 EUR that were charged are on their way back",
        ),
        (f.HoldWarned(R1, ALICE, STALLS, DEADLINE), "Without payment until then"),
        (
            f.WaitlistOffered(
                entry_id="entry",
                user_id=ALICE,
                ticket_type_id=STALLS,
                quantity=2,
                reservation_id=R1,
                expires_at=DEADLINE,
            ),
            "Without payment until then",
        ),
        (cancelled(["A-1"], refund=2_500), "The 25.00 EUR that were paid are on their way back to you."),
        (
            cancelled(["A-1"], reason=Reason.EVENT_CANCELLED, refund=2_500),
            "The 25.00 EUR you paid are on their way back",
        ),
        (
            f.HolderNotified(
                kind="event-cancelled",
                cause=7,
                reservation_id=R1,
                user_id=BOB,
                changed=[],
                title="",
                venue="",
                starts_at=T,
                ends_at=T + 1,
                timezone="UTC",
            ),
            "Who bought them is paid back.",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_what_costs_something_mails_say_what_becomes_of_the_money(fact: f.Fact, words: str) -> None:
    _, plain, html = told_of(fact, 2_500)
    assert words in plain
    assert words in html


@pytest.mark.parametrize(
    ("kept", "refund", "words"),
    [
        (2_500, None, "The terms of this event keep the 25.00 EUR that were paid."),
        (500, 2_000, "keep 5.00 EUR of what was paid; the rest, 20.00 EUR, is on its way back to you."),
        (None, None, None),
    ],
)
def test_terms_that_give_nothing_back_promise_nothing(kept: int | None, refund: int | None, words: str | None) -> None:
    _, plain, html = told_of(msgspec.structs.replace(cancelled(["A-1"]), kept_minor=kept, refund_minor=refund), 2_500)
    assert ("on its way" in plain) is bool(refund)
    if words is not None:
        assert words in plain
        assert words in html


def test_single_tickets_that_give_nothing_back_promise_nothing() -> None:
    gone = f.TicketsCancelled(
        reservation_id=R1,
        user_id=ALICE,
        ticket_type_id=STALLS,
        quantity=1,
        seats=["A-1"],
        ticket_ids=["t-1"],
        amount_minor=2_500,
        kept_minor=2_500,
        reason="buyer-cancelled",
    )
    for text in told_of(gone, 2_500)[1:]:
        assert "The terms of this event keep the 25.00 EUR paid for that." in text
        assert "on its way" not in text


def test_a_payment_that_came_in_another_currency_goes_back_in_it() -> None:
    back = msgspec.structs.replace(payment_refunded(amount=500), currency="JPY", origin="stray")
    for text in told_of(back, 2_500)[1:]:
        assert "500 JPY are refunded" in text
