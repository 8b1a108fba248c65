"""Helpers that every room needs exist once: a second definition drifts away from the first."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.unit.docs.pages import ROOT, SOURCES

ONE_HOME = {
    "offset_of": "connectors/log_reader.py",
    "key_of": "connectors/log_reader.py",
    "log_place": "connectors/log_reader.py",
    "Backoff": "connectors/backoff.py",
    "US_PER_S": "schemas/ids.py",
    "US_PER_MS": "schemas/ids.py",
    "NS_PER_US": "connectors/clock.py",
    "EPOCH": "schemas/times.py",
    "utc": "schemas/times.py",
    "rfc3339": "schemas/times.py",
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for top in SOURCES:
        for path in sorted((ROOT / top).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def names_made(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines at its top: functions, classes, constants; private ones without the
    underscore."""
    for one in tree.body:
        match one:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name.lstrip("_")
            case ast.Assign(targets=targets):
                yield from (target.id.lstrip("_") for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name.lstrip("_")


def body_of(function: ast.FunctionDef) -> str:
    """A function's statements, without its docstring, and independent of its arguments' names."""
    names = {argument.arg: f"argument_{number}" for number, argument in enumerate(function.args.args)}
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    text = []
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
        text.append(ast.unparse(statement))
    return "\n".join(text)


@pytest.fixture(scope="module")
def homes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for name in names_made(tree):
            found[name].append(path)
    return found


@pytest.mark.parametrize("name", ONE_HOME)
def test_a_helper_is_defined_in_one_place(name: str, homes: dict[str, list[str]]) -> None:
    assert homes[name] == [ONE_HOME[name]]


def test_no_two_small_helpers_have_the_same_statements() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for one in tree.body:
            if isinstance(one, ast.FunctionDef) and not one.decorator_list:
                place, text = f"{path}:{one.name}", body_of(one)
                if text.count("\n") >= 2:
                    found[text].append(place)
    assert [places for places in found.values() if len(places) > 1] == []


def test_nothing_but_the_backoff_doubles_a_wait() -> None:
    doubling = [
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Pow)
        and isinstance(node.left, ast.Constant)
        and node.left.value == 2
        and not isinstance(node.right, ast.Constant)
    ]
    assert doubling == ["connectors/backoff.py"]


def test_times_become_datetimes_and_text_in_one_module() -> None:
    """The clock alone reads the time; a log line has its logger's."""
    found = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if {getattr(node, name, None) for name in ("attr", "id")} & {"fromtimestamp", "time_ns"}
        or (isinstance(node, ast.Constant) and node.value == "+00:00")
    }
    assert found == {"schemas/times.py", "connectors/clock.py", "connectors/logs.py"}
