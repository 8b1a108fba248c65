"""The manifests: what compose.yaml says of our processes, as Kubernetes says it, with probes, budgets and policies.

`python -m ops.kubernetes` writes `ops/kubernetes/base/`, and for Prometheus' adapter the rule that the autoscalers
need. With `--check` it writes nothing, names each file that compose.yaml no longer gives, and exits with 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from ops.kubernetes.parts import Manifest, default, environment_of, labels, meta, option, seconds
from ops.kubernetes.policies import policies
from pipelines.monitoring.survey import STORING

ROOT = Path(__file__).parents[2]
BASE = Path(__file__).parent / "base"
ADAPTER = Path(__file__).with_name("prometheus-adapter.yaml")
HEAD = "# Written by `python -m ops.kubernetes` from compose.yaml. Change it there, or in an overlay.\n"
ADAPTER_HEAD = """\
# Written by `python -m ops.kubernetes`: values for the Helm chart of Prometheus' adapter, which gives scaling.yaml its
# external metric. The rule is the same in the adapter's own configuration, under `externalRules`.
"""
USER = 10_001  # as in the Dockerfile
DATAFLOWS = ("reservations", "read-side", "payments")
SCALED = {"reservations": ("circle.reservations",), "read-side": tuple(f"circle.{name}" for name in STORING)}
"""The processes whose number follows the lag, with the flows that each runs, by their name in the metrics."""
LAG = "circle_lag_seconds"  # of each flow, from each process that measures them all
SECRETS = (
    "CIRCLE_POSTGRES_URL", "CIRCLE_REDIS_URL", "CIRCLE_STRIPE_API_KEY", "CIRCLE_STRIPE_WEBHOOK_SECRET",
    "CIRCLE_OPERATOR_TOKEN", "CIRCLE_SMTP_URL",
)  # fmt: skip
# What compose.yaml does not say:
LAG_GOAL_S = 2  # a flow gets another process when its oldest record has waited longer
CPU_GOAL = 60  # percent of the CPU that an API process asks for
API_MIN, API_MAX = 2, 20
SHRINK_AFTER_S = 600  # each change of a group's members stops its partitions for a moment, so it shrinks slowly
REQUESTS = {"cpu": "500m", "memory": "512Mi"}
LIMITS = {"memory": "1Gi"}  # no limit of CPU: a throttled worker holds its partition
TMP_SIZE, KEYS_SIZE = "128Mi", "1Mi"
PREPARE_TRIES, PREPARE_KEPT_S = 6, 86_400
SERVICE_PORT = 80  # of the API within the cluster


def manifests(compose: Manifest) -> dict[str, list[Manifest]]:
    """The manifests by file name."""
    api = compose["services"]["api"]
    return {
        "configuration.yaml": [_config(compose), _account()],
        "prepare.yaml": [_prepare(compose)],
        "api.yaml": [_api(api), *_api_services(api), _budget("api"), _api_scaling()],
        "dataflows.yaml": [
            one
            for name in DATAFLOWS
            for one in (_dataflow(name, compose["services"][name]), _headless(name, compose), _budget(name))
        ],
        "scaling.yaml": [_lag_scaling(name, compose) for name in SCALED],
        "policies.yaml": list(policies(compose)),
        "kustomization.yaml": [_kustomization(compose)],
    }


def texts(compose: Manifest) -> dict[str, str]:
    """The same as the text of each file."""
    return {
        name: HEAD + "---\n".join(yaml.safe_dump(one, sort_keys=False, width=120) for one in documents)
        for name, documents in manifests(compose).items()
    }


def adapter_rules() -> Manifest:
    """The rule of Prometheus' adapter (of its Helm chart's values) that makes the lag an external metric.

    Several processes export the lag of the same flow, and an autoscaler adds up all series that it gets. So the query
    takes the largest one of each flow.
    """
    rule = {
        "seriesQuery": f'{LAG}{{flow!=""}}',
        "resources": {"namespaced": False},  # a scraper may give the series no label of their namespace
        "name": {"as": LAG},
        "metricsQuery": "max by (flow) (<<.Series>>{<<.LabelMatchers>>})",
    }
    return {"rules": {"external": [rule]}}


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    wanted = {BASE / name: text for name, text in texts(yaml.safe_load((ROOT / "compose.yaml").read_text())).items()}
    wanted[ADAPTER] = ADAPTER_HEAD + yaml.safe_dump(adapter_rules(), sort_keys=False, width=120)
    stale = [file for file, text in wanted.items() if not _is(file, text)]
    if "--check" in arguments:
        for file in stale:
            print(f"{file} is not what compose.yaml gives: python -m ops.kubernetes", file=sys.stderr)
        return 1 if stale else 0
    BASE.mkdir(exist_ok=True)
    for file in stale:
        file.write_text(wanted[file])
        print(f"wrote {file.name}")
    return 0


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


# --- configuration --------------------------------------------------------------------------------------------------


def _config(compose: Manifest) -> Manifest:
    environment = {name: value for name, value in environment_of(compose).items() if name not in SECRETS}
    environment |= {"CIRCLE_ENV": "production", "CIRCLE_PAYMENTS": "stripe"}
    environment.pop("CIRCLE_ALLOW_INSECURE")  # in production a service in clear stops the start
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("circle"), "data": environment}


def _account() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta("circle"),
        "automountServiceAccountToken": False,
    }


def _kustomization(compose: Manifest) -> Manifest:
    name, tag = default(compose["services"]["api"]["image"]).rsplit(":", 1)
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [
            "configuration.yaml", "prepare.yaml", "api.yaml", "dataflows.yaml", "scaling.yaml", "policies.yaml",
        ],
        "images": [{"name": name, "newTag": tag}],
    }  # fmt: skip


# --- processes ------------------------------------------------------------------------------------------------------


def _prepare(compose: Manifest) -> Manifest:
    """The tables and topics, before each new version; the key is a secret that exists."""
    script = [line for line in compose["services"]["prepare"]["command"][0].splitlines() if "keys create" not in line]
    pod = _pod("prepare", compose["services"]["prepare"])
    pod["restartPolicy"] = "OnFailure"
    pod["containers"][0] |= {"command": ["/bin/sh", "-ec"], "args": ["\n".join(script)]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta("prepare"),
        "spec": {
            "backoffLimit": PREPARE_TRIES,
            "ttlSecondsAfterFinished": PREPARE_KEPT_S,
            "template": {"metadata": {"labels": labels("prepare")}, "spec": pod},
        },
    }


def _api(service: Manifest) -> Manifest:
    pod = _pod("api", service)
    environment = service["environment"]
    operators = int(environment["CIRCLE_OPERATOR_PORT"])
    pod["containers"][0] |= {
        "args": service["command"],
        "ports": [
            {"name": "http", "containerPort": option(service["command"], "--port")},
            {"name": "operators", "containerPort": operators},
        ],
        "startupProbe": _probe(service, "/healthz", "http"),
        "livenessProbe": _probe(service, "/healthz", "http"),
        "readinessProbe": _probe(service, "/readyz", "http"),
    }
    pod["containers"][0]["env"] += [
        {"name": name, "value": str(environment[name])} for name in ("CIRCLE_OPERATOR_PORT", "CIRCLE_OPERATOR_HOST")
    ]
    spec = _template("api", pod) | {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("api"), "spec": spec}


def _dataflow(name: str, service: Manifest) -> Manifest:
    """A set with stable names: a killed process is known by its successor of the same name."""
    pod = _pod(name, service)
    pod["containers"][0] |= {
        "args": service["command"],
        "ports": [{"name": "metrics", "containerPort": int(service["environment"]["CIRCLE_METRICS_PORT"])}],
        "startupProbe": _probe(service, "/metrics", "metrics"),
        "livenessProbe": _probe(service, "/metrics", "metrics"),
        "readinessProbe": _probe(service, "/metrics", "metrics"),
    }
    spec = _template(name, pod) | {
        "serviceName": name,
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
    }
    if name not in SCALED:  # the number of the others is their autoscaler's
        spec |= {"replicas": 1}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta(name), "spec": spec}


def _template(name: str, pod: Manifest) -> Manifest:
    return {
        "selector": {"matchLabels": labels(name)},
        "template": {"metadata": {"labels": labels(name)}, "spec": pod},
    }


def _pod(name: str, service: Manifest) -> Manifest:
    image = default(service["image"]).rsplit(":", 1)[0]
    return {
        "serviceAccountName": "circle",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": seconds(service["stop_grace_period"]),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels(name)},
            }
        ],
        "initContainers": [
            {
                # A secret is mounted for its group, and the platform takes only a key that no one else can read.
                "name": "key",
                "image": image,
                "command": ["/bin/sh", "-ec", "install -m 0600 /secrets/jwt.pem /keys/jwt.pem"],
                "resources": {"requests": dict(REQUESTS), "limits": dict(LIMITS)},
                "securityContext": _confined(service),
                "volumeMounts": [
                    {"name": "secrets", "mountPath": "/secrets", "readOnly": True},
                    {"name": "keys", "mountPath": "/keys"},
                ],
            }
        ],
        "containers": [
            {
                "name": name,
                "image": image,
                "envFrom": [{"configMapRef": {"name": "circle"}}, {"secretRef": {"name": "circle"}}],
                "env": [{"name": "CIRCLE_INSTANCE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"requests": dict(REQUESTS), "limits": dict(LIMITS)},
                "securityContext": _confined(service),
                "volumeMounts": [
                    {"name": "tmp", "mountPath": service["tmpfs"][0]},
                    {"name": "keys", "mountPath": "/keys", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP_SIZE}},
            {"name": "keys", "emptyDir": {"medium": "Memory", "sizeLimit": KEYS_SIZE}},
            {"name": "secrets", "secret": {"secretName": "circle-keys", "defaultMode": 0o440}},
        ],
    }


def _confined(service: Manifest) -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": service["read_only"],
        "capabilities": {"drop": service["cap_drop"]},
    }


def _probe(service: Manifest, path: str, port: str) -> Manifest:
    health = service["healthcheck"]
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": seconds(health["interval"]),
        "timeoutSeconds": seconds(health["timeout"]),
        "failureThreshold": health["retries"],
    }


# --- reaching, keeping and scaling them -----------------------------------------------------------------------------


def _api_services(service: Manifest) -> Iterator[Manifest]:
    operators = int(service["environment"]["CIRCLE_OPERATOR_PORT"])
    for name, port, target in (("api", SERVICE_PORT, "http"), ("api-operators", operators, "operators")):
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta(name),
            "spec": {"selector": labels("api"), "ports": [{"name": target, "port": port, "targetPort": target}]},
        }


def _headless(name: str, compose: Manifest) -> Manifest:
    spec = {"clusterIP": "None", "selector": labels(name)}
    number = int(compose["services"][name]["environment"]["CIRCLE_METRICS_PORT"])
    port = {"name": "metrics", "port": number, "targetPort": "metrics"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec | {"ports": [port]}}


def _budget(name: str) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": meta(name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(name)}},
    }


def _api_scaling() -> Manifest:
    goal = {"type": "Utilization", "averageUtilization": CPU_GOAL}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": goal}}
    return _scaling("api", "Deployment", API_MIN, API_MAX, [metric])


def _lag_scaling(name: str, compose: Manifest) -> Manifest:
    """As many processes as keep the lag of each of their flows below its goal, at most one for each partition."""
    service = compose["services"][name]
    partitions = int(default(str(service["environment"]["CIRCLE_PARTITIONS"])))
    metrics = [
        {
            "type": "External",
            "external": {
                "metric": {"name": LAG, "selector": {"matchLabels": {"flow": flow}}},
                "target": {"type": "Value", "value": str(LAG_GOAL_S)},
            },
        }
        for flow in SCALED[name]
    ]
    least = service.get("deploy", {}).get("replicas", 1)
    return _scaling(name, "StatefulSet", least, partitions, metrics)


def _scaling(name: str, kind: str, least: int, most: int, metrics: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta(name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": metrics,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": SHRINK_AFTER_S}},
        },
    }
