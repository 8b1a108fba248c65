"""`docker compose up --wait`: it is healthy, a walk-through and a drop pass, the log agrees, and a restart keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness.compose_stack import ComposeStack, Drop
from tests.unit.docs.pages import blocks, section, text_of


def reservation(outcome: dict[str, Any]) -> str:
    """The reservation of an outcome: of a hold, or of a problem."""
    return str(outcome.get("id") or outcome["reservation_id"])


def test_the_first_steps_run_as_they_are_written(stack: ComposeStack, tmp_path: Path) -> None:
    walk = "\n".join(blocks(section(text_of("ops/docs/guide/first-steps.md"), "Try it"), "bash"))
    printed = stack.run_page(walk, tmp_path)
    assert '"seats":["A-3","A-4","A-5"]' in printed
    assert '"status":"confirmed"' in printed
    assert "event: reservation.confirmed\n" in printed


def test_a_house_sells_out_once_and_the_log_says_so(stack: ComposeStack) -> None:
    with stack.shop() as shop:
        drop = Drop(shop)
        outcomes = drop.sell()
        assert list(map(reservation, drop.ask_again())) == list(map(reservation, outcomes))
    assert stack.verify() >= len(outcomes)


def test_what_was_sold_is_there_after_down_and_up(stack: ComposeStack) -> None:
    with stack.shop() as shop:
        drop = Drop(shop)
        drop.sell()
        before = [person.get("/v1/tickets").json() for person in drop.buyers]
        stack.down()
        stack.up()
        assert [person.get("/v1/tickets").json() for person in drop.buyers] == before, "the same keys, accounts, rows"
        facts = stack.verify()
        Drop(shop).sell()
        assert stack.verify() > facts
