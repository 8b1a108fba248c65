"""The OpenAPI document passes linters of third parties, and their generators give a class for every shape."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.harness.openapi_tools import FOLDER, node_tools, python_generator, run, write_document


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_document(tmp_path_factory.mktemp("openapi") / "openapi.json")


def names(served: Path) -> list[str]:
    found: dict[str, object] = json.loads(served.read_text())["components"]["schemas"]
    return sorted(found)


def test_redocly_finds_no_error(served: Path) -> None:
    printed = run(
        node_tools() / "redocly", "lint", str(served), "--config", str(FOLDER / "redocly.yaml"), folder=served.parent
    )
    assert "is valid" in printed


def test_spectral_finds_no_error(served: Path) -> None:
    rules = str(FOLDER / "spectral.yaml")
    printed = run(node_tools() / "spectral", "lint", str(served), "--ruleset", rules, folder=served.parent)
    assert "(0 errors" in printed or "No results" in printed


def test_a_linter_that_finds_an_error_says_so(served: Path, tmp_path: Path) -> None:
    """The control: a reference to nowhere is found by both."""
    broken = tmp_path / "broken.json"
    broken.write_text(served.read_text().replace("#/components/schemas/EventOut", "#/components/schemas/Gone", 1))
    with pytest.raises(AssertionError, match="invalid-ref"):
        run(node_tools() / "spectral", "lint", str(broken), "--ruleset", str(FOLDER / "spectral.yaml"), folder=tmp_path)
    with pytest.raises(AssertionError, match="no-unresolved-refs"):
        run(node_tools() / "redocly", "lint", str(broken), folder=tmp_path)


def test_typescript_has_every_shape(served: Path, tmp_path: Path) -> None:
    run(node_tools() / "openapi-typescript", str(served), "--output", str(tmp_path / "api.d.ts"), folder=tmp_path)
    uses = "\n".join(f'export type _{name} = components["schemas"]["{name}"];' for name in names(served))
    (tmp_path / "uses.ts").write_text(f'import type {{ components }} from "./api";\n{uses}\n')
    run(node_tools() / "tsc", "--strict", "--noEmit", "uses.ts", folder=tmp_path)


def test_python_has_every_shape(served: Path, tmp_path: Path) -> None:
    programs = python_generator()
    run(
        programs / "openapi-python-client", "generate", "--path", str(served),
        "--output-path", str(tmp_path / "client"), "--meta", "none", folder=tmp_path,
    )  # fmt: skip
    script = "import client.models, json; print(json.dumps(client.models.__all__))"
    made = json.loads(run(programs / "python", "-c", script, folder=tmp_path))
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()) for name in made}
    assert [name for name in names(served) if name.lower() not in plain] == []
