"""The accounts of one mailbox have one number; verified addresses are counted apart; the number reveals no address."""

from __future__ import annotations

import pytest

from api.auth.keys import KeyRing
from api.auth.mail import mailbox_of, normalised
from api.auth.mailboxes import Mailboxes


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada+1@EXAMPLE.org", "ada@example.org"),
        ("ada+a+b@example.org", "ada@example.org"),
        ("ada+@example.org", "ada@example.org"),
        ("jose\u0301+1@bücher.example", "josé@xn--bcher-kva.example"),
        ("a.da+1@example.org", "a.da@example.org"),
        ("ada-1@example.org", "ada-1@example.org"),
        ("+1@example.org", "+1@example.org"),
    ],
)
def test_a_mailbox_is_the_address_without_what_follows_the_plus(address: str, mailbox: str) -> None:
    assert mailbox_of(normalised(address)) == mailbox


def test_the_accounts_of_one_mailbox_have_one_number_and_others_have_others() -> None:
    mailboxes = Mailboxes(KeyRing.load(None))
    five = {mailboxes.number(f"ada+{number}@example.org", verified=True) for number in range(5)}
    assert len(five) == 1
    others = ["ada@example.com", "a.da@example.org", "adam@example.org"]
    assert len(five | {mailboxes.number(one, verified=True) for one in others}) == 4
    assert all(0 < number < 2**63 for number in five)


def test_an_address_that_is_not_verified_is_counted_apart() -> None:
    mailboxes = Mailboxes(KeyRing.load(None))
    claimed = mailboxes.number("ada+1@example.org", verified=False)
    assert claimed == mailboxes.number("ada+2@example.org", verified=False)
    assert claimed != mailboxes.number("ada@example.org", verified=True)


def test_a_number_is_keyed_and_stays_while_the_oldest_key_does() -> None:
    old, new = KeyRing.load(None), KeyRing.load(None)
    number = Mailboxes(old).number("ada@example.org", verified=True)
    assert Mailboxes(KeyRing([new.current, old.current])).number("ada@example.org", verified=True) == number
    assert Mailboxes(new).number("ada@example.org", verified=True) != number
