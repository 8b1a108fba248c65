"""A module of routes has the routes of one subject. What two of them need is in reads, log, http, auth or shapes."""

from __future__ import annotations

import ast

import pytest

from tests.unit.docs.pages import ROOT, tree_of

TABLE = "api/routes/table.py"
ROUTES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "api/routes").glob("*.py"))
MODULES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "api").rglob("*.py") if str(path.relative_to(ROOT)) != TABLE
)


def route_modules_in(text: str) -> set[str]:
    """The modules of `api.routes` that a module imports."""
    found: set[str] = set()
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names if one.name.startswith("api.routes")}
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "api.routes":
                found |= {f"api.routes.{one.name}" for one in node.names}
            if node.module.startswith("api.routes."):
                found.add(node.module)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_only_the_table_imports_modules_of_routes(module: str) -> None:
    may = set() if module in ROUTES else {"api.routes.table"}
    assert route_modules_in((ROOT / module).read_text()) <= may


def test_the_table_imports_every_module_of_routes() -> None:
    modules = {file.removesuffix(".py").replace("/", ".") for file in ROUTES if not file.endswith("__init__.py")}
    assert route_modules_in((ROOT / TABLE).read_text()) == modules - {"api.routes.table"}


def test_each_way_to_import_a_module_of_routes_is_seen() -> None:
    assert route_modules_in("import api.routes.a\nfrom api.routes import b\nfrom api.routes.c import x") == {
        "api.routes.a", "api.routes.b", "api.routes.c"
    }  # fmt: skip
