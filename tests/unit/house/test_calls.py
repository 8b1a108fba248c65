"""Records and other objects are made with keywords, and no two classes have the same name.

Names that differ by a plural only are the same name, but for those in one module.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ops.proof.demo.crowd import Crowd
from schemas import facts as f
from schemas.ids import Position
from tests.unit.docs.pages import ROOT, SOURCES, tree_of

POSITIONAL_MAX = 4  # with more of them, a swap of two passes the type checker
PROGRAMS = (  # scripts, which no module imports
    "ops.run.foreground", "ops.run.services.launch", "tests.e2e.one_shop.buys_with_a_generated_client",
)  # fmt: skip
STARRED = {
    ("api.routes.reservations", "ReservationView"),  # a row's columns, by the names of the fields
    ("ops.archive.records", "Envelope"),  # a record's fields, as its schema has them
    ("ops.proof.bench.greedy_client", "Greedy"),  # the arguments of a program
    ("ops.proof.checker.expected_rows", "MessageKey"),  # the first columns of two queries
    ("pipelines.history.states", "Reservation"),  # what `astuple` gave
    ("pipelines.reservations.snapshot_store", "Reservation"),  # a row of one query
    ("schemas.avro_reader", "Envelope"),  # a record's fields, as its schema has them
}
"""Calls with a star of classes with more than four fields: one place gives all values, in the fields' order."""


def modules_of(*folders: str) -> list[str]:
    return sorted(
        name
        for top in folders
        for path in (ROOT / top).rglob("*.py")
        if (name := ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")) not in PROGRAMS
    )


MODULES = modules_of(*SOURCES)


def is_ours(found: Any) -> bool:
    """Whether it is a class of the sources or the tests."""
    return isinstance(found, type) and found.__module__.partition(".")[0] in (*SOURCES, "tests")


def value_of(name: ast.expr, module: ModuleType | SimpleNamespace) -> Any:
    """The value of a name or a dotted name in the module; None for a local name of a function."""
    if isinstance(name, ast.Name):
        return getattr(module, name.id, None)
    if isinstance(name, ast.Attribute):
        return getattr(value_of(name.value, module), name.attr, None)
    return None


def positional(made: type) -> int:
    """How many arguments of a class may be positional."""
    try:
        parameters = inspect.signature(made).parameters.values()
    except ValueError:  # compiled; its plain twin has a signature
        return 0
    return sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters)


def crowded_calls(text: str, module: Callable[[], ModuleType | SimpleNamespace]) -> Iterator[tuple[int, str, bool]]:
    """Line and class of each call with too many positional arguments, and whether it has a star.

    `module` imports it, which takes time: only for a text with such calls.
    """
    for call in ast.walk(tree_of(text)):
        if isinstance(call, ast.Call):
            plain = sum(not isinstance(one, ast.Starred) for one in call.args)
            starred = plain < len(call.args)
            if not starred and plain <= POSITIONAL_MAX:
                continue
            made = value_of(call.func, module())
            if is_ours(made) and (plain > POSITIONAL_MAX or positional(made) > POSITIONAL_MAX):
                yield call.lineno, made.__name__, starred


def crowded_in(name: str) -> Iterator[tuple[int, str, bool]]:
    path = ROOT / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return crowded_calls(path.read_text(encoding="utf-8"), lambda: importlib.import_module(name))


@pytest.mark.parametrize("name", modules_of(*SOURCES, "tests"))
def test_no_object_of_ours_is_made_with_more_than_four_positional_arguments(name: str) -> None:
    found = [
        f"{name}:{line} {made}"
        for line, made, starred in crowded_in(name)
        if not starred or (name, made) not in STARRED
    ]
    assert found == []


def test_each_allowed_call_with_a_star_is_there() -> None:
    assert {(name, made) for name, _ in STARRED for _line, made, starred in crowded_in(name) if starred} == STARRED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('f.TicketsHeld("r", "u", "t", 1, ["A-1"])', ["TicketsHeld"]),
        ("f.TicketsHeld(*row)", ["TicketsHeld"]),
        ("Crowd(client, cashier, accounts, house, tally, seed=1)", ["Crowd"]),
        ("Crowd(client, cashier, accounts, house, tally=tally, seed=1)", []),
        ("Position(*row)", []),
        ("print(1, 2, 3, 4, 5)", []),
    ],
)
def test_a_crowded_call_of_a_record_or_a_plain_class_is_found_and_one_with_a_star(text: str, found: list[str]) -> None:
    module = SimpleNamespace(f=f, Crowd=Crowd, Position=Position)
    assert [made for _line, made, _starred in crowded_calls(text, lambda: module)] == found


def singular(name: str) -> str:
    """A class's name without the plurals in it: `SeatMaps` is `SeatMap`. `Address` is no plural."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", name)
    return "".join(word[:-1] if word.endswith("s") and not word.endswith("ss") else word for word in words)


def test_no_two_public_classes_have_the_same_name() -> None:
    homes = defaultdict(set)
    for name in MODULES:
        for found in vars(importlib.import_module(name)).values():
            if is_ours(found) and not found.__name__.startswith("_"):
                homes[found.__name__].add(found.__module__)
    assert len(homes) > 500
    assert {name: sorted(modules) for name, modules in homes.items() if len(modules) > 1} == {}
    alike = defaultdict(set)
    for name, modules in homes.items():
        alike[singular(name)] |= {(name, module) for module in modules}
    assert [sorted(classes) for classes in alike.values() if len({module for _name, module in classes}) > 1] == []


@pytest.mark.parametrize(
    ("name", "bare"),
    [("Accounts", "Account"), ("PreferencesOut", "PreferenceOut"), ("Address", "Address"), ("CORSRules", "CORSRule")],
)
def test_a_plural_is_no_other_name(name: str, bare: str) -> None:
    assert singular(name) == bare
