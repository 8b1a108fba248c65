"""A rebuild of the rows ends the dead letters of facts that lacked their rows, and no others."""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

import pytest

from connectors.settings import Settings
from pipelines.projections import branch
from pipelines.projections.changes import Changes
from pipelines.projections.project import project
from pipelines.watch.dead_letters import letters
from schemas.facts import RecordedFact
from schemas.topics import FACTS
from tests.harness.command_line import Circle
from tests.harness.fact_logs import log_of
from tests.harness.flows import Flow, eventually, everything, projections, rows_of, write, write_facts
from tests.harness.words import BOB, R1, R2, held, on_sale

FACTS_OF_THE_LOG = log_of(*on_sale(), held(["A-1"]), held(["B-1"], rid=R2, by=BOB))
TOO_LONG = "".join(str(uuid5(NAMESPACE_OID, str(number))) for number in range(200))
"""No index has room for this id."""
ENDLESS = log_of(held(["C-1"], rid=TOO_LONG, by=BOB), first=len(FACTS_OF_THE_LOG))


def broken(facts: list[RecordedFact]) -> Changes:
    """As a build with a defect: it cannot make the rows of one hold."""
    if any(getattr(one.fact, "reservation_id", "") == R1 for one in facts):
        raise KeyError("a defect")
    return project(facts)


@pytest.fixture
def lacking(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two holds lack their rows: one by a defect, one because its id is too long."""
    monkeypatch.setattr(branch, "project", broken)
    with Flow(projections, settings):
        write(settings, FACTS, [(0, b"no avro", [])])
        write_facts(settings, [*FACTS_OF_THE_LOG, *ENDLESS])
        eventually(lambda: len(letters(settings, (FACTS,))) == 3, "both are set aside, and the unreadable record")


def states(settings: Settings) -> list[tuple[str, bool]]:
    return [(one.letter.set_aside_by, one.letter.redriven) for one in letters(settings, (FACTS,))]


@pytest.mark.usefixtures("lacking")
def test_a_promoted_rebuild_ends_the_letter_of_a_fact_that_has_its_rows_now(
    settings: Settings, circle: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch, "project", project)
    before = len(everything(settings, FACTS))
    code, _report = circle("replay", "projections", "--json")
    assert code == 1, "the live rows lack one"
    assert states(settings) == [("", False), ("projections", False), ("projections", False)], "nothing is swapped"
    code, found = circle("replay", "projections", "--promote", "--json")
    assert (code, found["letters"]) == (1, 1)
    with rows_of(settings) as query:
        assert query("SELECT id FROM reservations ORDER BY id") == [(one,) for one in sorted((R1, R2))]
        assert query('SELECT "offset" FROM facts_set_aside') == [(len(FACTS_OF_THE_LOG),)]
    assert states(settings) == [("", False), ("projections", True), ("projections", False)]
    assert circle("replay", "projections", "--promote", "--json")[1]["letters"] == 0, "once"
    assert len(everything(settings, FACTS)) == before, "nothing is written to the log"


@pytest.mark.usefixtures("lacking")
def test_a_fact_that_still_makes_no_rows_keeps_its_letter(settings: Settings, circle: Circle) -> None:
    found = circle("replay", "projections", "--promote", "--json")[1]
    assert (found["report"]["promoted"], found["letters"]) == (True, 0)
    assert [redriven for _by, redriven in states(settings)] == [False] * 3
