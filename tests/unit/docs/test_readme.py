"""What README and reference pages say against what there is: targets, commands, options, settings, limits, tests."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer

from connectors.settings import Settings
from connectors.variables import FOREIGN_VARIABLES
from ops.cli.main import build
from tests.unit.docs.pages import PAGES, ROOT, blocks, code, rows, section, text_of

README = text_of("README.md")
MAKEFILE = text_of("Makefile")
TARGETS = frozenset(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
EVERYTHING = "\n".join(page.read_text() for page in PAGES)


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def leaves() -> dict[str, Any]:
    """Every command that does something, by its words."""
    found: dict[str, Any] = {}

    def walk(words: tuple[str, ...], command: Any) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[" ".join(words)] = command
        else:
            for name, one in inner.items():
                walk((*words, name), one)

    walk((), typer.main.get_command(build()))
    return found


LEAVES = leaves()
# What the README says is missing may be spoken of; it has to be missing, though.
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
    assert "step make test\n" in text_of(".ci/run")


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


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_every_command_and_option_is_on_the_page(name: str) -> None:
    told = [cells[0] for cells in rows(text_of("ops/docs/reference/commands.md"))]
    line = next((cell for cell in told if re.match(rf"`circle {re.escape(name)}\b", cell)), None)
    assert line is not None, f"`circle {name}` is not in the table"
    # The options of benches and demo are told by their --help, as the table's text says.
    if not name.startswith(("bench", "demo")):
        told_options = set(re.findall(r"--[a-z-]+", line))
        for parameter in LEAVES[name].params:
            names = {one for one in (*parameter.opts, *parameter.secondary_opts) if one.startswith("--")} - {"--help"}
            assert not names or names & told_options, names


def test_every_setting_is_documented_with_its_default() -> None:
    told = {cells[0].strip("`"): cells[1] for cells in rows(text_of("ops/docs/reference/settings.md"))}
    defaults = Settings()
    assert set(told) == {f"CIRCLE_{name.upper()}" for name in Settings.__dataclass_fields__}
    for name, said in told.items():
        value = getattr(defaults, name.removeprefix("CIRCLE_").lower())
        if name == "CIRCLE_INSTANCE":
            assert "process id" in said
        elif value in (None, frozenset()):
            assert said == "none", name
        else:
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            assert said == f"`{shown}`", name


def test_variables_that_are_no_settings_are_documented_too() -> None:
    assert {name for name in FOREIGN_VARIABLES if f"`{name}`" not in text_of("ops/docs/reference/settings.md")} == set()


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {f"CIRCLE_{name.upper()}" for name in Settings.__dataclass_fields__} | FOREIGN_VARIABLES.keys()
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


def test_stated_limits_are_the_codes_limits() -> None:
    from api.fairness import limits as api
    from api.fairness import rate_limits
    from connectors.kafka import BATCH_RECORDS_MAX
    from pipelines.reservations.core import limits as core

    def each(rate: rate_limits.Rate) -> str:
        return f"{rate.per_s:,g} a second, {rate.burst:,} at once"

    within = f"within {core.UNPAID_WINDOW_S // 3600} hours, then"
    told = {cells[0]: cells[1] for cells in rows(text_of("ops/docs/reference/limits.md"))}
    said = {
        "programme of one event": (
            f"{core.ACTIVITIES_PER_EVENT_MAX} activities, {api.PROGRAMME_BYTES_MAX:,} bytes together"
        ),
        "body, headers": f"{api.BODY_BYTES_MAX // 1024} KB, {api.HEADER_BYTES_MAX // 1024} KB",
        "time to receive a request": f"{api.HEAD_TIMEOUT_S:g} s for its head, {api.REQUEST_TIMEOUT_S} s in all, "
        "from its first byte",
        "time to read an answer": f"{api.SEND_GRACE_S:g} s, and a second more for each "
        f"{api.READ_BYTES_PER_S // 1024} KB",
        "open connections of one API process": f"{api.CONNECTIONS_MAX:,}, half of them of one network, then 503",
        "`Prefer: wait`": f"{api.PREFER_WAIT_DEFAULT_S:g} s by default, {api.PREFER_WAIT_MAX_S:g} s at most",
        "acknowledgement by the log": f"{api.DELIVERY_TIMEOUT_MS / 1000:g} s, then 503: the same key is safe to "
        "send again",
        "requests that wait for the log, in one API process": f"{api.IN_FLIGHT_MAX:,}, then 503",
        "tickets in one order": f"{core.SEATS_PER_ORDER_MAX}",
        "tickets of one event for one user": f"set by the organizer, at most {core.TICKETS_PER_USER_MAX:,}",
        "hold": f"{core.HOLD_TTL_S_MIN} s to {core.HOLD_TTL_S_MAX // 3600} hour, set by the organizer",
        "holds of one mailbox and event that ran out": f"{core.HOLDS_UNPAID_MAX} {within} `holds-exhausted`",
        "declined cards of one mailbox and event": f"{core.CARDS_DECLINED_MAX} {within} `payments-exhausted`",
        "seats of one event": f"{core.SEATS_PER_EVENT_MAX:,}; older events that have more stay as they are",
        "seats of one ticket type": f"{core.SEATS_PER_SECTION_MAX:,}; {core.ROWS_MAX:,} rows of at most "
        f"{core.SEATS_PER_ROW_MAX}",
        "places of one general admission": f"{core.CAPACITY_MAX:,}",
        "ticket types of one event": f"{core.TICKET_TYPES_PER_EVENT_MAX}",
        "how long a rejected reservation's key gives the same answer": "one day of log time",
        "access token, refresh token": f"{api.ACCESS_TOKEN_TTL_S // 60} minutes, "
        f"{api.REFRESH_TOKEN_TTL_S // 86_400} days",
        "page of a list": f"{api.PAGE_ITEMS_DEFAULT} by default, {api.PAGE_ITEMS_MAX} at most",
        "live streams of one API process": f"{api.SSE_CLIENTS_MAX:,}",
        "answers read from the log, in one API process": f"{api.HISTORY_AT_ONCE_MAX} at a time, "
        f"{api.HISTORY_RECORDS_MAX:,} records and {api.HISTORY_SECONDS_MAX:g} s for one, then 503",
        "scans of one device in one batch": f"{api.SCANS_PER_BATCH_MAX}",
        "writes of one user": each(rate_limits.WRITES),
        "reads of one user; without a token, from one address": f"{each(rate_limits.READS)}; "
        f"{each(rate_limits.ADDRESS_READS)}",
        "a read counts as": f"{rate_limits.READ_COST}; a search {rate_limits.SEARCH_COST} more, a seat map 1 more for "
        f"each {rate_limits.SEAT_BYTES_PER_READ:,} bytes, a drawn ticket {rate_limits.DRAWING_COST} more, "
        f"an answer from the log {rate_limits.HISTORY_COST} more",
        "refusals sent to one client at once, and the longest pause before one": f"{each(rate_limits.REFUSALS)}; "
        f"{rate_limits.PAUSE_MAX_S:g} s",
        "logins to one account, from one address": f"{each(rate_limits.ACCOUNT_LOGINS)}; "
        f"{each(rate_limits.ADDRESS_LOGINS)}",
        "registrations of one account, from one address": f"{each(rate_limits.ACCOUNT_REGISTRATIONS)}; "
        f"{each(rate_limits.REGISTRATIONS)}",
        "records in one batch": f"{BATCH_RECORDS_MAX:,}",
    }
    assert core.IDEMPOTENCY_WINDOW_S == 86_400
    assert told == said


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
