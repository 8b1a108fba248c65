"""Each process has the rights on Kafka that it works with, and no more; the page and the tool name the same ones."""

from __future__ import annotations

import json

import pytest

from ops.cli.main import run
from ops.operate import acls
from ops.operate.acls import RIGHTS, Process, ResourceKind, bindings, chosen, command
from schemas.topics import all_topics
from tests.unit.docs.pages import rows, section, text_of


def test_every_process_has_rights_and_no_more_than_it_works_with() -> None:
    assert {one.process for one in RIGHTS} == set(Process)
    names = {spec.name for spec in all_topics(1)}
    for one in RIGHTS:
        assert one.operations
        assert set(one.operations) <= set(acls._OPERATIONS)
        if one.kind is ResourceKind.TOPIC and not one.prefixed:
            assert one.name in names
    assert len({(one.process, one.kind, one.name) for one in RIGHTS}) == len(RIGHTS)
    writers = {one.process for one in RIGHTS if one.name == "tickets.facts" and "Write" in one.operations}
    assert writers == {Process.RESERVATIONS}, "facts are decided in one place; an operator has all topics"


def test_the_operations_page_has_the_same_table() -> None:
    listed = {
        (cells[0].strip("`"), cells[1], cells[2].strip("`"), cells[3])
        for cells in rows(section(text_of("ops/docs/operations.md"), "Rights on Kafka"))
    }
    there = {
        (one.process.value, one.kind.value, one.name + ("*" if one.prefixed else ""), ", ".join(one.operations))
        for one in RIGHTS
    }
    assert listed == there


def test_a_row_is_a_command_of_kafkas_own_tool() -> None:
    by_name = {command(one) for one in chosen(Process.RESERVATIONS)}
    assert (
        "--add --allow-principal User:reservations --operation Write --transactional-id circle-reservations- "
        "--resource-pattern-type prefixed"
    ) in by_name
    assert all("User:r1" in command(one, "User:r1") for one in RIGHTS)
    assert "--cluster" in command(next(one for one in RIGHTS if one.kind is ResourceKind.CLUSTER))


def test_a_row_is_a_binding_for_each_operation() -> None:
    assert len(bindings(RIGHTS)) == sum(len(one.operations) for one in RIGHTS)
    assert {one.principal for one in bindings(chosen(Process.API), "User:CN={process}")} == {"User:CN=api"}


@pytest.mark.parametrize("process", [None, "payments"])
def test_the_command_prints_them(process: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--process", process] if process else []
    assert run(["topics", "acls", *only]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(chosen(Process(process) if process else None))
    assert all(line.startswith("kafka-acls --bootstrap-server ") for line in lines)
    assert run(["topics", "acls", "--json", *only]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["process"] for one in found} == ({process} if process else {one.value for one in Process})
