"""Asks a broker for its metadata, quietly: a broker that is still starting is no news."""

from confluent_kafka import KafkaException

from connectors.kafka_clients import new_admin
from connectors.settings import Settings

PROBE_TIMEOUT_S = 1.0


def brokers_known(cluster: Settings | str, *, timeout_s: float = PROBE_TIMEOUT_S) -> int:
    """How many brokers the cluster says it has; 0 when nobody answers in time."""
    settings = Settings(kafka_bootstrap_servers=cluster) if isinstance(cluster, str) else cluster
    client = new_admin(
        settings,
        {
            "socket.connection.setup.timeout.ms": 1_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
        },
        quiet=True,
    )
    try:
        return len(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return 0
