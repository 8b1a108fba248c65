"""The rules for Prometheus and the page of alerts, from the rules that monitoring evaluates itself."""

from __future__ import annotations

import json

from ops.reference.markdown import WRITTEN, table, text
from pipelines.monitoring.alert_rules import ALERT_RULES, RUNBOOKS, AlertRule

SILENT = "CircleMonitoringSilent"
SILENT_S = 60.0  # twelve looks
SILENT_FOR_S = 30.0  # a restart of Prometheus, or of monitoring, is over by then
SILENT_EXPRESSION = (
    f"time() - max(circle_survey_timestamp_seconds) > {SILENT_S:.0f} or absent(circle_survey_timestamp_seconds)"
)
SILENT_SUMMARY = "monitoring has not looked at the platform for a minute: every figure of it is old"
SILENT_RUNBOOK = f"{RUNBOOKS}/monitoring-silent.md"

HEAD = """\
# Written from the code (`python -m ops.reference`): the same conditions that monitoring evaluates itself.
# Load it as a rule file of Prometheus; ops/docs/reference/alerts.md says what each alert means.
groups:
"""
INTRODUCTION = """\
Monitoring evaluates these alerts itself, and `ops/prometheus/rules.yml` has the same rules for Prometheus. The reading
of each is a recording rule. Only Prometheus has `CircleMonitoringSilent`: a process that stands still cannot say so.
"""


def prometheus_rules() -> str:
    """`ops/prometheus/rules.yml`: a recording rule for each reading, then an alerting rule for each alert."""
    lines = [HEAD, "  - name: circle-readings\n    rules:\n"]
    for rule in ALERT_RULES:
        lines += [f"      - record: {rule.reading}\n", f"        expr: {json.dumps(rule.expression)}\n"]
    lines += ["  - name: circle-alerts\n    rules:\n"]
    for rule in ALERT_RULES:
        lines += _alerting(rule)
    lines += [
        f"      - alert: {SILENT}\n",
        f"        expr: {json.dumps(SILENT_EXPRESSION)}\n",
        f"        for: {SILENT_FOR_S:.0f}s\n",
        "        labels: {severity: critical}\n",
        "        annotations:\n",
        f"          summary: {json.dumps(SILENT_SUMMARY)}\n",
        f"          runbook: {SILENT_RUNBOOK}\n",
    ]
    return "".join(lines)


def _alerting(rule: AlertRule) -> list[str]:
    about, value = f"{{{{ $labels.{rule.about} }}}}", '{{ $value | printf "%.4g" }}'
    summary = rule.summary.replace("{about}", about).replace("{value}", value)
    return [
        f"      - alert: {rule.name}\n",
        f"        expr: {json.dumps(condition(rule))}\n",
        *([f"        for: {rule.for_s:.0f}s\n"] if rule.for_s else []),
        f"        labels: {{severity: {rule.severity}}}\n",
        "        annotations:\n",
        f"          summary: {json.dumps(summary)}\n",
        f"          runbook: {rule.runbook}\n",
    ]


def condition(rule: AlertRule) -> str:
    """When an alert's reading is wrong, in PromQL."""
    limit = f"{rule.limit:.0f}" if rule.limit == int(rule.limit) else f"{rule.limit:g}"
    return f"{rule.reading} {'<' if rule.below else '>'} {limit}"


def page() -> str:
    """Every alert: when it fires, for how long, how soon a person must look, and its runbook."""
    rows = [
        (
            f"[`{rule.name}`]({_link(rule.runbook)})",
            rule.severity.value,
            text(f"`{condition(rule)}`" + (f" for {rule.for_s:.0f} s" if rule.for_s else "")),
            f"`{rule.expression}`",
            rule.about or "the platform",
        )
        for rule in ALERT_RULES
    ]
    silent = f"`{SILENT_EXPRESSION}` for {SILENT_FOR_S:.0f} s"
    rows.append((f"[`{SILENT}`]({_link(SILENT_RUNBOOK)})", "critical", silent, "", "the platform"))
    head = ("alert", "severity", "fires when", "the reading", "about")
    return "\n".join(["# Alerts\n", f"{WRITTEN}\n", INTRODUCTION, table(head, rows)])


def _link(runbook: str) -> str:
    return "../" + runbook.removeprefix("ops/docs/")
