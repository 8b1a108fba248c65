"""The AsyncAPI document passes a linter of third parties, and its Avro schemas are those of the records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.asyncapi import FILE
from tests.harness.openapi_tools import FOLDER, node_tools, run

RULES = str(FOLDER / "asyncapi.yaml")


def test_spectral_finds_no_error(tmp_path: Path) -> None:
    printed = run(node_tools() / "spectral", "lint", str(FILE), "--ruleset", RULES, folder=tmp_path)
    assert "(0 errors, 0 warnings" in printed or "No results" in printed


@pytest.mark.parametrize("broken", ["channel", "action", "reference"])
def test_a_linter_that_finds_an_error_says_so(broken: str, tmp_path: Path) -> None:
    """The control: a document that AsyncAPI does not allow is refused."""
    document: dict[str, Any] = json.loads(FILE.read_text())
    operation = document["operations"]["decideTicketsCommands"]
    match broken:
        case "channel":
            del operation["channel"]
        case "action":
            operation["action"] = "shout"
        case "reference":
            operation["channel"]["$ref"] = "#/channels/none"
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document))
    with pytest.raises(AssertionError, match="error"):
        run(node_tools() / "spectral", "lint", str(path), "--ruleset", RULES, folder=tmp_path)
