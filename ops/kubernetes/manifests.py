"""The manifests: what compose.yaml says of our processes, as Kubernetes says it, with probes, budgets and policies.

`python -m ops.kubernetes` writes `ops/kubernetes/base/`. With `--check` it writes nothing, names each file that
compose.yaml no longer gives, and exits with 1.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
BASE = Path(__file__).parent / "base"
HEAD = "# Written by `python -m ops.kubernetes` from compose.yaml. Change it there, or in an overlay.\n"
USER = 10_001  # as in the Dockerfile
DATAFLOWS = ("reservations", "read-side", "payments")
SCALED = ("reservations", "read-side")  # by their lag
SECRETS = (
    "CIRCLE_POSTGRES_URL", "CIRCLE_REDIS_URL", "CIRCLE_STRIPE_API_KEY", "CIRCLE_STRIPE_WEBHOOK_SECRET",
    "CIRCLE_OPERATOR_TOKEN", "CIRCLE_SMTP_URL",
)  # fmt: skip
LAG_GOAL_S = 2  # a flow gets another process when its oldest record has waited longer
CPU_GOAL = 60  # percent of the CPU that an API process asks for
API_MAX = 20
REQUESTS = {"cpu": "500m", "memory": "512Mi"}
LIMITS = {"memory": "1Gi"}  # no limit of CPU: a throttled worker holds its partition
OBSERVERS = {"circle.monitoring": "true"}  # the label of the namespace whose pods may read metrics
PUBLIC = {"circle.ingress": "true"}  # the label of the namespace whose pods may call the API
PEERS = {"kafka": 9092, "postgres": 5432, "redis": 6379, "mailpit": 1025}  # ports of the services, as in compose.yaml
SECONDS = {"s": 1, "m": 60}
Manifest = dict[str, Any]


def manifests(compose: Manifest) -> dict[str, list[Manifest]]:
    """The manifests by file name."""
    api = compose["services"]["api"]
    return {
        "configuration.yaml": [_config(compose), _account()],
        "prepare.yaml": [_prepare(compose)],
        "api.yaml": [_api(api), *_api_services(), _budget("api"), _api_scaling()],
        "dataflows.yaml": [
            one
            for name in DATAFLOWS
            for one in (_dataflow(name, compose["services"][name]), _headless(name), _budget(name))
        ],
        "scaling.yaml": [_lag_scaling(name, compose) for name in SCALED],
        "policies.yaml": list(_policies()),
        "kustomization.yaml": [_kustomization(compose)],
    }


def texts(compose: Manifest) -> dict[str, str]:
    """The same as the text of each file."""
    return {
        name: HEAD + "---\n".join(yaml.safe_dump(one, sort_keys=False, width=120) for one in documents)
        for name, documents in manifests(compose).items()
    }


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    wanted = texts(yaml.safe_load((ROOT / "compose.yaml").read_text()))
    stale = [name for name, text in wanted.items() if not _is(BASE / name, text)]
    if "--check" in arguments:
        for name in stale:
            print(f"{BASE / name} is not what compose.yaml gives: python -m ops.kubernetes", file=sys.stderr)
        return 1 if stale else 0
    BASE.mkdir(exist_ok=True)
    for name in stale:
        (BASE / name).write_text(wanted[name])
        print(f"wrote {name}")
    return 0


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text


# --- configuration --------------------------------------------------------------------------------------------------


def _config(compose: Manifest) -> Manifest:
    environment = {
        name: _default(str(value))
        for name, value in compose["services"]["reservations"]["environment"].items()
        if name not in SECRETS
    }
    environment |= {"CIRCLE_ENV": "production", "CIRCLE_PAYMENTS": "stripe"}
    environment.pop("CIRCLE_ALLOW_INSECURE")  # in production a service in clear stops the start
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta("circle"), "data": environment}


def _account() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _meta("circle"),
        "automountServiceAccountToken": False,
    }


def _kustomization(compose: Manifest) -> Manifest:
    name, tag = _default(compose["services"]["api"]["image"]).rsplit(":", 1)
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [
            "configuration.yaml", "prepare.yaml", "api.yaml", "dataflows.yaml", "scaling.yaml", "policies.yaml",
        ],
        "images": [{"name": name, "newTag": tag}],
    }  # fmt: skip


def _default(value: str) -> str:
    """The value that compose takes where its variable is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


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
        "metadata": _meta("prepare"),
        "spec": {
            "backoffLimit": 6,
            "ttlSecondsAfterFinished": 86_400,
            "template": {"metadata": {"labels": _labels("prepare")}, "spec": pod},
        },
    }


