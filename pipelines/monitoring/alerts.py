"""Evaluates the alert rules on the readings of each look. Pure: the time is passed in.

Guarantee: an alert fires when its condition has held at every look for the rule's time, and resolves at the first look
where it does not hold. A reading that could not be taken changes nothing: an alert neither fires nor resolves by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipelines.monitoring.alert_rules import ALERT_RULES, AlertName, AlertRule
from schemas.ids import US_PER_S

ALERTS_MAX = 100  # firing at once of one rule; more of them say no more

Readings = Mapping[AlertName, Mapping[str, float]]
"""For each alert the readings by what they are about. An alert that is missing was not read."""


class FiringAlert(NamedTuple):
    """An alert that fires now. Times are microseconds."""

    rule: AlertRule
    about: str
    value: float
    began_at: int
    fired_at: int

    @property
    def summary(self) -> str:
        return self.rule.text(self.about, self.value)


class AlertChanges(NamedTuple):
    """What a look has changed: new alerts, alerts that go on, and alerts that have ended, by name and about."""

    fired: list[FiringAlert]
    still: list[FiringAlert]
    resolved: list[tuple[AlertName, str]]


class Evaluator:
    """Remembers the conditions that hold."""

    def __init__(self, rules: Sequence[AlertRule] = ALERT_RULES) -> None:
        self._rules = rules
        self._began: dict[tuple[AlertName, str], int] = {}
        self._firing: dict[tuple[AlertName, str], int] = {}

    def adopt(self, firing: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Go on with alerts that fire already: by name and about, when each began and fired. Another process may have
        fired some of them, and may have resolved others."""
        known = {(rule.name.value, about): (rule.name, about) for rule in self._rules for _, about in firing}
        adopted = {known[key]: times for key, times in firing.items() if key in known}
        self._firing = {key: fired for key, (_, fired) in adopted.items()}
        for key, (began, _) in adopted.items():
            self._began.setdefault(key, began)

    def evaluate(self, readings: Readings, now_us: int) -> AlertChanges:
        """One look's changes."""
        changes = AlertChanges([], [], [])
        for rule in self._rules:
            if rule.name in readings:
                self._apply(rule, readings[rule.name], now_us, changes)
        return changes

    def _apply(self, rule: AlertRule, read: Mapping[str, float], now_us: int, changes: AlertChanges) -> None:
        wrong = sorted((about, value) for about, value in read.items() if rule.is_wrong(value))[:ALERTS_MAX]
        now_wrong = {about for about, _ in wrong}
        for name, about in [key for key in self._began if key[0] is rule.name and key[1] not in now_wrong]:
            del self._began[name, about]
            if self._firing.pop((name, about), None) is not None:
                changes.resolved.append((name, about))
        for about, value in wrong:
            key = rule.name, about
            began = self._began.setdefault(key, now_us)
            fired = self._firing.get(key)
            if fired is not None:
                changes.still.append(FiringAlert(rule=rule, about=about, value=value, began_at=began, fired_at=fired))
            elif now_us - began >= rule.for_s * US_PER_S:
                self._firing[key] = now_us
                changes.fired.append(FiringAlert(rule=rule, about=about, value=value, began_at=began, fired_at=now_us))
