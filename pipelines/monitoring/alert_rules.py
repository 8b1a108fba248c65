"""The alerts: what is read, from which value on it is wrong, and for how long. Pure.

Monitoring evaluates them (`pipelines.monitoring.alerts`), and so does Prometheus, for which `ops.reference` writes the
same rules. Each alert has a runbook in `ops/docs/runbooks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RUNBOOKS = "ops/docs/runbooks"


class AlertName(StrEnum):
    """The alerts, as Prometheus names them."""

    LAG = "CircleLag"
    STALL = "CircleStall"
    AGE = "CircleFactsOld"
    ERRORS = "CircleErrors"
    UNAVAILABLE = "CircleUnavailable"
    TRIPWIRE = "CircleTripwire"
    OVERSELL = "CircleOversell"
    DIVERGENCE = "CircleDivergence"
    DEAD_LETTERS = "CircleDeadLetters"
    KEEPS_DYING = "CircleKeepsDying"
    CERTIFICATE = "CircleCertificateExpires"
    DISK = "CircleDiskFull"
    TIME_SKEW = "CircleTimeSkew"


class Severity(StrEnum):
    """How soon a person must look: within minutes, or in the working day."""

    CRITICAL = "critical"
    WARNING = "warning"


class AlertState(StrEnum):
    """The state of an alert, in the words of Prometheus' Alertmanager."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertRule:
    """An alert fires when its reading is past `limit` for `for_s` seconds."""

    name: AlertName
    severity: Severity
    reading: str
    """The recording rule of the reading."""
    expression: str
    """The reading in PromQL, of metrics that monitoring sets."""
    about: str
    """The label that says what the reading is about; "" for the whole platform."""
    limit: float
    below: bool = False
    """Whether the reading is wrong below the limit; else above it."""
    for_s: float = 0.0
    summary: str
    """With `{about}` and `{value}`."""

    @property
    def runbook(self) -> str:
        """The runbook's path in the repository."""
        return f"{RUNBOOKS}/{self.name.name.lower().replace('_', '-')}.md"

    def is_wrong(self, value: float) -> bool:
        """Whether this reading is past the limit."""
        return value < self.limit if self.below else value > self.limit

    def text(self, about: str, value: float) -> str:
        """The summary of one alert."""
        return self.summary.format(about=about, value=f"{value:.4g}")


ALERT_RULES: tuple[AlertRule, ...] = (
    AlertRule(
        name=AlertName.LAG,
        severity=Severity.WARNING,
        reading="circle:lag_seconds:max",
        expression="max by (flow) (circle_lag_seconds)",
        about="flow",
        limit=10.0,  # a buyer waits for the outcome at most 30 s
        for_s=60.0,
        summary="{about} is {value} s behind its topic",
    ),
    AlertRule(
        name=AlertName.STALL,
        severity=Severity.CRITICAL,
        reading="circle:stalled_seconds:max",
        expression="max by (flow) (circle_stalled_seconds)",
        about="flow",
        limit=60.0,  # longer than a takeover of a dead worker's partitions
        summary="{about} has records to read, and has not moved for {value} s",
    ),
    AlertRule(
        name=AlertName.AGE,
        severity=Severity.CRITICAL,
        reading="circle:facts_behind_seconds:max",
        expression="max(circle_facts_behind_seconds)",
        about="",
        limit=30.0,  # the longest wait that a client can ask for
        for_s=30.0,
        summary="what queries show is {value} s old",
    ),
    AlertRule(
        name=AlertName.ERRORS,
        severity=Severity.CRITICAL,
        reading="circle:http_errors:minute",
        expression="max(circle_api_errors_recent)",
        about="",
        limit=0.0,  # an unexpected error is a defect
        summary="unexpected errors among the API's answers of the last minute: {value}",
    ),
    AlertRule(
        name=AlertName.UNAVAILABLE,
        severity=Severity.WARNING,
        reading="circle:http_unavailable:ratio",
        expression="max(circle_api_unavailable_ratio)",
        about="",
        limit=0.05,
        for_s=60.0,
        summary="the API has answered {value} of the requests of the last minute with 503",
    ),
    AlertRule(
        name=AlertName.TRIPWIRE,
        severity=Severity.CRITICAL,
        reading="circle:tripwire_deaths:recent",
        expression='max by (flow) (circle_flow_deaths_recent{kind="TripwireBroken"})',
        about="flow",
        limit=0.0,
        summary="{about} has stopped: a seat has two live claims",
    ),
    AlertRule(
        name=AlertName.OVERSELL,
        severity=Severity.CRITICAL,
        reading="circle:oversold_places:max",
        expression="max(circle_oversold_places)",
        about="",
        limit=0.0,
        summary="places that are held or sold beyond those that there are: {value}",
    ),
    AlertRule(
        name=AlertName.DIVERGENCE,
        severity=Severity.CRITICAL,
        reading="circle:verified_divergences:max",
        expression="max(circle_verified_divergences)",
        about="",
        limit=0.0,
        summary="differences that `circle verify --follow` has found: {value}",
    ),
    AlertRule(
        name=AlertName.DEAD_LETTERS,
        severity=Severity.WARNING,
        reading="circle:dead_letters:max",
        expression="max by (topic) (circle_dead_letters)",
        about="topic",
        limit=0.0,
        summary="dead letters of {about} that were not sent back: {value}",
    ),
    AlertRule(
        name=AlertName.KEEPS_DYING,
        severity=Severity.CRITICAL,
        reading="circle:flow_dying:max",
        expression="max by (flow) (circle_flow_dying)",
        about="flow",
        limit=0.0,
        summary="the processes of {about} keep dying",
    ),
    AlertRule(
        name=AlertName.CERTIFICATE,
        severity=Severity.WARNING,
        reading="circle:certificate_expiry_days:min",
        expression="(min by (file) (circle_certificate_expiry_timestamp_seconds) - time()) / 86400",
        about="file",
        limit=14.0,  # a week to notice, a week to renew
        below=True,
        summary="the certificate in {about} expires in {value} days",
    ),
    AlertRule(
        name=AlertName.DISK,
        severity=Severity.CRITICAL,
        reading="circle:disk_free:ratio",
        expression="min by (path) (circle_disk_free_bytes / circle_disk_size_bytes)",
        about="path",
        limit=0.1,
        below=True,
        summary="only {value} of the disk at {about} is free",
    ),
    AlertRule(
        name=AlertName.TIME_SKEW,
        severity=Severity.WARNING,
        reading="circle:clock_skew_seconds:max",
        expression="max by (service) (abs(circle_clock_skew_seconds))",
        about="service",
        limit=2.0,  # holds and tokens are checked to the second
        for_s=30.0,
        summary="the clock of {about} and that of monitoring differ by {value} s",
    ),
)


def runbook_of(name: str) -> str:
    """The runbook of an alert of this name; the directory of all runbooks for an alert of another release."""
    return next((rule.runbook for rule in ALERT_RULES if rule.name == name), RUNBOOKS)
