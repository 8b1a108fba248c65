"""What a test does where a tool cannot be had: it is skipped and says so, or it fails where all tools are promised.

A machine with TEST_TOOLS=required promises them. The gate needs Python, a JDK and Maven only, so it does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NoReturn

import pytest

TOOLS, REQUIRED = "TEST_TOOLS", "required"


def missing(what: str, env: Mapping[str, str] = os.environ) -> NoReturn:
    """End the test: skipped, or failed with TOOLS=REQUIRED. `what` says what is missing, and how it can be had."""
    if env.get(TOOLS) == REQUIRED:
        pytest.fail(f"{what}; with {TOOLS}={REQUIRED} this is a failure", pytrace=False)
    pytest.skip(what)
