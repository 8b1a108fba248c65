"""Helpers that every room needs exist once: a second definition drifts away from the first."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.unit.docs.pages import ROOT, SOURCES

ONE_HOME = {
    "offset_of": "connectors/log_reader.py",
    "key_of": "connectors/log_reader.py",
    "log_place": "connectors/log_reader.py",
    "stamp_of": "connectors/log_reader.py",
    "Position": "schemas/ids.py",
    "position_text": "schemas/ids.py",
    "is_of_whole_command": "schemas/ids.py",
    "CURRENCIES": "schemas/money.py",
    "exponent": "schemas/money.py",
    "formatted": "schemas/money.py",
    "LONG_MIN": "schemas/field_types.py",
    "LONG_MAX": "schemas/field_types.py",
    "Backoff": "connectors/backoff.py",
    "US_PER_S": "schemas/ids.py",
    "US_PER_MS": "schemas/ids.py",
    "NS_PER_US": "connectors/clock.py",
    "EPOCH": "schemas/times.py",
    "utc": "schemas/times.py",
    "rfc3339": "schemas/times.py",
}

NUMBERS_WITH_HYPHEN = re.compile(r"\\d(?:\+|\{[0-9,]+\})\)?-\(?\\d")
OWN_POSITIONS = {
    # The checker shares no helper that a dataflow writes positions with, so an error in it is found.
    "ops/proof/checker/check.py",
    "ops/proof/checker/projected.py",
    "ops/proof/checker/quiescence.py",
    "ops/proof/checker/reading.py",
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
                for target in targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    yield from (part.id.lstrip("_") for part in names if isinstance(part, ast.Name))
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


def positions_written(tree: ast.AST) -> list[str]:
    """The f-strings with a partition, a hyphen and an offset."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, hyphen, after in zip(node.values, node.values[1:], node.values[2:], strict=False):
            if (
                isinstance(before, ast.FormattedValue)
                and isinstance(hyphen, ast.Constant)
                and hyphen.value == "-"
                and isinstance(after, ast.FormattedValue)
                and "partition" in ast.unparse(before.value)
            ):
                found.append(ast.unparse(node))
    return found


def test_a_position_becomes_text_in_one_module() -> None:
    """The compiled `native_outgoing` writes a command's positions by their common beginning, for speed."""
    assert {path for path, tree in modules() if positions_written(tree)} - OWN_POSITIONS == {"schemas/ids.py"}


def test_the_scan_finds_positions_and_nothing_else() -> None:
    def found(text: str) -> int:
        return len(positions_written(ast.parse(text)))

    assert found('f"{at.partition}-{at.offset}-{at.index}"') == 1
    assert found("""f"at {row['partition']}-{place[0]}: {what}" """) == 1
    assert found('f"{letters}-{seat}"') == found('f"{topic}[{partition}]@{offset}"') == 0


def test_a_position_is_read_from_text_in_one_module() -> None:
    """The operator's lists have cursors with the places of several partitions; these are no positions."""
    found = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NUMBERS_WITH_HYPHEN.search(node.value)
    }
    assert found == {"api/reads/operator_questions.py"}


def test_a_stamp_is_taken_from_a_record_in_one_module() -> None:
    found = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "timestamp"
    }
    assert found == {ONE_HOME["stamp_of"]}


def test_amounts_get_their_decimal_places_in_one_module() -> None:
    """A chart's axis has powers of ten, too."""
    found = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Pow)
        and isinstance(node.left, ast.Constant)
        and node.left.value == 10
        and not isinstance(node.right, ast.Constant)
    }
    assert found == {"schemas/money.py", "ops/proof/bench/suite/chart.py"}


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
