"""Records are made with keywords, and no two classes have the same name."""

from __future__ import annotations

import ast
import dataclasses
import importlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from tests.unit.docs.pages import ROOT, SOURCES

POSITIONAL_MAX = 4  # with more of them, a swap of two passes the type checker
PROGRAMS = ("ops.run.foreground", "ops.run.services.launch")  # scripts, which nothing imports
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for top in SOURCES
    for path in (ROOT / top).rglob("*.py")
)


def is_record(found: Any) -> bool:
    """Whether it is a class of ours for values: a struct, a data class, a named tuple."""
    if not isinstance(found, type) or found.__module__.partition(".")[0] not in SOURCES:
        return False
    named_tuple = issubclass(found, tuple) and hasattr(found, "_fields")
    return named_tuple or issubclass(found, msgspec.Struct) or dataclasses.is_dataclass(found)


def value_of(name: ast.expr, module: ModuleType) -> Any:
    """The value of a name or a dotted name in the module; None for a local name of a function."""
    if isinstance(name, ast.Name):
        return getattr(module, name.id, None)
    if isinstance(name, ast.Attribute):
        return getattr(value_of(name.value, module), name.attr, None)
    return None


def crowded_calls(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and sum(not isinstance(one, ast.Starred) for one in call.args) > POSITIONAL_MAX:
            made = value_of(call.func, module)
            if is_record(made):
                yield f"{name}:{call.lineno} {made.__name__}"


@pytest.mark.parametrize("name", [name for name in MODULES if name not in PROGRAMS])
def test_no_record_is_made_with_more_than_four_positional_arguments(name: str) -> None:
    assert list(crowded_calls(name)) == []


def test_no_two_public_classes_have_the_same_name() -> None:
    homes = defaultdict(set)
    for name in MODULES:
        if name not in PROGRAMS:
            for found in vars(importlib.import_module(name)).values():
                if isinstance(found, type) and found.__module__.partition(".")[0] in SOURCES:
                    homes[found.__name__].add(found.__module__)
    alike = {name: sorted(modules) for name, modules in homes.items() if len(modules) > 1 and not name.startswith("_")}
    assert alike == {}
