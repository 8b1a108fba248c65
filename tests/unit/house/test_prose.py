"""Nothing parses prose: an error, a detail, a reason and a message are read by people, and decide nothing.

A fact, a letter or a result has a field for everything that a program asks of it. The modules of ALLOWED read texts of
former versions or of other programs, which have no such field.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.unit.docs.pages import ROOT, SOURCES, tree_of
from tests.unit.house.test_statuses import name_of

PROSE = ("detail", "error", "reason", "message")
ON_A_TEXT = {"startswith", "endswith", "removeprefix", "removesuffix", "split", "rsplit", "splitlines"}
WITH_A_TEXT = {"partition", "rpartition", "find", "index"}  # `message.partition()` is Kafka's number
BY_A_PATTERN = {"match", "fullmatch", "search", "findall", "finditer", "sub", "split"}
ALLOWED = {
    "schemas/former_details.py": "facts before version 4 of the rules have only words",
    "pipelines/watch/former_letters.py": "letters of payments before 2026-11-30 do not name their flow",
    "api/http/validation.py": "msgspec's error has the path of the field in its text only",
    "connectors/schema_registry.py": "httpx keeps the text of the TLS library, not its error; it decides a hint",
    "pipelines/notifications/mail/transport.py": "aiosmtplib does the same; it decides a hint",
    "ops/cli/doctor.py": "shows the first line of an error",
}
# Rows that the postman has set aside have no column that says so: their error begins with the same text.
ALLOWED_SQL = {"pipelines/watch/sql/set_aside_rows.sql"}
IN_SQL = re.compile(
    rf"starts_with\s*\(\s*(?:\w+\.)?(?:{'|'.join(PROSE)})\b|\b(?:{'|'.join(PROSE)})\s+(?:NOT\s+)?(?:I?LIKE|SIMILAR|!?~)",
    re.IGNORECASE,
)
FORMER = {
    "schemas.former_details": {"api/http/reasons.py", "pipelines/reservations/core/decide.py"},
    "pipelines.watch.former_letters": {"pipelines/watch/fact_redrives.py"},
}
"""The modules that read words of the past, and the only ones that import them."""


def is_prose(node: ast.expr) -> bool:
    """Whether an expression is called like prose. `str(error)` and `detail[1:]` are, too; `errors` is a list."""
    match node:
        case ast.Call(func=ast.Name(id="str" | "repr"), args=[of]):
            return is_prose(of)
        case ast.Call(func=ast.Attribute(value=of, attr="strip" | "lower" | "casefold" | "decode")):
            return is_prose(of)
        case ast.Subscript(value=of, slice=ast.Slice()):
            return is_prose(of)
        case ast.BoolOp(values=several):
            return any(map(is_prose, several))
    name = name_of(node)
    return any(name == word or name.endswith(f"_{word}") for word in PROSE)


def parsed(tree: ast.AST) -> Iterator[int]:
    """The lines that take a text of that kind apart, or look for words in it."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=of, attr=verb), args=given):
                by_words = verb in ON_A_TEXT or (verb in WITH_A_TEXT and given)
                if (by_words and is_prose(of)) or (verb in BY_A_PATTERN and any(map(is_prose, given))):
                    yield node.lineno
            case ast.Compare(left=ast.Constant(value=str()), ops=[ast.In() | ast.NotIn()], comparators=[of]):
                if is_prose(of):
                    yield node.lineno


def found_in(text: str) -> list[int]:
    return sorted(parsed(tree_of(text)))


def imported_by(tree: ast.AST) -> set[str]:
    """The modules that a file imports, each under its whole name."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{one.name}" for one in node.names)}
    return names


@pytest.mark.parametrize("top", SOURCES)
def test_no_source_takes_an_error_or_a_detail_apart(top: str) -> None:
    found = {
        place: lines
        for path in sorted((ROOT / top).rglob("*.py"))
        if (place := str(path.relative_to(ROOT))) not in ALLOWED
        and (lines := found_in(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_no_query_takes_an_error_or_a_detail_apart() -> None:
    files = [path for top in SOURCES for path in (ROOT / top).rglob("*.sql")]
    found = {str(path.relative_to(ROOT)) for path in files if IN_SQL.search(path.read_text(encoding="utf-8"))}
    assert found == ALLOWED_SQL


@pytest.mark.parametrize(
    ("query", "parses"),
    [
        ("WHERE starts_with(error, 'set aside: ')", True),
        ("WHERE row.detail LIKE '%sold%'", True),
        ("WHERE last_error IS NULL AND reason !~ 'x'", True),
        ("WHERE reason = 'sold-out' AND error <> ''", False),
        ("WHERE starts_with(title, 'A')", False),
    ],
)
def test_parsed_prose_is_found_in_queries(query: str, parses: bool) -> None:
    assert bool(IN_SQL.search(query)) is parses


@pytest.mark.parametrize("place", sorted(ALLOWED))
def test_each_module_that_may_parse_prose_does_so(place: str) -> None:
    assert found_in((ROOT / place).read_text(encoding="utf-8"))


def test_former_words_are_read_only_where_facts_and_letters_without_fields_arrive() -> None:
    importing: dict[str, set[str]] = {module: set() for module in FORMER}
    for top in SOURCES:
        for path in sorted((ROOT / top).rglob("*.py")):
            for module in imported_by(tree_of(path.read_text(encoding="utf-8"))) & set(FORMER):
                importing[module].add(str(path.relative_to(ROOT)))
    assert importing == FORMER


@pytest.mark.parametrize(
    "text",
    [
        'letter.error.startswith("payments:")',
        'headers.get("error", "").startswith("payments:")',
        'row["error"].endswith("away")',
        'reply.detail.removeprefix("ends_at ")',
        "detail.rpartition(str(at))",
        "str(error).split()",
        "error.strip().splitlines()",
        "(fact.detail or view.detail).split()",
        'PATTERN.match(fact.reason)',
        're.search("[0-9]+", last_error)',
        're.sub("[0-9]+", "", detail[:100])',
        '"timeout" in str(error)',
        'if "no such" not in problem.detail: pass',
    ],
)  # fmt: skip
def test_parsed_prose_is_found_wherever_it_stands(text: str) -> None:
    assert len(found_in(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "message.partition()",
        'errors.index(error, 1)',
        'title.startswith("A")',
        'path.partition("?")',
        'f"{detail}; {error}"',
        'key in error.codes',
        'fact.reason in (Reason.SOLD_OUT, Reason.SEAT_TAKEN)',
    ],
)  # fmt: skip
def test_what_parses_no_prose_is_not_found(text: str) -> None:
    assert found_in(text) == []


def test_each_way_to_import_a_module_is_seen() -> None:
    ways = (
        "import schemas.former_details",
        "from schemas import former_details",
        "from schemas.former_details import x",
    )
    assert all("schemas.former_details" in imported_by(tree_of(way)) for way in ways)