def _api(service: Manifest) -> Manifest:
    pod = _pod("api", service)
    environment = service["environment"]
    operators = int(environment["CIRCLE_OPERATOR_PORT"])
    pod["containers"][0] |= {
        "args": service["command"],
        "ports": [
            {"name": "http", "containerPort": _option(service["command"], "--port")},
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
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta("api"), "spec": spec}


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
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": _meta(name), "spec": spec}


def _template(name: str, pod: Manifest) -> Manifest:
    return {
        "selector": {"matchLabels": _labels(name)},
        "template": {"metadata": {"labels": _labels(name)}, "spec": pod},
    }


def _pod(name: str, service: Manifest) -> Manifest:
    image = _default(service["image"]).rsplit(":", 1)[0]
    return {
        "serviceAccountName": "circle",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": _seconds(service["stop_grace_period"]),
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
                "labelSelector": {"matchLabels": _labels(name)},
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
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
            {"name": "keys", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
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
        "periodSeconds": _seconds(health["interval"]),
        "timeoutSeconds": _seconds(health["timeout"]),
        "failureThreshold": health["retries"],
    }


# --- reaching, keeping and scaling them -----------------------------------------------------------------------------


def _api_services() -> Iterator[Manifest]:
    for name, port, target in (("api", 80, "http"), ("api-operators", 8001, "operators")):
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta(name),
            "spec": {"selector": _labels("api"), "ports": [{"name": target, "port": port, "targetPort": target}]},
        }


def _headless(name: str) -> Manifest:
    spec = {"clusterIP": "None", "selector": _labels(name)}
    port = {"name": "metrics", "port": 9100, "targetPort": "metrics"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name), "spec": spec | {"ports": [port]}}


def _budget(name: str) -> Manifest:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _labels(name)}},
    }


def _api_scaling() -> Manifest:
    goal = {"type": "Utilization", "averageUtilization": CPU_GOAL}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": goal}}
    return _scaling("api", "Deployment", 2, API_MAX, metric)


def _lag_scaling(name: str, compose: Manifest) -> Manifest:
    """As many processes as keep the lag below its goal, at most one for each partition."""
    service = compose["services"][name]
    partitions = int(_default(str(service["environment"]["CIRCLE_PARTITIONS"])))
    metric = {
        "type": "External",
        "external": {
            "metric": {"name": "circle_lag_seconds", "selector": {"matchLabels": {"flow": name}}},
            "target": {"type": "Value", "value": str(LAG_GOAL_S)},
        },
    }
    least = service.get("deploy", {}).get("replicas", 1)
    return _scaling(name, "StatefulSet", least, partitions, metric)


def _scaling(name: str, kind: str, least: int, most: int, metric: Manifest) -> Manifest:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _meta(name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [metric],
            # Each change of a group's members stops its partitions for a moment, so it shrinks slowly.
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
        },
    }


# --- who may speak to whom ------------------------------------------------------------------------------------------


def _policies() -> Iterator[Manifest]:
    yield _policy("default-deny", {}, {"policyTypes": ["Ingress", "Egress"]})
    dns = {
        "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }
    services = {"ports": [{"protocol": "TCP", "port": PEERS[name]} for name in ("kafka", "postgres", "redis")]}
    yield _policy("to-services", {}, {"policyTypes": ["Egress"], "egress": [dns, services]})
    yield _policy(
        "to-the-api",
        _labels("api"),
        {
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"namespaceSelector": {"matchLabels": PUBLIC}}], "ports": [_tcp("http")]},
                {"from": [{"namespaceSelector": {"matchLabels": OBSERVERS}}], "ports": [_tcp("operators")]},
            ],
        },
    )
    yield _policy(
        "to-the-metrics",
        {},
        {
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": OBSERVERS}}], "ports": [_tcp("metrics")]}],
        },
    )
    mail = [_tcp(port) for port in (25, 465, 587, PEERS["mailpit"])]
    yield _policy(  # mails and webhooks
        "from-the-read-side",
        _labels("read-side"),
        {"policyTypes": ["Egress"], "egress": [{"ports": [*mail, _tcp(443)]}]},
    )
    yield _policy(  # the payment provider
        "from-payments", _labels("payments"), {"policyTypes": ["Egress"], "egress": [{"ports": [_tcp(443)]}]}
    )


def _policy(name: str, pods: dict[str, str], rules: Manifest) -> Manifest:
    selector = {"podSelector": {"matchLabels": pods} if pods else {}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(name),
        "spec": selector | rules,
    }


def _tcp(port: int | str) -> Manifest:
    return {"protocol": "TCP", "port": port}


# --- parts ----------------------------------------------------------------------------------------------------------


def _meta(name: str) -> Manifest:
    return {"name": name, "labels": {"app.kubernetes.io/part-of": "general-circle"}}


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "general-circle"}


def _seconds(text: str) -> int:
    """A duration of compose.yaml in seconds."""
    return int(text[:-1]) * SECONDS[text[-1]]


def _option(command: list[str], name: str) -> int:
    return int(command[command.index(name) + 1])
