"""An alert fires after its condition has held for its time, and resolves at its end. A missing reading changes none."""

from __future__ import annotations

import pytest

from pipelines.monitoring.alert_rules import ALERT_RULES, AlertName, AlertRule, Severity
from pipelines.monitoring.alerts import ALERTS_MAX, AlertChanges, Evaluator
from schemas.ids import US_PER_S

LAG = AlertRule(
    name=AlertName.LAG, severity=Severity.WARNING, reading="circle:lag", expression="lag", about="flow", limit=10.0,
    for_s=60.0, summary="{about} is {value} s behind",
)  # fmt: skip
DISK = AlertRule(
    name=AlertName.DISK, severity=Severity.CRITICAL, reading="circle:disk", expression="disk", about="path", limit=0.1,
    below=True, summary="{value} of {about} is free",
)  # fmt: skip


class Looks:
    """An evaluator and its clock."""

    def __init__(self) -> None:
        self.evaluator = Evaluator([LAG, DISK])

    def at(self, second: float, **flows: float) -> AlertChanges:
        return self.evaluator.evaluate({AlertName.LAG: flows}, round(second * US_PER_S))


def names(changes: AlertChanges) -> tuple[list[str], list[str], list[str]]:
    fired, still, resolved = changes
    return [one.about for one in fired], [one.about for one in still], [about for _, about in resolved]


def test_an_alert_fires_when_its_condition_has_held_for_its_time() -> None:
    looks = Looks()
    assert names(looks.at(0, payments=11)) == ([], [], [])
    assert names(looks.at(59, payments=12)) == ([], [], [])
    changes = looks.at(60, payments=13)
    assert names(changes) == (["payments"], [], [])
    assert (changes.fired[0].began_at, changes.fired[0].summary) == (0, "payments is 13 s behind")
    assert names(looks.at(65, payments=14)) == ([], ["payments"], [])
    assert names(looks.at(70, payments=10)) == ([], [], ["payments"])
    assert names(looks.at(75, payments=10)) == ([], [], [])


def test_a_condition_that_ends_in_between_begins_again() -> None:
    looks = Looks()
    looks.at(0, payments=11)
    looks.at(30, payments=1)
    looks.at(40, payments=11)
    assert names(looks.at(90, payments=11)) == ([], [], [])
    assert names(looks.at(100, payments=11)) == (["payments"], [], [])


def test_what_was_not_read_neither_fires_nor_resolves() -> None:
    looks = Looks()
    looks.at(0, payments=11)
    looks.at(60, payments=11)
    assert names(looks.evaluator.evaluate({}, 65 * US_PER_S)) == ([], [], [])
    assert names(looks.at(70, payments=11)) == ([], ["payments"], [])
    assert names(looks.at(75)) == ([], [], ["payments"]), "read, and the flow is gone"


def test_a_reading_may_be_wrong_below_its_limit_and_at_once() -> None:
    evaluator = Evaluator([DISK])
    assert names(evaluator.evaluate({AlertName.DISK: {"/a": 0.1, "/b": 0.09}}, 0)) == (["/b"], [], [])
    assert names(evaluator.evaluate({AlertName.DISK: {"/a": 0.1, "/b": 0.1}}, 1)) == ([], [], ["/b"])


def test_an_alert_of_another_process_goes_on_and_its_end_is_known() -> None:
    looks = Looks()
    looks.evaluator.adopt({("CircleLag", "payments"): (1, 2), ("Gone", "x"): (1, 2)})
    still = looks.at(100, payments=11).still
    assert [(one.about, one.began_at, one.fired_at) for one in still] == [("payments", 1, 2)]
    looks.evaluator.adopt({})
    assert names(looks.at(105, payments=1)) == ([], [], []), "another process has resolved it"


def test_the_alerts_of_one_rule_are_bounded() -> None:
    evaluator = Evaluator([DISK])
    many = {f"/{number}": 0.0 for number in range(ALERTS_MAX + 1)}
    assert len(evaluator.evaluate({AlertName.DISK: many}, 0).fired) == ALERTS_MAX


@pytest.mark.parametrize("rule", ALERT_RULES, ids=lambda rule: rule.name)
def test_each_rule_says_what_is_wrong_with_its_reading(rule: AlertRule) -> None:
    assert [one.name for one in ALERT_RULES].count(rule.name) == 1
    text = rule.text("something", 12.3456)
    assert ("something" in text) == bool(rule.about)
    assert "{" not in text
    assert not rule.is_wrong(rule.limit)
