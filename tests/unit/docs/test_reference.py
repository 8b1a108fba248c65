"""The reference pages that are written from the code are what the code says now."""

from __future__ import annotations

import pytest

from ops.reference import PAGES, main, old_pages
from tests.unit.docs.pages import text_of


def test_no_page_is_old() -> None:
    assert old_pages() == [], "run python -m ops.reference"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_was_changed_by_hand_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PAGES, name, lambda: text_of(f"ops/docs/reference/{name}") + "one more line\n")
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == f"reference/{name} is old: run python -m ops.reference\n"
