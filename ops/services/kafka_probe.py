"""Asks a broker for its metadata, quietly: a broker that is still starting is no news."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

PROBE_TIMEOUT_S = 1.0


def brokers_known(bootstrap_servers: str, *, timeout_s: float = PROBE_TIMEOUT_S) -> int:
    """How many brokers the cluster says it has; 0 when nobody answers in time."""
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "socket.connection.setup.timeout.ms": 1_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "log_level": 0,
        }
    )
    try:
        return len(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return 0
