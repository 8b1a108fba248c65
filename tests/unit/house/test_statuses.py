"""A status, a kind, an outcome or a reason is a member of an enumeration: a misspelt text would pass the type checker.

The rule holds for names that say so (`status`, `refund_status`, `row["status"]`) where they are compared, matched or
given by keyword. The empty text is no word: it says that nothing is set.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.unit.docs.pages import ROOT, SOURCES

STATUS_LIKE = ("status", "kind", "outcome", "reason", "origin", "payment", "answer", "channel", "stage", "result")
SCHEMA_TYPES = {"string", "long", "int", "null"}  # Avro's own words for types, which no record of ours has as a status
SAID_TO_OPERATORS = {"log", "_log"}  # a log line's reason is a sentence for people


def name_of(node: ast.expr) -> str:
    """What an expression is called: `order.status`, `row["status"]` and `row.get("status")` are all "status"."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name
    return ""


def is_status_like(name: str) -> bool:
    return any(name == word or name.endswith(f"_{word}") for word in STATUS_LIKE)


def words_in(node: ast.expr | None) -> set[str]:
    """The texts that an expression gives: its own, and those of its branches and members."""
    match node:
        case ast.Constant(value=str(text)) if text:
            return {text}
        case ast.Tuple(elts=members) | ast.List(elts=members) | ast.Set(elts=members):
            return set().union(*map(words_in, members))
        case ast.IfExp(body=body, orelse=orelse):
            return words_in(body) | words_in(orelse)
        case ast.Call(func=ast.Name(id="frozenset" | "set" | "tuple"), args=[members]):
            return words_in(members)
    return set()


def patterns_in(pattern: ast.AST) -> set[str]:
    return {text for node in ast.walk(pattern) if isinstance(node, ast.MatchValue) for text in words_in(node.value)}


def bare_words(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """The lines where a name like a status meets a text."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                if any(is_status_like(name_of(side)) for side in sides):
                    yield node.lineno, set().union(*map(words_in, sides)) - SCHEMA_TYPES
            case ast.Match(subject=subject, cases=cases) if is_status_like(name_of(subject)):
                yield node.lineno, set().union(*(patterns_in(case.pattern) for case in cases))
            case ast.Call(func=func, keywords=given):
                if not (isinstance(func, ast.Attribute) and name_of(func.value) in SAID_TO_OPERATORS):
                    for one in given:
                        if one.arg is not None and is_status_like(one.arg):
                            yield node.lineno, words_in(one.value)
            case ast.AnnAssign() | ast.Assign():
                yield from (
                    (node.lineno, words_in(value))
                    for target, value in assigned(node)
                    if is_status_like(name_of(target))
                )


def assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """What is set, and to what; of pairs, each by itself."""
    value = node.value
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            yield from zip(target.elts, value.elts, strict=True)
        else:
            yield target, value


def found_in(text: str) -> list[int]:
    return sorted({line for line, words in bare_words(ast.parse(text)) if words})


@pytest.mark.parametrize("top", SOURCES)
def test_no_status_is_a_bare_text(top: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / top).rglob("*.py"))
        for line in found_in(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        'order.status == "held"',
        '"held" != row["status"]',
        'row.get("refund_status") in ("requested", "failed")',
        'fact.origin not in frozenset({"ours"})',
        'match order.status:\n    case "held" | "sold": pass',
        'Order(status="held")',
        'replace(order, payment="refunded" if whole else "captured")',
        'order.status = "held"',
        'order.status, order.offset = "held", 7',
        'class Order:\n    status: str = "held"',
    ],
)
def test_a_bare_status_is_found_wherever_it_stands(text: str) -> None:
    assert len(found_in(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "order.status == ReservationStatus.HELD",
        'order.reason == ""',
        'order.title == "held"',
        'log.warning("x", reason="Redis does not answer yet")',
        "order.status == 201",
    ],
)
def test_what_is_no_bare_status_is_not_found(text: str) -> None:
    assert found_in(text) == []
