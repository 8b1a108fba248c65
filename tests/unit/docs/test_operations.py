"""The operations page against the code: topics and their schemas, metrics, log actions, errors, exit codes, groups."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re

import pytest

import connectors
import ops
import sinks
from api.fairness.owner import Lane
from api.fairness.pools import PASSWORDS, SHARES
from connectors.errors import CircleError
from connectors.outbound_http import RESOLVERS_MAX
from connectors.settings import PARTITIONS_DEFAULT
from ops.migrations.tables import DERIVED_TABLES
from pipelines.flows import READ_SIDE_BRANCHES, Flow
from pipelines.notifications.webhooks import turns
from schemas.generate import FAMILIES
from schemas.topics import DEAD_LETTER_SUFFIX, all_topics
from tests.unit.docs.pages import (
    PAGES,
    ROOT,
    SOURCES,
    blocks,
    rows,
    section,
    source_text,
    source_words,
    text_of,
    tree_of,
)

PAGE = text_of("ops/docs/operations.md")
TOPICS = all_topics(PARTITIONS_DEFAULT)
LEVELS = {"warning": "warning", "error": "error", "exception": "error"}
SAID_AT_EVERY_END = {
    "OutcomeUnknown",
    "RequestRefused",
    "KeyReused",
    "LockRefused",
    "SettingsError",
    "Stopped",
    "MailFailed",
    "MailRefused",
    "NotOutside",
}  # reported in another way


def actions() -> dict[str, set[str]]:
    """Every action that is logged as a warning or worse: action to levels."""
    found: dict[str, set[str]] = {}
    for path in (path for top in SOURCES for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(tree_of(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log") | ast.Attribute(attr="log"), attr=level),
                    args=[ast.Constant(value=str(action)), *_],
                ) if level in LEVELS:
                    found.setdefault(action, set()).add(LEVELS[level])
    return found


def test_every_topic_is_documented_as_it_is_specified() -> None:
    listed = {cells[0].strip("`"): cells for cells in rows(section(PAGE, "Topics"))}
    assert set(listed) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        _, key, partitions, kept, _, _ = listed[topic.name]
        assert key == topic.key
        days = "forever" if topic.retention_ms < 0 else f"{topic.retention_ms // 86_400_000} days"
        assert kept == days
        assert partitions in {str(topic.partitions), f"`CIRCLE_PARTITIONS` ({topic.partitions})", "the same"}


def test_every_topic_names_the_family_of_its_schemas() -> None:
    for name, _, _, _, records, _ in rows(section(PAGE, "Topics")):
        if name.strip("`").endswith(DEAD_LETTER_SUFFIX):
            assert records == "any bytes"
            continue
        family = records.split("]")[0].lstrip("[")
        assert (ROOT / "schemas" / f"{family}.py").is_file()
        files = {path.stem for path in (ROOT / "schemas/avro" / family).glob("*.avsc")}
        assert files == {record.__name__ for record in FAMILIES[family]}


def test_every_metric_that_the_code_declares_is_on_the_page_and_no_other() -> None:
    declared = set(re.findall(r"(?:Counter|Gauge|Histogram|Summary|RecordAges)\(\s*\"(circle_\w+)\"", source_text()))
    page = text_of("ops/docs/reference/metrics.md")
    listed = [name.removesuffix("_total") for name in re.findall(r"^\| `(circle_\w+)`", page, re.MULTILINE)]
    assert len(declared) > 60
    assert set(listed) == declared
    assert len(listed) == len(set(listed))


def test_names_of_metrics_follow_the_conventions_of_prometheus() -> None:
    page = text_of("ops/docs/reference/metrics.md")
    for name, kind in re.findall(r"^\| `(circle_\w+)` \| (\w+) \|", page, re.MULTILINE):
        assert name.endswith("_total") == (kind == "counter"), name
        for part, base in (("_ms", "seconds"), ("_millis", "seconds"), ("_kb", "bytes"), ("_minutes", "seconds")):
            assert not name.removesuffix("_total").endswith(part), f"{name}: {base} is the base unit"


def test_every_warning_and_error_that_is_logged_is_documented_with_its_level() -> None:
    listed = {cells[0].strip("`"): {cells[1]} for cells in rows(section(PAGE, "Logs"))}
    logged = actions()
    assert len(logged) > 20
    assert listed == logged


def test_every_error_that_ends_a_process_has_its_paragraph() -> None:
    names = set()
    for package in (connectors, sinks, ops):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith(("ops.cli.main", "ops.proof.load", "ops.proof.bench", "ops.proof.demo")):
                importlib.import_module(module.name)
    waiting = list(CircleError.__subclasses__())
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.__module__.startswith(("connectors", "sinks")):
            names.add(error.__name__)
    missing = {name for name in names - SAID_AT_EVERY_END if name not in section_names()}
    assert len(names) > 8
    assert missing == set()


def section_names() -> str:
    return "\n".join(re.findall(r"^### .+$", PAGE, re.MULTILINE)) + section(PAGE, "The tripwire")


def test_exit_codes_are_those_of_the_code() -> None:
    listed = {int(cells[0]) for cells in rows(section(PAGE, "Exit codes"))}
    codes = {error.exit_code for error in [CircleError, *CircleError.__subclasses__()]}
    assert codes | {0, 130} == listed


def test_every_consumer_group_is_documented() -> None:
    listed = {cells[0].strip("`") for cells in rows(section(PAGE, "Consumer groups"))}
    source = "\n".join(path.read_text() for path in (ROOT / "pipelines").glob("*/wiring.py"))
    lines = [line for line in source.splitlines() if re.match(r"[A-Z_, ]*GROUP = ", line)]
    groups = {name for line in lines for name in re.findall(r'"([^"]+)"', line)}
    groups |= {f"circle.{flow}" for flow in (Flow.READ_SIDE, *READ_SIDE_BRANCHES)}
    assert listed == groups


def test_the_rebuild_empties_every_derived_table_but_the_providers_books() -> None:
    (statement,) = blocks(section(PAGE, "Rebuilding the rows"), "sql")
    named = set(re.findall(r"[a-z_.]+", statement.removeprefix("TRUNCATE")))
    assert named == {table for table in DERIVED_TABLES if not table.startswith("sandbox.")}


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_exceptions_and_constants_that_pages_name_exist(page: str) -> None:
    words = source_words()
    for name in set(re.findall(r"`(?!CIRCLE_)([A-Z][A-Za-z]+[a-z][A-Z]\w+|[A-Z]+_[A-Z_]+)`", text_of(page))):
        assert name in words, f"{page}: {name} is not in the code"


def test_the_shares_of_webhook_calls_are_told_with_their_figures() -> None:
    words = {2: "two", 3: "three", 4: "four", 10: "ten"}
    text = " ".join(section(PAGE, "Webhooks").split())
    assert f"At most {turns.IN_FLIGHT_MAX} calls" in text
    assert f"{turns.ORGANIZER_MAX} of one organizer, and {words[turns.ENDPOINT_MAX]} of one endpoint" in text
    assert f"took more than {words[int(turns.QUICK_S)]} seconds" in text
    trials = f"together have {turns.TRIALS_MAX}, and those of one organizer {words[turns.TRIALS_PER_ORGANIZER_MAX]}"
    assert trials in text
    assert (
        f"After {words[turns.SILENT_MAX]} calls without an answer the endpoint rests, first for "
        f"{turns.REST.first_s:.0f} seconds" in text
    )
    assert f"up to {words[int(turns.REST.max_s // 60)]} minutes" in text
    assert f"in {RESOLVERS_MAX} threads" in text


def test_what_else_is_bounded_is_told_as_it_is() -> None:
    listed = rows(section(PAGE, "What else is bounded"))
    for _, constant, figure, *_ in listed:
        module, _, name = constant.strip("`").rpartition(".")
        assert f"{getattr(importlib.import_module(module), name):,}" == figure, constant


BOUNDED = {"ThreadPoolExecutor", "Semaphore", "BoundedSemaphore", "create_pool", "connect_sharing", "Queue"}
IN_OTHER_TABLES = {  # by the tables of shares and of other bounds
    "api/fairness/background.py", "api/reads/database.py", "api/deps.py", "api/http/representation.py",
    "api/log/ends.py", "api/reads/seat_maps.py", "connectors/outbound_http.py", "pipelines/payments/cashier.py",
    "pipelines/payments/providers/sandbox.py", "sinks/postman.py",
    "pipelines/monitoring/watch.py", "pipelines/payments/redrives.py",  # one thread each, of the platform's own
}  # fmt: skip


def test_whoever_makes_a_pool_or_a_queue_tells_how_it_is_shared() -> None:
    found = set()
    for path in (path for top in ("api", "connectors", "pipelines", "sinks") for path in (ROOT / top).rglob("*.py")):
        for node in ast.walk(tree_of(path.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in BOUNDED:
                    found.add(str(path.relative_to(ROOT)))
    found.discard("connectors/postgres.py")  # makes those of the others
    assert found == IN_OTHER_TABLES


def test_every_share_is_told_with_its_figures() -> None:
    listed = {cells[0]: cells[1:6] for cells in rows(section(PAGE, "What an API process shares out"))}
    said = {}
    for share in SHARES:
        line = f"{share.line:,}, {share.user_line:,}, {share.network_line:,}" if share.line else "none"
        kept = [
            f"{lane.name.lower()} {share.kept.get(lane, 0):,}, {share.line_kept.get(lane, 0):,}"
            for lane in Lane
            if share.kept.get(lane, 0) or share.line_kept.get(lane, 0)
        ]
        places = "half of the cores" if share is PASSWORDS else f"{share.places:,}"
        network = "half of the cores" if share is PASSWORDS else f"{share.network:,}"
        said[share.name] = [places, f"{share.user:,}", network, line, "; ".join(kept)]
    assert listed == said
    for share in SHARES:
        assert share.user <= share.network
        assert share is PASSWORDS or share.places == 1 or share.network < share.places, share.name
        assert share.user_line <= share.network_line
        assert not share.line or share.network_line < share.line, share.name
