"""CONTRIBUTING's steps for a new field of an event work as they stand, and need six files at most."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.harness.command_logs import BothLogs
from tests.harness.page_steps import commands, copied, followed, run
from tests.unit.docs.pages import section, text_of

FILES_MAX = 6
STEPS = section(text_of("CONTRIBUTING.md"), "Add a field to an event")
THROUGH = """
from datetime import datetime

import msgspec

from api.shapes.events import EventIn, EventOut
from api.shapes.terms import answer_of, terms_in
from pipelines.notifications.calls import call_of
from pipelines.reservations.core.decide import step
from pipelines.reservations.core.state import At, EventState
from pipelines.reservations.snapshot import state_from
from schemas.codec import Codec
from schemas.commands import CreateEvent, UpdateEvent
from schemas.event_terms import EventTerms
from schemas.facts import Envelope
from schemas.ids import LogTime
from tests.simulation.rows import Rows

codec, rows, state = Codec(), Rows(), EventState("event")


def follow(offset, command):
    at = At(0, offset, LogTime(offset))
    (fact,) = step(state, codec.decode(codec.encode(command)), at)
    envelope = Envelope(
        event_id="event", partition=0, offset=offset, index=0, count=1, log_time=offset, rules_version=3
    )
    recorded = codec.decode(codec.encode_fact(envelope, fact))
    rows.apply([recorded])
    snapshot = rows.snapshot("event")
    assert state_from(snapshot).details == state.details
    others = {"cancelled_at": 0, "cancel_reason": ""}
    answer = answer_of(EventOut, EventTerms, msgspec.structs.asdict(snapshot.event) | others)
    return answer.doors_open_at, call_of(recorded).payload


body = msgspec.convert(EventIn.EXAMPLE | {"doors_open_at": "2031-05-01T18:30:00+02:00"}, EventIn)
terms = terms_in(EventTerms, body) | {"category_id": "", "reminder_at": 0}
told, payload = follow(0, CreateEvent(event_id="event", user_id="user", command_id="1", **terms))
assert told == datetime.fromisoformat("2031-05-01T16:30:00+00:00"), told
assert '"doors_open_at":"2031-05-01T16:30:00.000000Z"' in payload, payload
told, _ = follow(1, UpdateEvent(event_id="event", user_id="user", command_id="2", doors_open_at=0))
assert told is None, told
"""
VERIFY = """
import base64, json, sys

from pipelines.history.verification import PartitionVerifier
from schemas.codec import Codec
from schemas.record import LogRecord
from tests.harness.command_logs import ListFeed

commands, facts = (
    [LogRecord(*fields, base64.b64decode(key), base64.b64decode(value)) for *fields, key, value in records]
    for records in json.load(open(sys.argv[1]))
)
verifier = PartitionVerifier(0, Codec(), ListFeed(facts))
for record in commands:
    verifier.read(record)
verifier.finish()
print(json.dumps([len(verifier.divergences), verifier.facts]))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("copy") / "repository")


@pytest.fixture(scope="module")
def changed(root: Path) -> set[str]:
    """The files that the steps changed by hand; the page's commands ran after them."""
    files = followed(STEPS, root)
    for arguments in commands(STEPS):
        run(root, arguments)
    return files


def test_six_files_are_changed_by_hand(changed: set[str]) -> None:
    assert 0 < len(changed) <= FILES_MAX, sorted(changed)


def test_the_generated_files_are_complete(root: Path, changed: set[str]) -> None:
    assert changed
    for module in ("schemas.generate", "ops.reference"):
        run(root, ["bin/python", "-m", module, "--check"])


def test_the_tests_of_the_page_and_of_the_definition_pass(root: Path, changed: set[str]) -> None:
    tests = sorted(file for file in changed if file.startswith("tests/"))
    assert tests
    said = run(
        root, ["bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/house/test_terms.py", *tests]
    )
    assert " passed" in said


def test_the_field_goes_from_a_request_through_a_decision_and_a_row_to_the_answer(
    root: Path, changed: set[str]
) -> None:
    assert changed
    run(root, ["bin/python", "-c", THROUGH])


def test_a_log_from_before_the_field_still_verifies(root: Path, changed: set[str], tmp_path: Path) -> None:
    assert changed
    log = BothLogs(partition=0, seed=1)
    log.take(200)
    before = [
        [[one.offset, one.timestamp_ms, *(base64.b64encode(text or b"").decode() for text in one[2:])] for one in topic]
        for topic in (log.command_records(), log.fact_records())
    ]
    assert any(type(one.fact).__name__ == "EventCreated" for one in log.facts)
    (tmp_path / "log.json").write_text(json.dumps(before))
    assert json.loads(run(root, ["bin/python", "-c", VERIFY, str(tmp_path / "log.json")])) == [0, len(log.facts)]
