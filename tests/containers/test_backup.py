"""Backup and restore, as the page writes them: what was sold is there, the log says so, and the sale goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.compose_stack import ComposeStack, Drop
from tests.harness.shop import PASSWORD
from tests.unit.docs.pages import blocks, section, text_of

PAGE = "ops/docs/guide/backup.md"
SETUP = blocks(section(text_of(PAGE), "What to keep"), "bash")
TIMEOUT_S = 900


def tickets(drop: Drop) -> list[Any]:
    return [buyer.get("/v1/tickets").json() for buyer in drop.buyers]


def positions(outcomes: list[dict[str, Any]]) -> list[Any]:
    return [one["position"] for one in outcomes]


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("heading", ["With everything stopped", "While it sells"])
def test_a_restore_brings_back_what_was_sold(heading: str, stack: ComposeStack, tmp_path: Path) -> None:
    backup, restore, *verify = (f"{SETUP[0]}\n{block}" for block in blocks(section(text_of(PAGE), heading), "bash"))
    (empty,) = blocks(section(text_of("ops/docs/operations.md"), "Rebuilding the rows"), "sql")
    (tmp_path / "empty.sql").write_text(empty)
    with stack.shop() as shop:
        kept = Drop(shop)
        outcomes = kept.sell()
        before, facts = tickets(kept), stack.verify()
        stack.run_page(backup, tmp_path)
        lost = Drop(shop)
        lost.sell()
        stack.run_page(restore, tmp_path)
        for block in verify:
            assert "no divergence" in stack.run_page(block, tmp_path)
        assert tickets(kept) == before, "the same tickets, under the same sessions"
        assert positions(kept.ask_again()) == positions(outcomes), "one outcome for each key"
        login = {"email": lost.buyers[0].email, "password": PASSWORD}
        assert shop.http.post("/v1/auth/login", json=login).status_code == 401, "an account of after the backup"
        Drop(shop).sell()
        assert stack.verify() > facts
