"""The command line against a test's own services."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.settings import Settings
from ops.cli.main import run
from tests.harness.flows import environment

Circle = Callable[..., tuple[int, Any]]


def command_line(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Circle:
    """Run `circle …`: its exit code, and its standard output (parsed where that is JSON)."""
    for name, value in environment(settings).items():
        if name.startswith("CIRCLE_"):
            monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run(list(arguments))
        text, told = capsys.readouterr()
        print(told)  # pytest shows it where the test fails
        return code, _parsed(text) if "--json" in arguments and text.startswith(("{", "[")) else text

    return call


def _parsed(text: str) -> Any:
    """One JSON document; lines of JSON stay a text."""
    lines = text.splitlines()
    return text if len(lines) > 1 and lines[0].endswith("}") else json.loads(text)
