"""A dataflow's `flow.py` opens with its picture: drawn in its docstring, then built with one line for each operator."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, tree_of

BUILD_BEFORE_LINE = 60  # a screen
BUILD_LINES_MAX = 12
FLOWS = sorted((ROOT / "pipelines").rglob("flow.py"))


def first_definition(tree: ast.Module) -> ast.stmt:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef))


def test_a_dataflow_is_built_in_a_flow_py_and_nowhere_else() -> None:
    builders = [path for path in (ROOT / "pipelines").rglob("*.py") if "Dataflow(" in path.read_text()]
    assert sorted(builders) == FLOWS
    assert [path.parent.name for path in FLOWS] == ["payments", "read_side", "reservations"]


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.parent.name)
def test_a_flow_opens_with_its_picture(path: Path) -> None:
    tree = tree_of(path.read_text())
    assert "──▶" in (ast.get_docstring(tree) or ""), "its docstring draws the flow"
    build = first_definition(tree)
    assert isinstance(build, ast.FunctionDef), "nothing stands before the picture"
    assert build.name == "build"
    assert build.end_lineno is not None
    assert build.end_lineno < BUILD_BEFORE_LINE
    assert build.end_lineno - build.lineno <= BUILD_LINES_MAX
