"""Helpers that every room needs exist once: a second definition drifts away from the first."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from functools import cache

import pytest

from tests.unit.docs.pages import ROOT, SOURCES, tree_of

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
    "MS_PER_S": "schemas/ids.py",
    "DAY_S": "schemas/ids.py",
    "CLOCKS_APART_MS": "connectors/clock.py",
    "Backoff": "connectors/backoff.py",
    "Period": "connectors/period.py",
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
    "ops/proof/checker/expected_rows.py",
    "ops/proof/checker/quiescence.py",
    "ops/proof/checker/reading.py",
}


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    paths = [path for top in SOURCES for path in sorted((ROOT / top).rglob("*.py"))]
    return tuple((str(path.relative_to(ROOT)), tree_of(path.read_text(encoding="utf-8"))) for path in paths)


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
    function = deepcopy(function)
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
        return len(positions_written(tree_of(text)))

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
    """The clock alone reads the time."""
    found = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if {getattr(node, name, None) for name in ("attr", "id")} & {"fromtimestamp", "time_ns"}
        or (isinstance(node, ast.Constant) and node.value == "+00:00")
    }
    assert found == {"schemas/times.py", "connectors/clock.py"}


PER_SECOND = {1_000, 1_000_000}


def conversions(tree: ast.AST) -> list[str]:
    """The products and quotients with a thousand or a million, without those that spread seeds."""
    return [
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv)
        and any(isinstance(side, ast.Constant) and side.value in PER_SECOND for side in (node.left, node.right))
        and "seed" not in (text := ast.unparse(node))
    ]


def test_units_of_time_are_converted_by_name() -> None:
    assert {path: found for path, tree in modules() if (found := conversions(tree))} == {}


def test_a_conversion_by_hand_is_found() -> None:
    for text in ("lag_ms / 1_000", "int(time() * 1000)", "us // 1_000 // 60", "seconds + micros / 1e6"):
        assert len(conversions(tree_of(text))) == 1, text
    assert conversions(tree_of("options.seed * 1_000 + number")) == []


SAME_BY_CHANCE = {
    "BAR_EVERY": "records between two updates of a progress bar",
    "CALL_TIMEOUT_S": "calls to different services",
    "CHECK_TIMEOUT_S": "a probe of Redis at the start, and one of all services",
    "CLOSE_TIMEOUT_S": "waits for different clients",
    "CONNECTIONS": "of different baselines",
    "DIGEST_BYTES": "digests of different things, which are never compared",
    "ERROR_CHARS_MAX": "texts in different stores",
    "EVENTS": "of different benches",
    "FLUSH_S": "waits for the records of different tools",
    "FORMAT": "versions of different formats",
    "FRESH_S": "the reports of the API and those of the dataflows",
    "KEPT_S": "the reports of the API and those of the dataflows",
    "LINKS_MAX": "links in mails, and those of a profile",
    "LOOK_S": "pauses of different waits",
    "PAGE": "rows of different answers",
    "PEEK_S": "the command's patience, and that of monitoring",
    "POLL_S": "pauses of different readers",
    "PORT_MAX": "TCP's: a setting, and an address of a client",
    "PRUNE_EVERY_S": "of different tables",
    "PR_SET_PDEATHSIG": "Linux's: two scripts that import nothing of ours",
    "QUANTITY_MAX": "places of an order in a bench, and in the demo",
    "REDIS_TIMEOUT_S": "monitoring's patience, and the API's",
    "REPORT_EVERY_S": "the reports of the API and those of the dataflows",
    "ROWS": "of different layouts",
    "SEATS": "of different benches",
    "SHOWN_MAX": "lines of different lists",
    "START_TIMEOUT_S": "waits for different processes",
    "STOP_S": "waits for different processes",
    "STOP_TIMEOUT_S": "waits for different threads",
    "TIMEOUT_S": "calls to different services",
    "TOKEN_BYTES": "links in mails, and access tokens",
    "WINDOW_S": "the API's latencies, and the trend of a lag",
}
"""Constants of one name and value in several modules, each with what they are of: one may change without the other."""


def numbers_made(tree: ast.Module) -> Iterator[tuple[str, float]]:
    """The upper-case names that a module makes of plain numbers, without their underscore, with the numbers."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pairs = [(name, value)]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pairs = [(name, value)]
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = [(one.id, value) for one, value in zip(names, values, strict=True) if isinstance(one, ast.Name)]
            case _:
                continue
        for name, value in pairs:
            if name.isupper() and all(isinstance(part, OF_NUMBERS) for part in ast.walk(value)):
                number = eval(ast.unparse(value), {"__builtins__": {}})
                if isinstance(number, int | float) and not isinstance(number, bool):
                    yield name.lstrip("_"), number


OF_NUMBERS = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)


def test_no_number_has_its_name_in_two_modules() -> None:
    found: dict[tuple[str, float], list[str]] = defaultdict(list)
    for path, tree in modules():
        for name, number in numbers_made(tree):
            found[name, number].append(path)
    twice = {name: places for (name, _), places in found.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in SAME_BY_CHANCE} == {}
    assert set(SAME_BY_CHANCE) <= set(twice), "an exception that is none any more"


def test_a_number_is_found_however_it_is_written() -> None:
    tree = tree_of("_DAY_MS: Final = 24 * 60 * 60 * 1_000\nLEAST, MOST = -(2**63), 2**63 - 1\nNAME = 'x'\nalso = 3")
    assert dict(numbers_made(tree)) == {"DAY_MS": 86_400_000, "LEAST": -(2**63), "MOST": 2**63 - 1}
