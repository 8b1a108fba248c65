"""The signature is that of Standard Webhooks: its published example, and the verification our guide shows."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pipelines.notifications.webhooks.signature import headers, signature
from tests.unit.docs.pages import blocks, section, text_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def verify() -> Any:
    """The guide's function for receivers of our calls."""
    (code,) = blocks(section(text_of("ops/docs/guide/integrator.md"), "Being called"), "python")
    names: dict[str, Any] = {}
    exec(compile(code, "integrator.md", "exec"), names)
    return names["verify"]


def test_the_published_example_has_the_published_signature() -> None:
    found = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_the_guide_shows_accepts_our_calls() -> None:
    body = b'{"type":"webhook.test"}'
    assert verify()(SECRET, headers(SECRET, "msg_1", int(time.time()), body), body)


def test_while_two_secrets_are_good_whoever_has_either_verifies_and_nobody_else() -> None:
    body, former = b'{"type":"webhook.test"}', "whsec_" + "A" * 44
    sent = headers(SECRET, "msg_1", int(time.time()), body, former=former)
    assert [verify()(secret, sent, body) for secret in (SECRET, former, "whsec_" + "B" * 44)] == [True, True, False]
    assert not verify()(former, headers(SECRET, "msg_1", int(time.time()), body), body)


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret", "age", "missing"])
def test_what_the_guide_shows_refuses_everything_else(change: str) -> None:
    body, now = b'{"type":"webhook.test"}', int(time.time())
    sent = headers(SECRET, "msg_1", now - 600 if change == "age" else now, body)
    secret = SECRET
    if change == "body":
        body += b" "
    elif change == "id":
        sent["webhook-id"] = "msg_2"
    elif change == "timestamp":
        sent["webhook-timestamp"] = str(now + 1)
    elif change == "secret":
        secret = "whsec_" + "A" * 44
    elif change == "missing":
        del sent["webhook-signature"]
    assert not verify()(secret, sent, body)
