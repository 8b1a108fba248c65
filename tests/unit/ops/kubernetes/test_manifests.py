"""The Kubernetes manifests are valid, say what compose.yaml says, and give no process more than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ops.cli.main import run
from ops.kubernetes import manifests as module
from ops.kubernetes.manifests import BASE, DATAFLOWS, SCALED, SECRETS, manifests
from pipelines.configuration import settings_from_env

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
    metric = spec["metrics"][0]["external"]["metric"]
    reference = (ROOT / "ops/docs/reference/metrics.md").read_text()
    assert f"| `{metric['name']}` | gauge | `flow`, `topic` |" in reference
    assert metric["selector"]["matchLabels"] == {"flow": name}
    assert spec["maxReplicas"] == int(named("ConfigMap", "circle")["data"]["CIRCLE_PARTITIONS"])
    assert "replicas" not in named("StatefulSet", name)["spec"], "the autoscaler owns the number"


def test_only_named_pods_are_reached_and_only_two_flows_leave_the_cluster() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in EVERY if one["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    leaving = {
        name for name, spec in policies.items() for rule in spec.get("egress", []) for port in rule["ports"]
        if port["port"] == 443
    }  # fmt: skip
    assert leaving == {"from-the-read-side", "from-payments"}
    callers = policies["to-the-api"]["ingress"]
    assert all(rule["from"] for rule in callers)
