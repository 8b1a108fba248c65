"""No page of another site makes an operator's browser write."""

from __future__ import annotations

from base64 import b64encode
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.auth.operators import refuse_other_sites
from api.http.problem import Problem

PUBLIC = "https://tickets.example"
OWN = {"host": "tickets.internal:8000"}
PASSWORD = {"authorization": f"Basic {b64encode(b'operator:token').decode()}"}


def ask(method: str = "POST", **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    refuse_other_sites(cast("Any", SimpleNamespace(method=method, headers=OWN | named)), PUBLIC)


@pytest.mark.parametrize("known", [PASSWORD, {}])
@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "origin": PUBLIC},
    ],
)
def test_a_write_for_a_page_of_another_site_is_refused(known: dict[str, str], foreign: dict[str, str]) -> None:
    with pytest.raises(Problem, match="another site"):
        ask(**known, **foreign)
    ask("GET", **known, **foreign)
    ask(**foreign, authorization="Bearer token")


@pytest.mark.parametrize(
    "ours",
    [
        {},
        {"origin": "http://tickets.internal:8000"},
        {"origin": PUBLIC},
        {"sec_fetch_site": "same-origin", "origin": PUBLIC},
        {"sec_fetch_site": "none"},
    ],
)
def test_a_write_of_the_console_itself_passes(ours: dict[str, str]) -> None:
    ask(**PASSWORD, **ours)
