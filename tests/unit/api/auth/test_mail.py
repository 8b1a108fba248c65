"""Every spelling of one mail address has one form; an older account is found by the form of its time."""

from __future__ import annotations

from datetime import UTC, datetime
from email.policy import SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.mail import ADDRESS_BYTES_MAX, normalised, spellings
from api.http.problem import Problem
from pipelines.notifications.mail.render import render_account


@pytest.mark.parametrize(
    ("typed", "one"),
    [
        ("ada@example.org", "ada@example.org"),
        ("  Ada@Example.ORG ", "ada@example.org"),
        ("zoe\u0308@example.org", "zo\u00eb@example.org"),  # composed
        ("ZOE\u0308@example.org", "zo\u00eb@example.org"),
        ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example"),
        ("ada@B\u00dcCHER.example", "ada@xn--bcher-kva.example"),
        ("ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"),
        ("ada@XN--BCHER-kva.example", "ada@xn--bcher-kva.example"),
        ("ada@\uff45xample.org", "ada@example.org"),  # a full-width e
        ("ada@fa\u00df.example", "ada@xn--fa-hia.example"),  # not fass: IDNA 2008
        ("ada@localhost", "ada@localhost"),
        ("a+b@example.org", "a+b@example.org"),
        ("jos\u00e9@example.org", "jos\u00e9@example.org"),
        ("JOSE\u0301@EXAMPLE.org", "jos\u00e9@example.org"),
        ("\u7528\u6237@\u4f8b\u3048.jp", "\u7528\u6237@xn--r8jz45g.jp"),
        ("\u0130x@example.org", "i\u0307x@example.org"),
        ("o'hara@example.org", "o'hara@example.org"),
        ("ada@mail.test", "ada@mail.test"),
    ],
)
def test_an_address_has_one_form(typed: str, one: str) -> None:
    assert normalised(typed) == one
    assert normalised(one) == one


@pytest.mark.parametrize(
    "typed",
    ["@example.org", "ada@", "ada", "ada@-example.org", "ada@exam_ple.org", "ada@example..org", "ada@example.org.",
     "ada@[127.0.0.1]", "ada@" + "a" * 64 + ".org", "a" * 65 + "@example.org", "ada@xn--\u00fc.example",
     "john..doe@example.org", ".ada@example.org", "ada.@example.org", '"x"@example.org', '"a b"@example.org',
     "x(c)@example.org", "a b@example.org", "a@b@example.org", "Ada <ada@example.org>", "a\u200bda@example.org",
     "\u202eada@example.org", "a,b@example.org", "a;b@example.org", "a\\b@example.org", "a\r\nb@example.org",
     "\u00e9" * 33 + "@example.org", "ada@" + ".".join(["a" * 60] * 5), "ada@\u2028.example", "ada@xn--zzzzzzzzz.org"],
)  # fmt: skip
def test_what_is_no_address_names_its_field(typed: str) -> None:
    with pytest.raises(Problem) as raised:
        normalised(typed)
    assert (raised.value.slug, raised.value.field) == ("invalid-request", "email")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" Ada@Example.ORG ", ["ada@example.org"]),
        ("ADA@b\u00fccher.example", ["ada@xn--bcher-kva.example", "ada@b\u00fccher.example"]),
        ("John..Doe@Example.org ", ["john..doe@example.org"]),
        ("ada@exam_ple.org", ["ada@exam_ple.org"]),
    ],
)
def test_an_address_is_looked_up_in_todays_form_and_in_that_of_older_accounts(typed: str, stored: list[str]) -> None:
    assert spellings(typed) == stored


@given(st.text(min_size=1, max_size=30), st.one_of(st.just("example.org"), st.text(min_size=1, max_size=30)))
def test_whatever_comes_is_refused_or_has_a_form_that_stays(local: str, domain: str) -> None:
    try:
        one = normalised(f"{local}@{domain}")
    except Problem:
        return
    assert normalised(one) == one
    assert one.rpartition("@")[2].isascii()
    assert len(one.encode()) <= ADDRESS_BYTES_MAX
    letter = render_account("password-changed", one, "Circle <t@example.org>", "x", datetime.now(UTC))
    assert letter["To"].addresses[0].addr_spec == one
    assert f"To: {one}".encode() in b" ".join(letter.as_bytes(policy=SMTPUTF8).split(b"\r\n "))
