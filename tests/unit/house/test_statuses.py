"""A status, a kind, an outcome or a reason is a member of an enumeration: a misspelt text would pass the type checker.

The rule holds for names that say so (`status`, `refund_status`, `row["status"]`) where they are compared, matched,
given by keyword or under a key, and for the texts that a function of such a name returns. A positional argument counts
if its parameter has such a name, and if it is a word of our enumerations. The empty text is no word: it says that
nothing is set.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from schemas import reasons, statuses
from tests.unit.docs.pages import ROOT, SOURCES, tree_of

STATUS_LIKE = ("status", "kind", "outcome", "reason", "origin", "payment", "answer", "channel", "stage", "result")
SCHEMA_TYPES = {"string", "long", "int", "null"}  # Avro's own words for types, which no record of ours has as a status
FOREIGN = {
    "ops/kubernetes/manifests.py": "the kinds of Kubernetes",
    "ops/kubernetes/policies.py": "the kinds of Kubernetes",
    "pipelines/payments/providers/stripe/provider.py": "the reasons of Stripe",
    "ops/run/services/containers.py": "the states of the container engine, and its word for none",
}
"""The modules whose words under a key, or returned, are those of another program."""
WORDS = {
    str(member)
    for module in (statuses, reasons)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, StrEnum)
    for member in found
} - {""}
Parameters = Mapping[str, Sequence[Sequence[str]]]
"""By the name of a function or a class: the names of the parameters of each that is called so."""
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


def under_keys(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """The texts of dictionaries under a key like a status. A body's EXAMPLE is written as clients write it."""
    examples = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and name_of(node.target) == "EXAMPLE" and node.value is not None
        for inner in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and id(node) not in examples:
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and is_status_like(str(key.value)):
                    yield value.lineno, words_in(value)


def returned(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """The texts that functions like `status`, `_outcome` and `kind_of` return."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if is_status_like(node.name.strip("_").removesuffix("_of")):
            inner = (one for one in ast.walk(node) if isinstance(one, ast.Return))
            yield from ((one.lineno, words_in(one.value)) for one in inner)


def parameters_in(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """The functions and classes of a file by name, each with the names of its positional parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            yield node.name, names[1:] if names[:1] in (["self"], ["cls"]) else names
        elif isinstance(node, ast.ClassDef):
            fields = [name_of(one.target) for one in node.body if isinstance(one, ast.AnnAssign)]
            inits = [names for one in node.body for name, names in parameters_in(one) if name == "__init__"]
            yield node.name, inits[0] if inits else fields


def positional(tree: ast.AST, parameters: Parameters) -> Iterator[tuple[int, set[str]]]:
    """The words of our enumerations that stand for a parameter like a status, in each function of that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (known := parameters.get(name_of(node.func))):
            for number, given in enumerate(node.args):
                if all(number < len(names) and is_status_like(names[number]) for names in known):
                    yield given.lineno, words_in(given) & WORDS


@cache
def our_parameters() -> Parameters:
    """The parameters of all functions and classes in our sources."""
    found: dict[str, list[list[str]]] = defaultdict(list)
    for path in (path for top in SOURCES for path in sorted((ROOT / top).rglob("*.py"))):
        for name, names in parameters_in(tree_of(path.read_text(encoding="utf-8"))):
            found[name].append(names)
    return found


def lines_in(tree: ast.AST, parameters: Parameters, *, foreign: bool = False) -> list[int]:
    """The lines of bare words. `foreign`: under keys and from functions, the words are those of another program."""
    found = [*bare_words(tree), *positional(tree, parameters)]
    if not foreign:
        found += [*under_keys(tree), *returned(tree)]
    return sorted({line for line, words in found if words})


def lines_at(path: Path, *, foreign: bool = False) -> list[int]:
    return lines_in(tree_of(path.read_text(encoding="utf-8")), our_parameters(), foreign=foreign)


def found_in(text: str) -> list[int]:
    tree = tree_of(text)
    return lines_in(tree, {name: [names] for name, names in parameters_in(tree)})


@pytest.mark.parametrize("top", SOURCES)
def test_no_status_is_a_bare_text(top: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / top).rglob("*.py"))
        for line in lines_at(path, foreign=str(path.relative_to(ROOT)) in FOREIGN)
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
        'json({"status": "ready", "checks": checks})',
        '{"id": 1} | {"refund_status": "failed" if late else RefundStatus.REFUNDED}',
        'def status(self):\n    return "held" if self.held else ""',
        'def _outcome(answer):\n    return "refused"',
        'def kind_of(layout):\n    return "seated"',
        'def ended(order, status): ...\nended(order, "expired")',
        'class Order:\n    id: int\n    status: str\nOrder(7, "held")',
        'class Order:\n    def __init__(self, status): ...\nOrder("held")',
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
        'json({"title": "held", status: "held"})',
        'EXAMPLE: ClassVar[Any] = {"layout": {"kind": "seated"}}',
        'def title(self):\n    return "held"',
        'def ended(status, title): ...\nended(ReservationStatus.EXPIRED, "held")',
        'def fail(reason): ...\nfail("the request was cancelled")',
    ],
)
def test_what_is_no_bare_status_is_not_found(text: str) -> None:
    assert found_in(text) == []


@pytest.mark.parametrize("place", sorted(FOREIGN))
def test_each_module_with_words_of_another_program_has_some(place: str) -> None:
    assert lines_at(ROOT / place)
    assert lines_at(ROOT / place, foreign=True) == []
