"""A tool that cannot be had skips a test, and fails it on a machine that promises all tools."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness import browser, debian, otlp_collector
from tests.harness.missing_tools import REQUIRED, TOOLS, missing

NONE = "no-such-program"


@pytest.mark.parametrize("env", [{}, {TOOLS: ""}, {"CI": "true"}])
def test_without_a_promise_it_is_a_skip_that_says_what_is_missing(env: dict[str, str]) -> None:
    with pytest.raises(pytest.skip.Exception, match="no compass"):
        missing("no compass", env)


def test_where_tools_are_promised_it_is_a_failure() -> None:
    with pytest.raises(pytest.fail.Exception, match="no compass"):
        missing("no compass", {TOOLS: REQUIRED})


def chromium() -> object:
    return browser.chromium()


def program() -> object:
    return debian.program(NONE, NONE)


def collector() -> object:
    return otlp_collector.built()


@pytest.mark.parametrize("tool", [chromium, program, collector], ids=lambda tool: tool.__name__)
@pytest.mark.parametrize(("tools", "ends"), [(REQUIRED, pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_each_tool_that_is_looked_for_ends_so(
    tool: Callable[[], object],
    tools: str,
    ends: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    empty = tmp_path_factory.mktemp("nothing")
    monkeypatch.setenv(TOOLS, tools)
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(debian, "SYSTEM", str(empty))
    monkeypatch.setattr(debian, "CACHE", empty)
    monkeypatch.setattr(otlp_collector, "cache_dir", lambda: empty)
    with pytest.raises(ends):
        tool()
