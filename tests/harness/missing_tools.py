"""What a test does where a tool cannot be had: on a developer's machine it is skipped, in a gate it fails.

A gate without these tools would be green and prove nothing. A gate is a run with CI=true, as every service that runs
gates sets it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NoReturn

import pytest

GATE = "CI"


def missing(what: str, env: Mapping[str, str] = os.environ) -> NoReturn:
    """End the test: skipped, or failed in a gate. `what` says what is missing, and how it can be had."""
    if is_gate(env):
        pytest.fail(f"{what}; in a gate (CI=true) this is a failure", pytrace=False)
    pytest.skip(what)


def is_gate(env: Mapping[str, str]) -> bool:
    """Whether these are the variables of a gate."""
    return env.get(GATE, "").lower() in ("true", "1")
