"""The command line against a test's own services."""

from __future__ import annotations

import pytest

from connectors.settings import Settings
from tests.harness.command_line import Circle, command_line


@pytest.fixture
def circle(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Circle:
    """Runs `circle …`."""
    return command_line(settings, monkeypatch, capsys)
