"""The core and what a log is asked are pure: the same arguments give the same result, on every machine, on any day."""

from __future__ import annotations

import ast
import tomllib
from typing import Any

import pytest

from tests.unit.docs.pages import ROOT, tree_of

PURE = ("pipelines/reservations/core", "pipelines/history")
IMPURE_CALLS = {
    "open", "print", "input", "eval", "exec", "__import__",
    "now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "process_time", "sleep",
    "uuid1", "uuid4", "urandom", "random", "randint", "randrange", "choice", "shuffle", "getenv", "id", "hash",
}  # fmt: skip
"""`id` and `hash` differ between two processes."""
PACKAGE_OF = {"pipelines": ("history", "reservations"), "pipelines/reservations": ("core",)}
"""The folders whose modules the contracts forbid by name, and what of them is left out."""


def calls_out(text: str) -> list[str]:
    """The calls that read a clock, chance, a file or the process."""
    found = []
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in IMPURE_CALLS:
                found.append(ast.unparse(node))
    return found


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: list[dict[str, Any]] = settings["tool"]["importlinter"]["contracts"]
    return found


def modules_of(folder: str) -> set[str]:
    """The modules and packages of a folder, by their full names."""
    inside = {
        path.stem
        for path in (ROOT / folder).iterdir()
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
    }
    return {f"{folder.replace('/', '.')}.{name}" for name in inside - set(PACKAGE_OF[folder])}


@pytest.mark.parametrize("folder", PURE)
def test_no_pure_module_reads_a_clock_chance_or_a_file(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert len(paths) >= 5
    assert {str(path.relative_to(ROOT)): found for path in paths if (found := calls_out(path.read_text()))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "open(path)", "datetime.now(UTC)", "time.time()", "time()", "uuid4()", "uuid.uuid4()", "random.random()",
        "random.choice(seats)", "os.urandom(8)", "os.getenv('HOME')", "clock.now()",
    ],
)  # fmt: skip
def test_a_call_out_is_found(text: str) -> None:
    assert calls_out(text) == [text]


def test_a_call_of_a_pure_function_is_none() -> None:
    assert calls_out("rules.now_due(state)\nstate.opened(at)\nreserve(at.log_time)") == []


@pytest.mark.parametrize("folder", PURE)
def test_the_contract_of_a_pure_folder_forbids_every_other_module_by_name(folder: str) -> None:
    source = folder.replace("/", ".")
    (contract,) = [one for one in contracts() if one.get("source_modules") == [source]]
    wanted = {"connectors", "sinks", "api", "ops"}.union(*map(modules_of, PACKAGE_OF))
    assert contract.get("allow_indirect_imports", False) is False
    assert wanted - set(contract["forbidden_modules"]) == set()


def test_one_contract_keeps_the_world_out_of_all_pure_folders() -> None:
    sources = [folder.replace("/", ".") for folder in PURE]
    (contract,) = [one for one in contracts() if one.get("source_modules") == sources]
    world = {"os", "socket", "pathlib", "subprocess", "threading", "secrets", "random", "time", "io", "uuid", "logging"}
    assert world <= set(contract["forbidden_modules"])
