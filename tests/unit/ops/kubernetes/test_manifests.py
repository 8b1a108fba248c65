"""The Kubernetes manifests are valid, say what compose.yaml says, and give no process more than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ops.cli.main import run
from ops.kubernetes import manifests as module
from ops.kubernetes.manifests import ADAPTER, BASE, DATAFLOWS, LAG, SCALED, SECRETS, manifests
from pipelines.configuration import settings_from_env
from pipelines.monitoring.survey import FLOWS
from tests.harness.prometheus import promtool

ROOT = Path(__file__).parents[4]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
EVERY = [one for file in manifests(COMPOSE).values() for one in file]
KUBERNETES = [one for one in EVERY if one["kind"] != "Kustomization"]
PROCESSES = [one for one in EVERY if one["kind"] in ("Deployment", "StatefulSet")]
PODS = [one["spec"]["template"]["spec"] for one in EVERY if "template" in one.get("spec", {})]
VERSION = "1.33"


def named(kind: str, name: str) -> dict[str, Any]:
    return next(one for one in EVERY if (one["kind"], one["metadata"]["name"]) == (kind, name))


@pytest.mark.parametrize("manifest", KUBERNETES, ids=lambda one: f"{one['kind']}/{one['metadata']['name']}")
def test_each_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_wrong_manifest_would_be_found() -> None:
    wrong = {**named("Deployment", "api"), "spec": {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_files_are_what_compose_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert module.main(["--check"]) == 0, capsys.readouterr().err
    assert {file.name for file in BASE.iterdir()} == set(manifests(COMPOSE))


def test_a_change_of_compose_makes_a_file_stale() -> None:
    other = yaml.safe_load(yaml.safe_dump(COMPOSE))
    other["services"]["reservations"]["healthcheck"]["retries"] += 1
    assert module.texts(other)["dataflows.yaml"] != module.texts(COMPOSE)["dataflows.yaml"]


def test_every_process_of_compose_runs_with_its_command() -> None:
    assert {one["metadata"]["name"] for one in PROCESSES} == {"api", *DATAFLOWS}
    for process in PROCESSES:
        container = process["spec"]["template"]["spec"]["containers"][0]
        assert container["args"] == COMPOSE["services"][process["metadata"]["name"]]["command"]
        assert run([*container["args"], "--help"]) == 0


def test_the_configuration_starts_in_production_once_the_secrets_are_there(tmp_path: Path) -> None:
    key = tmp_path / "jwt.pem"
    key.write_text("key")
    key.chmod(0o600)
    data = dict(named("ConfigMap", "circle")["data"])
    assert not set(data) & set(SECRETS)
    data["CIRCLE_JWT_KEY_FILE"] = str(key)
    secret = {
        "CIRCLE_POSTGRES_URL": "postgresql://circle:d93kd9@postgres:5432/circle?sslmode=verify-full",
        "CIRCLE_REDIS_URL": "rediss://:d93kd9@redis:6379/0",
        "CIRCLE_STRIPE_API_KEY": "sk_live_x",
        "CIRCLE_STRIPE_WEBHOOK_SECRET": "whsec_x",
        "CIRCLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "CIRCLE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "CIRCLE_KAFKA_SASL_USERNAME": "circle",
        "CIRCLE_KAFKA_SASL_PASSWORD": "d93kd9",
    }
    assert settings_from_env({**data, **secret}).production


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: str(pod["containers"][0]["name"]))
def test_no_process_has_more_than_it_needs(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    for container in (*pod["initContainers"], *pod["containers"]):
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"]
        assert confined["capabilities"] == {"drop": ["ALL"]}
        assert not confined["allowPrivilegeEscalation"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])


@pytest.mark.parametrize("process", PROCESSES, ids=lambda one: str(one["metadata"]["name"]))
def test_every_process_has_probes_and_a_budget(process: dict[str, Any]) -> None:
    container = process["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    budget = named("PodDisruptionBudget", process["metadata"]["name"])
    assert budget["spec"]["selector"]["matchLabels"] == process["spec"]["selector"]["matchLabels"]


@pytest.mark.parametrize("name", SCALED)
def test_a_flow_scales_on_its_lag_in_seconds_up_to_its_partitions(name: str) -> None:
    spec = named("HorizontalPodAutoscaler", name)["spec"]
    reference = (ROOT / "ops/docs/reference/metrics.md").read_text()
    assert "| `circle_lag_seconds` | gauge | `flow`, `topic` |" in reference
    assert {one["external"]["metric"]["name"] for one in spec["metrics"]} == {"circle_lag_seconds"}
    assert spec["maxReplicas"] == int(named("ConfigMap", "circle")["data"]["CIRCLE_PARTITIONS"])
    assert "replicas" not in named("StatefulSet", name)["spec"], "the autoscaler owns the number"


def test_the_lags_that_count_are_those_of_the_flows_that_a_process_runs() -> None:
    selected = {
        name: [
            one["external"]["metric"]["selector"]["matchLabels"]["flow"]
            for one in named("HorizontalPodAutoscaler", name)["spec"]["metrics"]
        ]
        for name in SCALED
    }
    assert selected == {
        "reservations": ["circle.reservations"],
        "read-side": ["circle.projections", "circle.notifications", "circle.monitoring"],
    }
    assert {flow for flows in selected.values() for flow in flows} == set(FLOWS) - {"circle.payments"}


Samples = list[tuple[str, int]]


def query_gives(directory: Path, series: Samples, query: str, expected: Samples) -> None:
    """By promtool: these series give these samples to the query, and no other."""
    moment = {"expr": query, "exp_samples": [{"labels": labels, "value": value} for labels, value in expected]}
    given = [{"series": labels, "values": str(value)} for labels, value in series]
    file = directory / "queries.yml"
    file.write_text(yaml.safe_dump({"tests": [{"input_series": given, "promql_expr_test": [moment]}]}))
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("name", SCALED)
def test_the_adapter_gives_one_lag_for_each_flow_however_many_processes_measure_it(name: str, tmp_path: Path) -> None:
    (rule,) = yaml.safe_load(ADAPTER.read_text())["rules"]["external"]
    lags = {"a": (7, 3), "b": (9, 2)}  # of two read-side processes, at slightly different times
    for one in named("HorizontalPodAutoscaler", name)["spec"]["metrics"]:
        metric = one["external"]["metric"]
        assert metric["name"] == rule["name"]["as"]
        flow = metric["selector"]["matchLabels"]["flow"]
        series = [
            (f'{LAG}{{flow="{of}", topic="tickets.facts", pod="{pod}"}}', lag)
            for pod, both in lags.items()
            for of, lag in zip((flow, "circle.payments"), both, strict=True)
        ]
        asked = rule["metricsQuery"].replace("<<.Series>>", LAG).replace("<<.LabelMatchers>>", f'flow="{flow}"')
        assert "<<" not in asked
        query_gives(tmp_path, series, asked, [(f'{{flow="{flow}"}}', 9)])
        query_gives(tmp_path, series, f'{LAG}{{flow="{flow}"}}', [(series[0][0], 7), (series[2][0], 9)])
        assert "<<" not in rule["seriesQuery"]
        query_gives(tmp_path, series, rule["seriesQuery"], series)


def policies() -> dict[str, Any]:
    return {one["metadata"]["name"]: one["spec"] for one in EVERY if one["kind"] == "NetworkPolicy"}


def test_only_named_pods_are_reached_and_nothing_is_open_by_default() -> None:
    assert policies()["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(rule["from"] for rule in policies()["to-the-api"]["ingress"])


def test_those_leave_the_cluster_that_ask_the_payment_provider_or_send_mails_and_webhooks() -> None:
    leaving = {
        spec["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for spec in policies().values() for rule in spec.get("egress", []) for port in rule["ports"]
        if port["port"] == 443
    }  # fmt: skip
    assert leaving == {"read-side", "payments", "api"}


def test_every_process_reaches_each_service_that_its_configuration_can_name() -> None:
    spec = policies()["to-services"]
    assert spec["podSelector"] == {}
    open_ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
    postgres, redis, registry = (COMPOSE["services"][name] for name in ("postgres", "redis", "schema-registry"))
    published = {int(one["ports"][0].rpartition(":")[2]) for one in (postgres, redis, registry)}
    assert published == {5432, 6379, 8081}
    collector = 4318  # OpenTelemetry's own, for OTEL_EXPORTER_OTLP_ENDPOINT
    assert open_ports == {53, 9092, collector, *published}


@pytest.mark.parametrize(
    ("service", "variable", "address", "file"),
    [
        ("reservations", "CIRCLE_KAFKA_BOOTSTRAP_SERVERS", "kafka:9999", "policies.yaml"),
        ("reservations", "CIRCLE_SMTP_URL", "smtp://mailpit:9999", "policies.yaml"),
        ("schema-registry", "QUARKUS_HTTP_PORT", "9999", "policies.yaml"),
        ("reservations", "CIRCLE_METRICS_PORT", "9999", "dataflows.yaml"),
        ("api", "CIRCLE_OPERATOR_PORT", "9999", "api.yaml"),
    ],
)
def test_a_port_is_the_one_of_compose(service: str, variable: str, address: str, file: str) -> None:
    other = yaml.safe_load(yaml.safe_dump(COMPOSE))
    other["services"][service]["environment"][variable] = address
    assert "9999" not in module.texts(COMPOSE)[file]
    assert "port: 9999" in module.texts(other)[file]


def test_a_pod_runs_as_the_user_of_the_image() -> None:
    assert f"\nUSER {module.USER}:{module.USER}\n" in (ROOT / "Dockerfile").read_text()
