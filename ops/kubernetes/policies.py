"""Who may speak to whom: no pod, but those that a policy names."""

from __future__ import annotations

from collections.abc import Iterator

from ops.kubernetes.parts import Manifest, environment_of, labels, meta, port_of

HTTPS = 443
MAIL_PORTS = (25, 465, 587)  # and the one that compose.yaml sends mails to
OTLP_PORT = 4318  # OpenTelemetry's own for HTTP
OBSERVERS = {"circle.monitoring": "true"}  # the label of the namespace whose pods may read metrics
PUBLIC = {"circle.ingress": "true"}  # the label of the namespace whose pods may call the API


def policies(compose: Manifest) -> Iterator[Manifest]:
    """The network policies of all parts: everything is forbidden first."""
    yield _policy("default-deny", {}, {"policyTypes": ["Ingress", "Egress"]})
    dns = {
        "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }
    services = {"ports": [_tcp(port) for port in _service_ports(compose)]}
    yield _policy("to-services", {}, {"policyTypes": ["Egress"], "egress": [dns, services]})
    yield _policy(
        "to-the-api",
        labels("api"),
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
    mail = {*MAIL_PORTS, port_of(environment_of(compose)["CIRCLE_SMTP_URL"])}
    yield _policy(  # mails and webhooks
        "from-the-read-side",
        labels("read-side"),
        {"policyTypes": ["Egress"], "egress": [{"ports": [_tcp(port) for port in sorted({*mail, HTTPS})]}]},
    )
    for name in ("payments", "api"):  # the payment provider; the API asks it whose payment a webhook is about
        yield _policy(f"from-{name}", labels(name), {"policyTypes": ["Egress"], "egress": [{"ports": [_tcp(HTTPS)]}]})


def _service_ports(compose: Manifest) -> list[int]:
    """The ports of the services that every process may ask: those of compose.yaml, and a collector of traces."""
    environment = environment_of(compose)
    named = ("CIRCLE_KAFKA_BOOTSTRAP_SERVERS", "CIRCLE_POSTGRES_URL", "CIRCLE_REDIS_URL")
    registry = int(compose["services"]["schema-registry"]["environment"]["QUARKUS_HTTP_PORT"])
    return [*(port_of(environment[name]) for name in named), registry, OTLP_PORT]


def _policy(name: str, pods: dict[str, str], rules: Manifest) -> Manifest:
    selector = {"podSelector": {"matchLabels": pods} if pods else {}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(name),
        "spec": selector | rules,
    }


def _tcp(port: int | str) -> Manifest:
    return {"protocol": "TCP", "port": port}
