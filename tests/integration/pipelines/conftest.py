"""Settings of these tests: group joins on the embedded broker take half a session, so sessions are short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.settings import Settings
from ops.run.services.stack import Stack
from pipelines.configuration import settings_from_env

SESSION_TIMEOUT_MS = 2_000


@pytest.fixture
def settings(stack: Stack) -> Settings:
    return replace(settings_from_env(stack.fresh()), session_timeout_ms=SESSION_TIMEOUT_MS)
