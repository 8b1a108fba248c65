"""README and reference pages against the code: targets, commands, options, settings, limits, tests."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from ops.reference.commands import leaves
from pipelines.platform_settings import PlatformSettings
from pipelines.variables import FOREIGN_VARIABLES
from tests.unit.docs.pages import PAGES, ROOT, blocks, code, rows, section, text_of

README = text_of("README.md")
MAKEFILE = text_of("Makefile")
TARGETS = frozenset(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
EVERYTHING = "\n".join(page.read_text() for page in PAGES)


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


LEAVES = leaves()
# Pages may name commands that the README lists as missing; but these must be missing.
MISSING = frozenset(
    text for text in code(section(text_of("ops/docs/guide/running.md"), "Not there yet")) if text.startswith("circle ")
)


def written_commands() -> list[str]:
    """Every `circle …` in the pages, in text and in code blocks."""
    texts = code(EVERYTHING)
    texts += [
        line for language in ("sh", "bash") for block in blocks(EVERYTHING, language) for line in block.split("\n")
    ]
    found = [text.split("#")[0].strip().removeprefix(".venv/bin/") for text in texts]
    return [text for text in found if text.startswith("circle ")]


def test_every_target_of_make_that_a_page_names_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)(?=[\s`,.:;)]|$)", " \n".join(code(EVERYTHING))))
    for block in (*blocks(EVERYTHING, "sh"), *blocks(EVERYTHING, "bash")):
        named |= set(re.findall(r"^make ([a-z-]+)", block, re.MULTILINE))
    assert named >= {"run", "test", "setup", "test-kafka"}
    assert named <= TARGETS, named - TARGETS


def test_the_readmes_test_command_is_what_ci_runs() -> None:
    block = blocks(section(README, "Two commands"), "sh")[0]
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    assert commands == ["make run", "make test"]
    assert re.search(r'^step .*".*make test-containers-short" make test$', text_of(".ci/run"), re.MULTILINE)


@pytest.mark.parametrize("text", sorted(set(written_commands())))
def test_a_command_that_a_page_names_exists_with_its_options(text: str) -> None:
    words = shlex.split(text.replace("[", " ").replace("]", " ").replace("…", " ").replace("\\|", "|"))[1:]
    name = next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in LEAVES), None)
    if name is None and any(text.startswith(missing) for missing in MISSING):
        return
    if name is None:
        group = len(words) == 1 and any(leaf.startswith(words[0] + " ") for leaf in LEAVES)
        assert group, f"circle has no {' '.join(words)}"
        return
    given = {word for word in words if word.startswith("--")}
    assert given <= options_of(LEAVES[name]), given - options_of(LEAVES[name])


def test_what_is_said_to_be_missing_is_missing() -> None:
    there = {missing for missing in MISSING for leaf in LEAVES if f"circle {leaf} ".startswith(f"{missing} ")}
    assert there == set(), "say so on the page"


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {f"CIRCLE_{name.upper()}" for name in PlatformSettings.__dataclass_fields__} | FOREIGN_VARIABLES.keys()
    known |= {"CIRCLE_URL"}  # the walk-through's own
    assert set(re.findall(r"CIRCLE_[A-Z_]*[A-Z]", EVERYTHING)) <= known


def test_the_walk_through_names_only_routes_that_exist() -> None:
    from api.routes.table import ROUTES

    known = {re.sub(r"<\w+>", "*", route.path) for route in ROUTES}
    walk = "\n".join(blocks(section(text_of("ops/docs/guide/first-steps.md"), "Try it"), "bash"))
    paths = {re.sub(r"\$\w+", "*", path) for path in re.findall(r"\$url(/[\w/$-]+)", walk)}
    assert len(paths) > 8
    assert paths <= known, paths - known


GUIDES = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "ops/docs/guide").glob("*.md"))


@pytest.mark.parametrize("page", GUIDES)
def test_a_guide_names_only_routes_that_exist(page: str) -> None:
    from api.routes.table import ROUTES

    known = {re.sub(r"<\w+>", "*", route.path) for route in ROUTES}
    text = text_of(page)
    paths = set(re.findall(r"\$url(/v1/[\w/$-]+)", "\n".join(blocks(text, "bash"))))
    paths |= set(re.findall(r"(?:GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]+)", "\n".join(code(text))))
    paths = {re.sub(r"\$\w+|\{\w+\}", "*", path) for path in paths}
    assert paths <= known, paths - known


def test_every_promise_names_tests_that_exist() -> None:
    promises = rows(text_of("ops/docs/reference/promises.md"))
    assert len(promises) >= 10
    for promise, shown in promises:
        proofs = re.findall(r"((?:`test_\w+`(?:, | and )?)+) in \[[^]]+\]\(\.\./\.\./\.\./(tests/[^)]+)\)", shown)
        assert proofs, promise
        for names, file in proofs:
            text = text_of(file)
            for name in re.findall(r"`(test_\w+)`", names):
                assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{file} has no {name}"
        assert shown.count("`test_") == sum(names.count("`test_") for names, _ in proofs), promise


def test_the_layout_names_the_packages_that_there_are() -> None:
    block = blocks(section(text_of("CONTRIBUTING.md"), "Layout"), "")[0]
    named = re.findall(r"^(\w+)/ ", block, re.MULTILINE)
    assert named == ["schemas", "connectors", "sinks", "pipelines", "api", "ops", "tests"]
    dataflows = {path.parent.name for path in (ROOT / "pipelines").glob("*/flow.py")}
    assert {name for name in dataflows if name not in block} == set()


def test_the_readme_has_ten_promises_of_the_list_and_about_a_hundred_lines() -> None:
    listed = [promise for promise, _ in rows(text_of("ops/docs/reference/promises.md"))]
    stated = re.findall(r"^\d+\. (.+)\.$", section(README, "Ten promises"), re.MULTILINE)
    assert len(stated) == 10
    assert [one for one in stated if not any(promise.startswith(one) for promise in listed)] == []
    assert len(README.splitlines()) <= 115
