"""A session's origin names the client in a few words and its network, and an unreadable network is none."""

from __future__ import annotations

import pytest

from api.auth.origin import NAME_CHARS_MAX, Origin, client_name
from api.http.client_address import parse

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [(CHROME, "Chrome on Windows"), (f"{CHROME} Edg/140.0", "Edge on Windows"),
     ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1",
      "Safari on iPhone"),
     ("Mozilla/5.0 (Linux; Android 16) Gecko/140.0 Firefox/140.0", "Firefox on Android"),
     ("Mozilla/5.0 (unheard of)", "a browser"), ("curl/8.5.0", "curl/8.5.0"), ("CircleApp/2.1 (ios)", "CircleApp/2.1"),
     ("", ""), ("<script>alert(1)</script>", ""), ("\u202eevil", ""), ("x" * 500, "x" * NAME_CHARS_MAX)],
)  # fmt: skip
def test_a_client_is_named_in_a_few_words(user_agent: str, name: str) -> None:
    assert client_name(user_agent) == name


def test_a_network_that_cannot_be_read_is_none() -> None:
    assert Origin.of(parse("no address"), None).network == ""
    assert Origin.of(parse("192.0.2.7:8080"), "curl/8.5.0") == Origin("192.0.2.7", "192.0.2.7", "curl/8.5.0")
