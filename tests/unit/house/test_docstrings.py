"""Each public function and class at the top of a module says in its docstring what it does, or what it is.

A name with an underscore is its module's own. A method follows its class, and an overload its function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.unit.docs.pages import ROOT, SOURCES, tree_of


def silent(tree: ast.Module) -> Iterator[str]:
    """The public names at the top of a module, without a docstring. Conditions at the top do not hide a name."""
    bodies = [tree.body]
    while bodies:
        for node in bodies.pop():
            if isinstance(node, ast.If | ast.Try):
                bodies += [node.body, node.orelse]
            elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and is_silent(node):
                yield node.name


def is_silent(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    overload = any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)
    return not (node.name.startswith("_") or overload or ast.get_docstring(node))


@pytest.mark.parametrize("top", SOURCES)
def test_each_public_function_and_class_has_a_docstring(top: str) -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in sorted((ROOT / top).rglob("*.py"))
        if (names := list(silent(tree_of(path.read_text(encoding="utf-8")))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "def sell(order): ...",
        "async def sell(order):\n    # no docstring\n    return order",
        "class Order:\n    id: str",
        "if WINDOWS:\n    def sell(order): ...",
        "try:\n    import fast\nexcept ImportError:\n    fast = None\nelse:\n    def sell(order): ...",
        'def sell(order):\n    f"""Sell {order}."""',
    ],
)
def test_a_public_name_without_a_docstring_is_found(text: str) -> None:
    assert len(list(silent(tree_of(text)))) == 1


@pytest.mark.parametrize(
    "text",
    [
        'def sell(order):\n    """Sell it."""',
        "def _sell(order): ...",
        'class Order:\n    """An order."""\n\n    def price(self): ...',
        '@overload\ndef sell(order: int) -> int: ...\ndef sell(order):\n    """Sell it."""',
    ],
)
def test_a_private_name_and_a_documented_one_are_not_found(text: str) -> None:
    assert list(silent(tree_of(text))) == []
