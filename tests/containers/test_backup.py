"""Backup and restore, as the page writes them: what was sold is there, the log says so, and the sale goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops.containers.engine import Engine
from tests.containers.conftest import PROJECT
from tests.harness.compose_stack import ANSWER_S_MAX, REGISTRY, ComposeStack, Drop, compose_stack
from tests.harness.shop import PASSWORD
from tests.unit.docs.pages import blocks, section, text_of

PAGE = "ops/docs/guide/backup.md"
SETUP = blocks(section(text_of(PAGE), "What to keep"), "bash")
STOPPED, SELLING = "With everything stopped", "While it sells"
TIMEOUT_S = 900


@pytest.fixture(scope="module", params=[{}, REGISTRY], ids=["the manifest's ids", "a registry's ids"])
def stack(whole_engine: Engine, request: pytest.FixtureRequest) -> Iterator[ComposeStack]:
    """All of it, as the page starts it. Its records have the ids of the manifest, or those of the registry."""
    first = has_another_schema if request.param else nothing
    with compose_stack(whole_engine, PROJECT, profile="full", extra=request.param, first=first) as running:
        yield running


def nothing(stack: ComposeStack) -> None:
    """A stack without records that name the registry's ids."""


def has_another_schema(stack: ComposeStack) -> None:
    """Starts the registry, which has a schema that is not ours: an empty one would give our schemas other ids."""
    stack.up("schema-registry")
    url = f"{stack.registry}/subjects/another/versions"
    httpx.post(url, json={"schema": '"string"'}, timeout=ANSWER_S_MAX).raise_for_status()


def steps(heading: str, *, registry: bool) -> tuple[str, str, list[str]]:
    """The commands of the page: of the backup, of the restore, and of the check after it."""
    found = blocks(section(text_of(PAGE), heading), "bash")
    if heading == STOPPED:
        backup, restore = found
        check: list[str] = []
    else:
        backup, of_the_registry, restore, registry_again, log_again, *check = found
        backup += of_the_registry if registry else ""
        restore += (registry_again if registry else "") + log_again
    return SETUP[0] + backup, SETUP[0] + restore, [SETUP[0] + one for one in check]


def tickets(drop: Drop) -> list[Any]:
    return [buyer.get("/v1/tickets").json() for buyer in drop.buyers]


def positions(outcomes: list[dict[str, Any]]) -> list[Any]:
    return [one["position"] for one in outcomes]


def receipt_of(drop: Drop) -> str:
    """A receipt of a request that was refused, as all are where a house is sold out."""
    wanted = {"ticket_type_id": drop.event.seated, "quantity": 1}
    return drop.buyers[0].reserve(drop.event.id, prefer="wait=20, receipt", **wanted).headers["circle-receipt"]


def schema_ids(stack: ComposeStack) -> dict[str, int]:
    """The registry's id of each record's newest schema. None is missing."""
    applied = json.loads(stack.circle("topics", "apply", "--dry-run", "--json"))["schemas"]
    assert {one["missing"] for one in applied} <= {0}
    return {one["subject"]: one["newest_id"] for one in applied}


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("heading", [STOPPED, SELLING])
def test_a_restore_brings_back_what_was_sold(heading: str, stack: ComposeStack, tmp_path: Path) -> None:
    backup, restore, check = steps(heading, registry=bool(stack.extra))
    (empty,) = blocks(section(text_of("ops/docs/operations.md"), "Rebuilding the rows"), "sql")
    (tmp_path / "empty.sql").write_text(empty)
    with stack.shop() as shop:
        kept = Drop(shop)
        outcomes = kept.sell()
        receipt = receipt_of(kept)
        before, facts, ids = tickets(kept), stack.verify(), schema_ids(stack)
        stack.run_page(backup, tmp_path)
        lost = Drop(shop)
        lost.sell()
        stack.run_page(restore, tmp_path)
        for block in check:
            assert "no divergence" in stack.run_page(block, tmp_path)
        assert schema_ids(stack) == ids
        assert "is the one the receipt was given for" in stack.circle("verify", "--receipt", receipt)
        assert tickets(kept) == before, "the same tickets, under the same sessions"
        assert positions(kept.ask_again()) == positions(outcomes), "one outcome for each key"
        login = {"email": lost.buyers[0].email, "password": PASSWORD}
        assert shop.http.post("/v1/auth/login", json=login).status_code == 401, "an account of after the backup"
        Drop(shop).sell()
        assert stack.verify() > facts
