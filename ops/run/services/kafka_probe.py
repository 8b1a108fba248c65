"""Asks a broker for its metadata, and logs nothing while the broker is still starting."""

from confluent_kafka import KafkaException

from connectors.kafka_clients import new_admin
from connectors.settings import Settings

PROBE_TIMEOUT_S = 1.0


def brokers_known(cluster: Settings | str, *, timeout_s: float = PROBE_TIMEOUT_S) -> int:
    """The number of brokers in the cluster, by its own answer; 0 without an answer in time."""
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
