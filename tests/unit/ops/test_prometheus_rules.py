"""The rules for Prometheus: promtool accepts them, and each alert fires on its fault, at its time, and resolves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.reference.alerts import SILENT, SILENT_RUNBOOK, prometheus_rules
from ops.reference.dashboards import DASHBOARDS, dashboard
from ops.reference.system import metric_names
from pipelines.monitoring.alert_rules import ALERT_RULES, AlertName, AlertRule
from tests.harness.prometheus import promtool
from tests.unit.docs.pages import ROOT, text_of

RULES = ROOT / "ops" / "prometheus" / "rules.yml"
STEP_S = 5
WRONG_STEPS = 24  # two minutes, longer than each alert's time
DAY_S = 86_400

# What Prometheus would scrape: a series that is right, and the value that is wrong.
SERIES: dict[AlertName, tuple[str, float, float]] = {
    AlertName.LAG: ('circle_lag_seconds{flow="circle.payments", topic="tickets.facts"}', 2, 11),
    AlertName.STALL: ('circle_stalled_seconds{flow="circle.payments", topic="tickets.facts"}', 0, 61),
    AlertName.AGE: ("circle_facts_behind_seconds", 1, 31),
    AlertName.ERRORS: ("circle_api_errors_recent", 0, 1),
    AlertName.UNAVAILABLE: ("circle_api_unavailable_ratio", 0.05, 0.06),
    AlertName.TRIPWIRE: ('circle_flow_deaths_recent{flow="read-side", kind="TripwireBroken"}', 0, 1),
    AlertName.OVERSELL: ("circle_oversold_places", 0, 1),
    AlertName.DIVERGENCE: ("circle_verified_divergences", 0, 1),
    AlertName.DEAD_LETTERS: ('circle_dead_letters{topic="tickets.facts"}', 0, 1),
    AlertName.KEEPS_DYING: ('circle_flow_dying{flow="payments"}', 0, 1),
    AlertName.CERTIFICATE: (
        'circle_certificate_expiry_timestamp_seconds{file="/etc/ca.pem"}',
        30 * DAY_S,
        13 * DAY_S,
    ),
    AlertName.DISK: ('circle_disk_free_bytes{path="/data"}', 50, 9),
    AlertName.TIME_SKEW: ('circle_clock_skew_seconds{service="redis"}', -1.9, -2.1),
}
READ = {AlertName.DISK: "0.09", AlertName.TIME_SKEW: "2.1", AlertName.CERTIFICATE: "13"}
"""Readings that are not the series' own value, as the summary shows them."""
ALWAYS = {AlertName.DISK: [{"series": 'circle_disk_size_bytes{path="/data"}', "values": "100x200"}]}


def test_promtool_accepts_the_rules_and_the_file_is_that_of_the_code() -> None:
    promtool("check", "rules", str(RULES))
    assert RULES.read_text() == prometheus_rules()


def test_promtool_accepts_the_configuration_of_the_docker_stack(tmp_path: Path) -> None:
    config = tmp_path / "prometheus.yml"
    text = (ROOT / "ops/prometheus/prometheus.yml").read_text()
    config.write_text(text.replace("/etc/prometheus/rules.yml", str(RULES)))
    promtool("check", "config", str(config))


@pytest.mark.parametrize("rule", ALERT_RULES, ids=lambda rule: rule.name)
def test_an_alert_fires_when_its_reading_is_wrong_for_its_time_and_resolves(rule: AlertRule, tmp_path: Path) -> None:
    series, right, wrong = SERIES[rule.name]
    before = 12
    values = f"{right}x{before - 1} {wrong}x{WRONG_STEPS - 1} {right}x{before}"
    began_s, ended_s = before * STEP_S, (before + WRONG_STEPS) * STEP_S
    labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
    about = {rule.about: labels[rule.about]} if rule.about else {}
    text = rule.summary.format(about=labels.get(rule.about, ""), value=READ.get(rule.name, f"{wrong:.4g}"))
    fires = {
        "exp_labels": {"severity": rule.severity.value} | about,
        "exp_annotations": {"summary": text, "runbook": rule.runbook},
    }

    def at(second: float, alerts: list[dict[str, Any]]) -> dict[str, Any]:
        return {"eval_time": f"{second:.0f}s", "alertname": rule.name.value, "exp_alerts": alerts}

    moments = [at(began_s - STEP_S, []), at(ended_s + STEP_S, [])]
    if rule.for_s:
        moments += [at(began_s + rule.for_s - STEP_S, [])]
    moments += [at(began_s + rule.for_s + STEP_S, [fires])]
    check(
        tmp_path,
        [
            {
                "interval": f"{STEP_S}s",
                "input_series": [{"series": series, "values": values}, *ALWAYS.get(rule.name, [])],
                "alert_rule_test": moments,
            }
        ],
    )


def test_prometheus_says_when_monitoring_is_silent(tmp_path: Path) -> None:
    def moment(second: int, fires: bool) -> dict[str, Any]:
        labels = {"exp_labels": {"severity": "critical"}}
        return {"eval_time": f"{second}s", "alertname": SILENT, "exp_alerts": [labels] if fires else []}

    alerts = yaml.safe_load(prometheus_rules())["groups"][1]["rules"]
    annotations = next(one["annotations"] for one in alerts if one["alert"] == SILENT)
    moments = [moment(60, fires=False), moment(300, fires=True)]
    for one in moments:
        for alert in one["exp_alerts"]:
            alert["exp_annotations"] = annotations
    looks = " ".join(str(second) for second in range(0, 65, 5))
    series = [{"series": "circle_survey_timestamp_seconds", "values": f"{looks} 60x60"}]
    check(tmp_path, [{"interval": "5s", "input_series": series, "alert_rule_test": moments}])


def check(directory: Path, tests: list[dict[str, Any]]) -> None:
    file = directory / "test.yml"
    whole = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s", "tests": tests}
    text = yaml.safe_dump(whole)
    file.write_text(text)
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("runbook", [*(rule.runbook for rule in ALERT_RULES), SILENT_RUNBOOK])
def test_each_alert_has_a_runbook_that_says_what_to_do(runbook: str) -> None:
    page = text_of(runbook)
    for part in ("**What it means.**", "**Look at**", "**What to do.**", "**It resolves**"):
        assert part in page, part
    names = {rule.runbook: rule.name.value for rule in ALERT_RULES} | {SILENT_RUNBOOK: SILENT}
    assert page.startswith(f"# {names[runbook]}\n")


def test_no_runbook_is_of_an_alert_that_does_not_exist() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ops/docs/runbooks").glob("*.md")}
    assert there == {*(rule.runbook for rule in ALERT_RULES), SILENT_RUNBOOK}


def test_rules_dashboards_and_runbooks_name_metrics_that_exist() -> None:
    exist = metric_names()
    runbooks = (path.read_text() for path in (ROOT / "ops/docs/runbooks").glob("*.md"))
    for text in (prometheus_rules(), *map(dashboard, DASHBOARDS), *runbooks):
        for name in re.findall(r"\bcircle_\w+", text):
            assert name in exist or re.sub(r"_(bucket|sum|count)$", "", name) in exist, name


def test_the_files_of_the_dashboards_are_those_of_the_code_and_provisioned() -> None:
    for path in (ROOT / "ops/grafana/dashboards").glob("*.json"):
        assert path.read_text() == dashboard(path.stem)
        assert json.loads(path.read_text())["uid"] == f"general-circle-{path.stem}"
    assert {path.stem for path in (ROOT / "ops/grafana/dashboards").glob("*.json")} == set(DASHBOARDS)
